import type { BufferRange } from "./buffer_range.ts";

/** A part of a range, and where in its slot it lands. */
export interface Piece extends BufferRange {
  readonly slotOffset: number;
}

/** What one staging slot carries in one turn. */
export interface SlotFill {
  readonly pieces: readonly Piece[];
  /** Bytes used, from the slot's start. */
  readonly byteLength: number;
}

/** Packs `ranges` one after the other into turns of at most `slots` slots of `slotBytes`. Small ranges share a slot. */
export function* planTurns(
  ranges: readonly BufferRange[],
  slots: number,
  slotBytes: number,
): Generator<readonly SlotFill[]> {
  let turn: SlotFill[] = [];
  for (const fill of planSlots(ranges, slotBytes)) {
    turn.push(fill);
    if (turn.length < slots) continue;
    yield turn;
    turn = [];
  }
  if (turn.length > 0) yield turn;
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
