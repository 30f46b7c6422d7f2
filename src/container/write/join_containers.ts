import type { Work } from "../../base/work.ts";
import { throwIfAborted } from "../../base/abort.ts";
import { alignUp, TENSOR_ALIGNMENT } from "../../base/checked.ts";
import { CairnError } from "../../base/errors.ts";
import { allocate } from "../../base/allocate.ts";
import { chunkAt } from "../format/chunk_at.ts";
import type { RawChunk } from "../read/chunks_under_way.ts";
import type { ChunkReading } from "../read/chunk_reader.ts";
import type { ChunkSource } from "../read/chunk_source.ts";
import type { ChunkRecord } from "../format/chunk_table.ts";
import { codecByName } from "../codec/table.ts";
import { ContainerReader } from "../read/container_reader.ts";
import { layoutTensors, type RawLayout, type TensorSpec } from "../format/layout.ts";
import type { Manifest } from "../format/manifest.ts";
import { DEFAULT_READ_BYTES } from "../read/read_plan.ts";
import { encodeTensorTable, parseTensorTable } from "../format/tensor_table.ts";
import type { Damage, VerifyReport } from "../read/verify.ts";

/** Bytes of the raw space of an open container. */
export interface RawRange {
  readonly reader: ContainerReader;
  readonly rawOffset: number;
  readonly byteLength: number;
}

/** A tensor that is put together of what other containers have. */
export interface JoinedTensor extends TensorSpec {
  /** Its bytes, in order. Those of an alias are not looked at. */
  readonly ranges: readonly RawRange[];
}

/** What {@link joinContainers} makes one of. */
export interface JoinedContents {
  /** In hexadecimal. */
  readonly fileId: string;
  readonly manifest: Manifest;
  readonly tensors: readonly JoinedTensor[];
  /** All containers that belong to it, with what they are called in messages. */
  readonly files: readonly { readonly label: string; readonly reader: ContainerReader }[];
  readonly close: () => Promise<void>;
}

/**
 * Several containers as one, whose tensors are pieces of theirs. Nothing is copied: its chunks are cut where theirs
 * are, and read when they are asked for. They say `raw`, which is how they arrive. `verify` reads every byte of all
 * the files, also of tensors that are not among these.
 *
 * @throws TypeError or RangeError for invalid tensors, or ranges of another length.
 */
export function joinContainers(contents: JoinedContents): ContainerReader {
  const { fileId, manifest, tensors, files, close } = contents;
  const layout = layoutTensors(tensors);
  const pieces = planPieces(spansOf(layout, tensors), layout.rawByteLength);
  const chunks = pieces.map(({ chunk }) => chunk);
  const columns = parseTensorTable(encodeTensorTable(layout.tensors), layout.tensors.length);
  return ContainerReader.over({
    fileId,
    tables: { layout: columns, chunks, manifest },
    chunks: new JoinedChunks(pieces, chunks, new Map(files.map(({ label, reader }) => [reader, label]))),
    verify: (options) => verifyAll(files, options),
    close,
  });
}

/** Bytes that lie the same way in a container and in the joined raw space. */
interface ByteSpan extends RawRange {
  /** Where they are in the joined raw space. */
  readonly joinedOffset: number;
}

/** A chunk of the joined raw space: bytes of containers, each at its place, and zeros. */
interface Piece {
  readonly ranges: readonly (RawRange & { readonly at: number })[];
  readonly chunk: ChunkRecord;
}

function spansOf(layout: RawLayout, tensors: readonly JoinedTensor[]): ByteSpan[] {
  const spans: ByteSpan[] = [];
  for (const [index, record] of layout.tensors.entries()) {
    if (record.aliasOf !== undefined) continue;
    let joinedOffset = record.rawOffset;
    for (const range of tensors[index]?.ranges ?? []) {
      const last = spans.at(-1);
      if (last !== undefined && isNext(last, range, joinedOffset)) {
        spans[spans.length - 1] = {
          ...last,
          byteLength: joinedOffset + range.byteLength - last.joinedOffset,
        };
      } else if (range.byteLength > 0) spans.push({ ...range, joinedOffset });
      joinedOffset += range.byteLength;
    }
    if (joinedOffset !== record.rawOffset + record.byteLength) {
      throw new RangeError(
        `"${record.name}" takes ${record.byteLength} bytes; its ranges have ${
          joinedOffset - record.rawOffset
        }`,
      );
    }
  }
  return spans;
}

/** Whether a range follows a span on both sides, with nothing between but padding, which is zero on both. */
function isNext(span: ByteSpan, range: RawRange, joinedOffset: number): boolean {
  const end = span.rawOffset + span.byteLength;
  return range.reader === span.reader && range.rawOffset >= end &&
    range.rawOffset - span.rawOffset === joinedOffset - span.joinedOffset &&
    alignUp(end, TENSOR_ALIGNMENT) >= range.rawOffset;
}

/**
 * Cuts spans where the chunks are cut that they come from, so that few of those are decoded twice on the way. Where
 * that is no multiple of 256, as in the middle of a tensor that is put together, the first bytes of what follows are
 * taken along: code that copies chunks to a GPU can rely on where they begin.
 */
function planPieces(spans: readonly ByteSpan[], rawByteLength: number): Piece[] {
  const pieces: Piece[] = [];
  for (const [index, span] of spans.entries()) {
    for (const { chunk, range } of rangesOf(span)) append(pieces, chunk, range);
    // The zeros behind a span belong to its last piece.
    const last = pieces.at(-1);
    const end = spans[index + 1]?.joinedOffset ?? rawByteLength;
    if (last !== undefined) lengthen(pieces, end - last.chunk.rawOffset);
  }
  return pieces;
}

/** A span, cut where its chunks are. */
function* rangesOf(
  { reader, rawOffset, byteLength }: ByteSpan,
): Generator<{ readonly chunk: ChunkRecord; readonly range: RawRange }> {
  const spanEnd = rawOffset + byteLength;
  for (let at = chunkAt(reader.chunks, rawOffset); at < reader.chunks.length; at++) {
    const chunk = reader.chunks[at] as ChunkRecord;
    if (chunk.rawOffset >= spanEnd) return;
    const start = Math.max(chunk.rawOffset, rawOffset);
    const end = Math.min(chunk.rawOffset + chunk.rawLength, spanEnd);
    yield { chunk, range: { reader, rawOffset: start, byteLength: end - start } };
  }
}

function append(pieces: Piece[], chunk: ChunkRecord, { reader, rawOffset, byteLength }: RawRange): void {
  let taken = 0;
  while (taken < byteLength) {
    const last = pieces.at(-1);
    const filled = last?.chunk.rawLength ?? 0;
    const missing = alignUp(filled, TENSOR_ALIGNMENT) - filled;
    const range = {
      reader,
      rawOffset: rawOffset + taken,
      byteLength: missing === 0 ? byteLength - taken : Math.min(missing, byteLength - taken),
      at: missing === 0 ? 0 : filled,
    };
    if (last === undefined || missing === 0) {
      const start = last === undefined ? 0 : last.chunk.rawOffset + filled;
      const rawLength = range.byteLength;
      pieces.push({
        ranges: [range],
        chunk: { ...chunk, codec: codecByName("raw"), rawOffset: start, rawLength },
      });
    } else {
      pieces[pieces.length - 1] = { ...last, ranges: [...last.ranges, range] };
      lengthen(pieces, filled + range.byteLength);
    }
    taken += range.byteLength;
  }
}

function lengthen(pieces: Piece[], rawLength: number): void {
  const last = pieces.at(-1) as Piece;
  pieces[pieces.length - 1] = { ...last, chunk: { ...last.chunk, rawLength } };
}

class JoinedChunks implements ChunkSource {
  readonly readBytes: number = DEFAULT_READ_BYTES;
  readonly #pieces: readonly Piece[];
  readonly #chunks: readonly ChunkRecord[];
  readonly #labels: ReadonlyMap<ContainerReader, string>;

  constructor(
    pieces: readonly Piece[],
    chunks: readonly ChunkRecord[],
    labels: ReadonlyMap<ContainerReader, string>,
  ) {
    this.#pieces = pieces;
    this.#chunks = chunks;
    this.#labels = labels;
  }

  chunk(index: number): ChunkRecord {
    return this.#chunks[index] as ChunkRecord;
  }

  indexAt(rawOffset: number): number {
    return chunkAt(this.#chunks, rawOffset);
  }

  async read(
    index: number,
    { signal }: { readonly signal?: AbortSignal | undefined } = {},
  ): Promise<Uint8Array> {
    const bytes = allocate(this.chunk(index).rawLength);
    await this.#fill(bytes, index, signal);
    return bytes;
  }

  async *readMany(wanted: Iterable<number>, { signal }: ChunkReading = {}): AsyncGenerator<RawChunk> {
    let scratch = allocate(0);
    for (const index of wanted) {
      throwIfAborted(signal);
      const { rawLength } = this.chunk(index);
      if (scratch.byteLength < rawLength) scratch = allocate(rawLength);
      const raw = scratch.subarray(0, rawLength);
      await this.#fill(raw, index, signal);
      yield { index, raw };
    }
  }

  async readRaw(first: number, end: number, into: Uint8Array, signal?: AbortSignal): Promise<void> {
    let at = 0;
    for (let index = first; index < end; index++) {
      throwIfAborted(signal);
      const { rawLength } = this.chunk(index);
      await this.#fill(into.subarray(at, at + rawLength), index, signal);
      at += rawLength;
    }
  }

  async #fill(into: Uint8Array, index: number, signal: AbortSignal | undefined): Promise<void> {
    let end = 0;
    for (const { reader, rawOffset, byteLength, at } of this.#pieces[index]?.ranges ?? []) {
      end = at + byteLength;
      try {
        await reader.readRange(rawOffset, byteLength, { into: into.subarray(at, end), signal });
      } catch (error) {
        if (!(error instanceof CairnError)) throw error;
        throw new CairnError(error.code, `In ${this.#labels.get(reader)}: ${error.message}`, {
          details: error.details,
          cause: error,
        });
      }
    }
    into.fill(0, end);
  }
}

async function verifyAll(
  files: JoinedContents["files"],
  { signal, onProgress }: Work,
): Promise<VerifyReport> {
  const total = files.reduce((sum, { reader }) => sum + reader.rawByteLength, 0);
  const damaged: Damage[] = [];
  let before = 0;
  for (const { label, reader } of files) {
    const start = before;
    const report = await reader.verify({
      signal,
      onProgress: ({ done }) => onProgress?.({ done: start + done, total }),
    });
    damaged.push(...report.damaged.map((each) => ({ ...each, message: `In ${label}: ${each.message}` })));
    before += reader.rawByteLength;
  }
  return { ok: damaged.length === 0, damaged };
}
