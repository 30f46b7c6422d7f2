import type { JsonValue } from "../../base/canonical_json.ts";
import { CairnError, type CairnErrorCode } from "../../base/errors.ts";
import { strictJsonEntries } from "../../base/json_entries.ts";
import { readU64, viewOf } from "../../base/little_endian.ts";
import { allocate } from "../../base/allocate.ts";
import type { ByteSource } from "../../container/source.ts";
import { elementCount } from "../../tensor/shape.ts";
import { type SafetensorsDType, safetensorsDType } from "./safetensors_dtype.ts";
import { quoted } from "../tensor_file.ts";

/** The most bytes of a header. */
export const MAX_SAFETENSORS_HEADER_BYTES = 100_000_000;
/** The key of a header that is no tensor: text by name. */
export const METADATA_KEY = "__metadata__";
const LENGTH_BYTES = 8;

/** A tensor of a safetensors file with its place. */
export interface SafetensorsEntry {
  readonly name: string;
  readonly dtype: SafetensorsDType;
  readonly shape: readonly number[];
  /** Where its bytes start in the file. */
  readonly offset: number;
  readonly byteLength: number;
}

/** What a safetensors file says in front of its tensors. */
export interface SafetensorsHeader {
  /** In the order of the file. */
  readonly entries: readonly SafetensorsEntry[];
  readonly metadata: ReadonlyMap<string, string>;
}

/**
 * Reads and checks the header of a safetensors file: nothing is allocated that the file's own length does not vouch
 * for, and every byte of the file belongs to the header or to exactly one tensor.
 *
 * @throws CairnError `truncated`, `limit_exceeded`, or `invalid_file` that names the tensor and the rule.
 */
export async function readSafetensorsHeader(source: ByteSource): Promise<SafetensorsHeader> {
  if (source.byteLength < LENGTH_BYTES) {
    throw refusal("truncated", `it has ${source.byteLength} bytes, expected at least 8: its header's length`);
  }
  const head = new Uint8Array(LENGTH_BYTES);
  await source.read(0, head);
  const headerBytes = readU64(viewOf(head), 0);
  if (headerBytes > MAX_SAFETENSORS_HEADER_BYTES) {
    throw refusal(
      "limit_exceeded",
      `its header has ${headerBytes} bytes; ${MAX_SAFETENSORS_HEADER_BYTES} is the most`,
    );
  }
  const left = source.byteLength - LENGTH_BYTES;
  if (headerBytes > left) {
    throw refusal(
      "truncated",
      `its header has ${headerBytes} bytes, and the file ends after ${left} of them`,
    );
  }
  const text = allocate(headerBytes);
  await source.read(LENGTH_BYTES, text);
  if (text[0] !== 0x7b) throw refusal("invalid_file", "its header does not begin with {");
  return parseHeader(decodeText(text), LENGTH_BYTES + headerBytes, left - headerBytes);
}

function decodeText(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new CairnError("invalid_file", "This is no safetensors file: its header is not UTF-8", { cause });
  }
}

function parseHeader(text: string, dataOffset: number, dataBytes: number): SafetensorsHeader {
  let metadata = new Map<string, string>();
  const entries: SafetensorsEntry[] = [];
  const what = "The header of the safetensors file";
  for (const [name, value] of strictJsonEntries(text, what, { naturalNumbersOnly: true })) {
    if (name === METADATA_KEY) metadata = parseMetadata(value);
    else entries.push(parseEntry(name, value, dataOffset));
  }
  // Tensors without bytes come before the one that starts where they are.
  entries.sort((a, b) => a.offset - b.offset || a.byteLength - b.byteLength);
  checkTiling(entries, dataOffset, dataBytes);
  return { entries, metadata };
}

function parseMetadata(value: JsonValue): Map<string, string> {
  const metadata = new Map<string, string>();
  if (!isObject(value)) throw refusal("invalid_file", `its ${METADATA_KEY} is no object`);
  for (const [key, text] of Object.entries(value)) {
    if (typeof text !== "string") {
      throw refusal("invalid_file", `${quoted(key)} in its ${METADATA_KEY} is no text`);
    }
    metadata.set(key, text);
  }
  return metadata;
}

function parseEntry(name: string, value: JsonValue, dataOffset: number): SafetensorsEntry {
  if (!isEntry(value)) throw bad(name, "has to have dtype, shape and data_offsets, and nothing else");
  const { dtype: dtypeName, shape, data_offsets: offsets } = value;
  const dtype = typeof dtypeName === "string" ? safetensorsDType(dtypeName) : undefined;
  if (dtype === undefined) {
    throw bad(name, `has the dtype ${quoted(String(dtypeName))}, which does not exist`);
  }
  if (!isNumbers(shape)) throw bad(name, "has a shape that is no list of integers");
  if (!isNumbers(offsets) || offsets.length !== 2) {
    throw bad(name, "has data_offsets that are not two integers");
  }
  const [begin = 0, end = 0] = offsets;
  if (begin > end) throw bad(name, `ends at ${end}, before its begin at ${begin}`);
  const byteLength = byteLengthOf(name, shape, dtype);
  if (end - begin !== byteLength) {
    throw bad(name, `is ${dtype.name} [${shape}], which is ${byteLength} bytes, but has ${end - begin}`);
  }
  return { name, dtype, shape, offset: dataOffset + begin, byteLength };
}

function byteLengthOf(name: string, shape: readonly number[], dtype: SafetensorsDType): number {
  let bits: number;
  try {
    bits = elementCount(shape) * dtype.bits;
  } catch (cause) {
    throw new CairnError(
      "invalid_file",
      `Tensor ${quoted(name)} has more elements than can be counted: [${shape}]`,
      {
        details: { tensor: name },
        cause,
      },
    );
  }
  if (!Number.isSafeInteger(bits)) throw bad(name, `has more bits than can be counted: [${shape}]`);
  if (bits % 8 !== 0) {
    throw bad(name, `is ${dtype.name} [${shape}], which is ${bits} bits and no whole bytes`);
  }
  return bits / 8;
}

/** Holes could hide a second file, and shared bytes let a small file ask for a lot of memory: there are neither. */
function checkTiling(entries: readonly SafetensorsEntry[], dataOffset: number, dataBytes: number): void {
  let end = dataOffset;
  for (const { name, offset, byteLength } of entries) {
    if (offset !== end) {
      const what = offset < end ? "overlap the tensor before it" : "leave a hole before it";
      throw bad(name, `begins at byte ${offset}, expected ${end}: its bytes ${what}`);
    }
    end += byteLength;
  }
  if (end > dataOffset + dataBytes) {
    throw refusal(
      "truncated",
      `its tensors end at byte ${end}, and the file ends at ${dataOffset + dataBytes}`,
    );
  }
  if (end < dataOffset + dataBytes) {
    throw refusal("invalid_file", `${dataOffset + dataBytes - end} bytes follow its last tensor`);
  }
}

function isObject(value: JsonValue | undefined): value is { [key: string]: JsonValue } {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isEntry(value: JsonValue): value is Record<"dtype" | "shape" | "data_offsets", JsonValue> {
  return isObject(value) && Object.keys(value).length === 3 && Object.hasOwn(value, "dtype") &&
    Object.hasOwn(value, "shape") && Object.hasOwn(value, "data_offsets");
}

function isNumbers(value: JsonValue | undefined): value is number[] {
  return Array.isArray(value) && value.every((item) => typeof item === "number");
}

function bad(name: string, problem: string): CairnError {
  return new CairnError("invalid_file", `This is no safetensors file: tensor ${quoted(name)} ${problem}`, {
    details: { tensor: name },
  });
}

function refusal(code: CairnErrorCode, problem: string): CairnError {
  return new CairnError(code, `This is no safetensors file: ${problem}`);
}
