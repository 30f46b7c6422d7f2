import { parseStrictJson, toCanonicalJson } from "../../base/canonical_json.ts";
import { CairnError } from "../../base/errors.ts";
import { allocate } from "../../base/allocate.ts";
import type { ByteSource } from "../../container/source.ts";
import { MAX_SAFETENSORS_HEADER_BYTES } from "./safetensors_header.ts";
import { quoted } from "../tensor_file.ts";
import { jsonObject } from "./write_safetensors.ts";

/**
 * How the name of an index ends: `model.safetensors.index.json` belongs to `model-00001-of-00002.safetensors` and so
 * on.
 */
export const INDEX_EXTENSION = ".index.json";

/**
 * Reads an index: the file of each tensor, by the tensor's name. A file is a name beside the index and nothing else,
 * so that an index cannot point anywhere.
 *
 * @throws CairnError `limit_exceeded` or `invalid_file`.
 */
export async function readSafetensorsIndex(source: ByteSource): Promise<ReadonlyMap<string, string>> {
  if (source.byteLength > MAX_SAFETENSORS_HEADER_BYTES) {
    throw new CairnError(
      "limit_exceeded",
      `The safetensors index has ${source.byteLength} bytes; ${MAX_SAFETENSORS_HEADER_BYTES} is the most`,
      { details: { limit: MAX_SAFETENSORS_HEADER_BYTES, value: source.byteLength } },
    );
  }
  const bytes = allocate(source.byteLength);
  await source.read(0, bytes);
  const index = parseStrictJson(decodeText(bytes), "The safetensors index");
  const weightMap = fieldOf(index, "weight_map");
  if (typeof weightMap !== "object" || weightMap === null || Array.isArray(weightMap)) {
    throw invalid("it has no object weight_map");
  }
  const files = new Map<string, string>();
  for (const [name, file] of Object.entries(weightMap)) {
    if (typeof file !== "string" || !isShardName(file)) {
      throw invalid(
        `it says that tensor ${quoted(name)} is in ${quoted(String(file))}, which is no file beside it`,
      );
    }
    files.set(name, file);
  }
  return files;
}

/** The text of an index. `totalBytes` counts the tensors' bytes, without headers. */
export function encodeSafetensorsIndex(files: ReadonlyMap<string, string>, totalBytes: number): Uint8Array {
  const metadata = toCanonicalJson({ total_size: totalBytes });
  return new TextEncoder().encode(`{"metadata":${metadata},"weight_map":${jsonObject(files)}}\n`);
}

/** `model-00002-of-00005.safetensors` for the second of five files of `model`. */
export function shardName(stem: string, number: number, count: number): string {
  const digits = (value: number): string => String(value).padStart(5, "0");
  return `${stem}-${digits(number)}-of-${digits(count)}.safetensors`;
}

function isShardName(file: string): boolean {
  // deno-lint-ignore no-control-regex
  return /^[^/\\:\u0000-\u001f\u007f]{1,255}$/.test(file) && file.endsWith(".safetensors");
}

function decodeText(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new CairnError("invalid_file", "This is no safetensors index: it is not UTF-8", { cause });
  }
}

function fieldOf(value: unknown, key: string): unknown {
  return typeof value === "object" && value !== null && Object.hasOwn(value, key)
    ? (value as Record<string, unknown>)[key]
    : undefined;
}

function invalid(problem: string): CairnError {
  return new CairnError("invalid_file", `This is no safetensors index: ${problem}`);
}
