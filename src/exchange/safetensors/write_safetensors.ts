import { type Work, WORK_OPTIONS } from "../../base/work.ts";
import { checkOptions, type OptionNames } from "../../base/options/options.ts";
import { throwIfAborted } from "../../base/abort.ts";
import { toCanonicalJson } from "../../base/canonical_json.ts";
import { alignUp } from "../../base/checked.ts";
import { viewOf, writeU64 } from "../../base/little_endian.ts";
import type { ByteSink } from "../../container/source.ts";
import { type CheckedTensor, checkedTensors, compareText, type TensorsToWrite } from "../outgoing.ts";
import { SAFETENSORS_DTYPES, safetensorsRank } from "./safetensors_dtype.ts";
import { MAX_SAFETENSORS_HEADER_BYTES, METADATA_KEY } from "./safetensors_header.ts";
import { quoted } from "../tensor_file.ts";
import { writeTensor } from "../write_tensor.ts";

/** Options of {@link writeSafetensors}. */
export interface SafetensorsOptions extends Work {
  /** Text to keep beside the tensors. */
  readonly metadata?: Readonly<Record<string, string>> | undefined;
}

/** Every option of {@link SafetensorsOptions}. */
export const SAFETENSORS_OPTIONS: OptionNames<SafetensorsOptions> = {
  metadata: true,
  ...WORK_OPTIONS,
};

/** What {@link writeSafetensors} wrote. */
export interface SafetensorsReport {
  /** Bytes of the whole file. */
  readonly fileBytes: number;
  /** How many tensors are in the file. */
  readonly tensors: number;
  /** Tensors that are not in the file because another one has their bytes: name → that one's name. */
  readonly dropped: ReadonlyMap<string, string>;
}

/**
 * Writes a safetensors file, front to back, with a piece of one tensor in memory at a time. Tensors are in the
 * format's order: the widest dtype first, then by name, so that each is aligned. The format knows no tensors that
 * share their bytes: the one whose name sorts first is written, and the metadata says `dropped → kept` for the
 * others.
 *
 * @param tensors By name, or as descriptions whose bytes come when it is their turn.
 * @throws TypeError or RangeError for tensors or metadata that do not fit; `signal.reason`; what the sink throws.
 */
export async function writeSafetensors(
  sink: ByteSink,
  tensors: TensorsToWrite,
  options: SafetensorsOptions = {},
): Promise<SafetensorsReport> {
  checkOptions("writeSafetensors()", options, SAFETENSORS_OPTIONS);
  return await writePlanned(sink, checkedTensors(tensors), options);
}

/** {@link writeSafetensors} of tensors that were checked before. */
export async function writePlanned(
  sink: ByteSink,
  tensors: readonly CheckedTensor[],
  options: SafetensorsOptions,
): Promise<SafetensorsReport> {
  const { kept, dropped } = withoutAliases(tensors);
  const ordered = inFileOrder(kept);
  const metadata = options.metadata ?? {};
  checkMetadata(metadata, dropped, kept);
  const header = encodeHeader(ordered, [...new Map([...Object.entries(metadata), ...dropped])]);
  const total = ordered.reduce((sum, { byteLength }) => sum + byteLength, 0);
  throwIfAborted(options.signal);
  await sink.write(header);
  let done = 0;
  for (const tensor of ordered) {
    await writeTensor(sink, tensor, options.signal);
    done += tensor.byteLength;
    options.onProgress?.({ done, total });
  }
  return { fileBytes: header.byteLength + total, tensors: ordered.length, dropped };
}

/** The tensors that have bytes of their own, each under the name that sorts first among those that share them. */
export function withoutAliases(
  tensors: readonly CheckedTensor[],
): { kept: CheckedTensor[]; dropped: Map<string, string> } {
  const firstName = new Map<string, string>();
  for (const { name, aliasOf } of tensors) {
    const root = aliasOf ?? name;
    const first = firstName.get(root);
    if (first === undefined || compareText(name, first) < 0) firstName.set(root, name);
  }
  const kept: CheckedTensor[] = [];
  const dropped = new Map<string, string>();
  for (const tensor of tensors) {
    const root = tensor.aliasOf ?? tensor.name;
    const first = firstName.get(root) as string;
    if (tensor.name !== first) dropped.set(tensor.name, first);
    if (tensor.aliasOf === undefined) kept.push({ ...tensor, name: first });
  }
  return { kept, dropped };
}

function inFileOrder(tensors: readonly CheckedTensor[]): CheckedTensor[] {
  return [...tensors].sort((a, b) =>
    safetensorsRank(b.dtype) - safetensorsRank(a.dtype) || compareText(a.name, b.name)
  );
}

/** Throws a `TypeError` for metadata that is no text, and for names that the metadata needs for itself. */
export function checkMetadata(
  metadata: Readonly<Record<string, string>>,
  dropped: ReadonlyMap<string, string>,
  kept: readonly CheckedTensor[],
): void {
  for (const [key, text] of Object.entries(metadata)) {
    if (typeof text !== "string") {
      throw new TypeError(`metadata ${quoted(key)} is ${typeof text}, expected text`);
    }
    if (dropped.get(key) !== undefined && dropped.get(key) !== text) {
      throw new TypeError(`metadata ${quoted(key)} is also the name of a tensor that is dropped; rename one`);
    }
  }
  if (kept.some(({ name }) => name === METADATA_KEY) || dropped.has(METADATA_KEY)) {
    throw new TypeError(`A tensor is named ${METADATA_KEY}, which safetensors keeps for itself; rename it`);
  }
}

/** The length and the header, padded with spaces so that the tensors begin at a multiple of 8. */
function encodeHeader(tensors: readonly CheckedTensor[], metadata: readonly [string, string][]): Uint8Array {
  // Joined by hand, because an object would put names such as "10" in an order of its own.
  const fields: string[] = [];
  if (metadata.length > 0) fields.push(`"${METADATA_KEY}":${jsonObject(metadata)}`);
  let begin = 0;
  for (const { name, dtype, shape, byteLength } of tensors) {
    const storedAs = SAFETENSORS_DTYPES[safetensorsRank(dtype)]?.name as string;
    const entry = { dtype: storedAs, shape: [...shape], data_offsets: [begin, begin + byteLength] };
    fields.push(`${toCanonicalJson(name)}:${toCanonicalJson(entry)}`);
    begin += byteLength;
  }
  const text = new TextEncoder().encode(`{${fields.join(",")}}`);
  const headerBytes = alignUp(text.byteLength, 8);
  if (headerBytes > MAX_SAFETENSORS_HEADER_BYTES) {
    throw new RangeError(
      `The header would have ${headerBytes} bytes; ${MAX_SAFETENSORS_HEADER_BYTES} is the most: write several files`,
    );
  }
  const bytes = new Uint8Array(8 + headerBytes).fill(0x20);
  writeU64(viewOf(bytes), 0, headerBytes);
  bytes.set(text, 8);
  return bytes;
}

/** A JSON object of texts in this very order. */
export function jsonObject(entries: Iterable<readonly [string, string]>): string {
  return `{${
    [...entries].map(([key, text]) => `${toCanonicalJson(key)}:${toCanonicalJson(text)}`).join(",")
  }}`;
}
