import type { OptionNames } from "../../base/options/options.ts";
import type { ContainerReader } from "../../container/read/container_reader.ts";
import { paddedLength } from "../../container/read/read_plan.ts";

/** Options of {@link readWithin}. */
export interface ReadWithinOptions {
  /** Host memory beside the result, about. A chunk at a time is read in any case. Default: what is fastest. */
  readonly memoryBudgetBytes?: number | undefined;
  /** Stops reading, which then rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

/** Every option of {@link ReadWithinOptions}. */
export const READ_WITHIN_OPTIONS: OptionNames<ReadWithinOptions> = { memoryBudgetBytes: true, signal: true };

/**
 * Reads one tensor into memory that the caller has, in parts of as many chunks as fit the budget.
 *
 * @throws RangeError for a budget that is no number above 0; and as `ContainerReader.readInto`.
 */
export async function readWithin(
  reader: ContainerReader,
  name: string,
  into: ArrayBufferView,
  options: ReadWithinOptions = {},
): Promise<void> {
  const { memoryBudgetBytes: budget, signal } = options;
  if (budget === undefined) return await reader.readInto(name, into, { signal });
  if (!(budget > 0)) throw new RangeError(`memoryBudgetBytes is ${budget}, expected a number above 0`);
  const bytes = new Uint8Array(into.buffer, into.byteOffset, into.byteLength);
  for (const [start, end] of partsWithin(reader, name, budget)) {
    await reader.readInto(name, bytes.subarray(start, end), { slice: { bytes: [start, end] }, signal });
  }
}

/** Cuts a tensor's bytes between chunks, such that what a part takes to read is within the budget, or one chunk. */
function* partsWithin(
  reader: ContainerReader,
  name: string,
  budget: number,
): Generator<[start: number, end: number]> {
  const { rawOffset, byteLength } = reader.tensor(name);
  let start = 0;
  let end = 0;
  let storedBytes = 0;
  let largest = 0;
  for (const chunk of reader.chunks) {
    if (chunk.rawOffset + chunk.rawLength <= rawOffset) continue;
    if (chunk.rawOffset >= rawOffset + byteLength) break;
    // What is read of the file, one decoded chunk, and one that the reader keeps.
    const needed = storedBytes + paddedLength(chunk) + 2 * Math.max(largest, chunk.rawLength);
    if (end > start && needed > budget) {
      yield [start, end];
      start = end;
      storedBytes = 0;
      largest = 0;
    }
    storedBytes += paddedLength(chunk);
    largest = Math.max(largest, chunk.rawLength);
    end = Math.min(chunk.rawOffset + chunk.rawLength - rawOffset, byteLength);
  }
  if (end > start) yield [start, end];
}
