import type { BufferRange } from "./buffer_range.ts";
import { BufferUsage } from "./constants.ts";

/** A part of a range, and where in its slot it lands. */
export interface Piece extends BufferRange {
  readonly slotOffset: number;
}

/** What one staging slot carries in one step. */
export interface SlotFill {
  readonly pieces: readonly Piece[];
  /** Bytes used, from the slot's start. */
  readonly byteLength: number;
}

/** What is waited for at once: staging slots that one submit fills, or memory that the host can map itself. */
export type ReadbackStep = CopyStep | MapStep;

export interface CopyStep {
  /** Index of the slot that the first fill goes to; the others follow. */
  readonly firstSlot: number;
  readonly fills: readonly SlotFill[];
}

/** Parts of one buffer that can be mapped itself, each no longer than a slot. */
export interface MapStep {
  readonly mappable: GPUBuffer;
  readonly pieces: readonly BufferRange[];
}

/**
 * Packs `ranges` one after the other into slots of `slotBytes`, small ranges together. Where all of them fit into the
 * ring, they are one step; otherwise each slot is one, round and round, so that the GPU fills the others while one is
 * read. Ranges of buffers that can be mapped are steps of their own.
 */
export function planReadback(
  ranges: readonly BufferRange[],
  slots: number,
  slotBytes: number,
): ReadbackStep[] {
  const groups = [...groupsOf(ranges, slotBytes)].map((group) =>
    "mappable" in group ? group : [...planSlots(group, slotBytes)]
  );
  const slotsNeeded = groups.reduce((sum, group) => sum + ("mappable" in group ? 0 : group.length), 0);
  let slot = 0;
  return groups.flatMap((group): ReadbackStep[] => {
    if ("mappable" in group) return [group];
    const firstSlot = slot;
    slot += group.length;
    if (slotsNeeded <= slots) return group.length === 0 ? [] : [{ firstSlot, fills: group }];
    return group.map((fill, index) => ({ firstSlot: (firstSlot + index) % slots, fills: [fill] }));
  });
}

/** Neighbouring ranges that have to be copied, and those of a buffer that can be mapped. */
function* groupsOf(
  ranges: readonly BufferRange[],
  slotBytes: number,
): Generator<BufferRange[] | MapStep> {
  let copied: BufferRange[] = [];
  let mapped: (MapStep & { readonly pieces: BufferRange[] }) | undefined;
  for (const range of ranges) {
    if (range.size === 0) continue;
    const { buffer } = range;
    const isMappable = (buffer.usage & BufferUsage.MAP_READ) !== 0;
    if (mapped !== undefined && mapped.mappable !== buffer) {
      yield mapped;
      mapped = undefined;
    }
    if (!isMappable) {
      copied.push(range);
      continue;
    }
    if (mapped === undefined) {
      yield copied;
      copied = [];
      mapped = { mappable: buffer, pieces: [] };
    }
    const end = range.offset + range.size;
    for (let offset = range.offset; offset < end; offset += slotBytes) {
      mapped.pieces.push({ buffer, offset, size: Math.min(slotBytes, end - offset) });
    }
  }
  if (mapped !== undefined) yield mapped;
  yield copied;
}

function* planSlots(ranges: readonly BufferRange[], slotBytes: number): Generator<SlotFill> {
  let pieces: Piece[] = [];
  let used = 0;
  for (const { buffer, offset, size } of ranges) {
    let done = 0;
    while (done < size) {
      const taken = Math.min(size - done, slotBytes - used);
      pieces.push({ buffer, offset: offset + done, size: taken, slotOffset: used });
      done += taken;
      used += taken;
      if (used < slotBytes) continue;
      yield { pieces, byteLength: used };
      pieces = [];
      used = 0;
    }
  }
  if (used > 0) yield { pieces, byteLength: used };
}
