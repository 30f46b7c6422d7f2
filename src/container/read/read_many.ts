import type { Work } from "../../base/work.ts";
import { allocate } from "../../base/allocate.ts";
import type { ChunkSource } from "./chunk_source.ts";
import type { RangeReader } from "./range_reader.ts";
import type { TensorSelection } from "./tensor_selection.ts";

/** A tensor whose bytes come in piece by piece. */
interface Pending<Selection extends TensorSelection> {
  readonly item: Selection;
  readonly bytes: Uint8Array;
}

/**
 * The bytes of many tensors in the order of the file. Their chunks are read in rising order, each once, neighbours
 * together; see `planReads`. Besides one read, only those tensors are in memory that have a part in the chunk at
 * hand.
 */
export async function* readTensors<Selection extends TensorSelection>(
  chunks: ChunkSource,
  ranges: RangeReader,
  selections: readonly Selection[],
  { signal, onProgress }: Work,
): AsyncGenerator<{ readonly item: Selection; readonly bytes: Uint8Array }> {
  const waiting = [...selections].sort((a, b) => a.rawStart - b.rawStart);
  const total = waiting.reduce((sum, { rawStart, rawEnd }) => sum + rawEnd - rawStart, 0);
  let next = 0;
  let done = 0;
  let pending: Pending<Selection>[] = [];
  for await (const { index, raw } of chunks.readMany(wantedChunks(ranges, waiting), { signal })) {
    const { rawOffset } = chunks.chunk(index);
    const rawEnd = rawOffset + raw.byteLength;
    for (let item = waiting[next]; item !== undefined && item.rawStart < rawEnd; item = waiting[++next]) {
      pending.push({ item, bytes: allocate(item.rawEnd - item.rawStart) });
    }
    for (const { item, bytes } of pending) copySelection(item, bytes, rawOffset, raw);
    const complete = pending.filter(({ item }) => item.rawEnd <= rawEnd);
    pending = pending.filter(({ item }) => item.rawEnd > rawEnd);
    for (const found of complete) {
      yield found;
      done += found.bytes.byteLength;
      onProgress?.({ done, total });
    }
  }
  // Only tensors without bytes can be behind the last chunk.
  for (const item of waiting.slice(next)) yield { item, bytes: new Uint8Array(0) };
}

function* wantedChunks(ranges: RangeReader, sorted: readonly TensorSelection[]): Generator<number> {
  let last = -1;
  for (const { rawStart, rawEnd } of sorted) {
    for (const index of ranges.indicesOf(rawStart, rawEnd)) if (index > last) yield last = index;
  }
}

function copySelection(
  selection: TensorSelection,
  bytes: Uint8Array,
  rawOffset: number,
  raw: Uint8Array,
): void {
  const start = Math.max(selection.rawStart, rawOffset);
  const end = Math.min(selection.rawEnd, rawOffset + raw.byteLength);
  if (start < end) bytes.set(raw.subarray(start - rawOffset, end - rawOffset), start - selection.rawStart);
}
