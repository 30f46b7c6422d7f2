import { checkOptions, type OptionNames } from "../../base/options/options.ts";
import { throwIfAborted } from "../../base/abort.ts";
import { CairnError } from "../../base/errors.ts";
import { allocate } from "../../base/allocate.ts";
import { inSlices } from "../../base/slices.ts";
import type { CodecPool } from "../codec/codec_pool.ts";
import { DATA_OFFSET, type Header, parseHeader } from "../format/header.ts";
import type { ByteSource } from "../source.ts";
import { DEFAULT_MAX_TABLE_BYTES, parseTail, type Tables } from "../format/tail.ts";
import { parseTrailer, type Trailer, TRAILER_BYTES } from "../format/trailer.ts";

/** The upper limit of `maxTableBytes`. */
const TABLE_BYTES_CEILING = 100_000_000;

/** Options of `ContainerReader.open`. */
export interface OpenOptions {
  /** Stops opening, which then rejects with the signal's reason; the source stays the caller's. */
  signal?: AbortSignal | undefined;
  /** The most bytes of tables, manifest and trailer to read: default 16 MiB, at most 100 MB. */
  maxTableBytes?: number | undefined;
  /** Where to decode what is read in many chunks: several at the same time, on other threads. Its opener closes it. */
  pool?: CodecPool | undefined;
}

/** Every option of {@link OpenOptions}. */
export const OPEN_OPTIONS: OptionNames<OpenOptions> = { signal: true, maxTableBytes: true, pool: true };

/**
 * Reads and checks all of a container but its chunks: the header, then as much from the end as the header's hint
 * says, and once more in front of that only where the hint was too low. Throws `CairnError` with `not_a_container`,
 * `truncated`, `checksum_mismatch`, `invalid_container`, `unsupported` or `limit_exceeded`, and nothing else but what
 * the source throws.
 */
export async function openContainer(
  source: ByteSource,
  options: OpenOptions = {},
): Promise<Tables & { header: Header }> {
  checkOptions("ContainerReader.open()", options, OPEN_OPTIONS);
  const limit = options.maxTableBytes ?? DEFAULT_MAX_TABLE_BYTES;
  if (!Number.isInteger(limit) || limit < 1 || limit > TABLE_BYTES_CEILING) {
    throw new RangeError(`maxTableBytes is ${limit}; expected 1 to ${TABLE_BYTES_CEILING}`);
  }
  throwIfAborted(options.signal);
  const header = parseHeader(
    await readBytes(source, 0, Math.min(DATA_OFFSET, source.byteLength), options.signal),
  );
  if (source.byteLength < DATA_OFFSET + TRAILER_BYTES) {
    throw new CairnError("truncated", `The file ends behind its header, after ${source.byteLength} bytes`);
  }
  throwIfAborted(options.signal);
  const guess = Math.max(
    DATA_OFFSET,
    source.byteLength - Math.max(TRAILER_BYTES, Math.min(header.tailHint, limit)),
  );
  const end = await readBytes(source, guess, source.byteLength - guess, options.signal);
  const trailer = parseTrailer(end.subarray(end.byteLength - TRAILER_BYTES), source.byteLength, header);
  throwIfAborted(options.signal);
  const tables = await readTables(source, trailer, limit, end, options.signal);
  return { header, ...await inSlices(parseTail(tables, trailer)) };
}

async function readTables(
  source: ByteSource,
  trailer: Trailer,
  limit: number,
  end: Uint8Array,
  signal: AbortSignal | undefined,
): Promise<Uint8Array> {
  const byteLength = trailer.fileByteLength - trailer.tensors.offset;
  if (byteLength > limit) {
    throw new CairnError(
      "limit_exceeded",
      `The tables and the manifest take ${byteLength} bytes; the limit is ${limit}. Raise maxTableBytes to read them`,
      { details: { limit, value: byteLength } },
    );
  }
  if (byteLength <= end.byteLength) return end.subarray(end.byteLength - byteLength);
  const all = allocate(byteLength);
  all.set(end, byteLength - end.byteLength);
  await source.read(trailer.tensors.offset, all.subarray(0, byteLength - end.byteLength), signal);
  return all;
}

async function readBytes(
  source: ByteSource,
  offset: number,
  byteLength: number,
  signal: AbortSignal | undefined,
): Promise<Uint8Array> {
  const bytes = allocate(byteLength);
  await source.read(offset, bytes, signal);
  return bytes;
}
