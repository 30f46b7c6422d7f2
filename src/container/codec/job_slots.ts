import { allocate } from "../../base/allocate.ts";
import { alignUp } from "../../base/checked.ts";
import { CairnError } from "../../base/errors.ts";
import { BOARD_SLOTS } from "./job_board.ts";
import type { LentBytes } from "./lent.ts";

// So that chunks of slightly different lengths use the same memory.
const SIZE_STEP = 64 * 1024;

/** A job's place on the board, with memory: its input is at the beginning, and then its result. */
export interface Slot {
  readonly index: number;
  readonly memory: SharedArrayBuffer;
  /** By which threads know this memory from what the slot had before. */
  readonly number: number;
}

/**
 * The slots of a board and their memory, which all threads see. There are as many as jobs were ever under way at once.
 * They are used again and again: new memory for each chunk costs more than copying the chunk, and two threads of one
 * process that ask for it get in each other's way.
 */
export class JobSlots {
  readonly #announce: (slot: Slot) => void;
  readonly #free: Slot[] = [];
  /** By their memory. A loan is an object of its own: a slot may be lent again before the first borrower is done. */
  readonly #lent: Map<ArrayBufferLike, { readonly slot: Slot }> = new Map();
  #count = 0;
  #numbers = 0;

  /** @param announce Says to all threads what memory a slot has, before a job comes in it. */
  constructor(announce: (slot: Slot) => void) {
    this.#announce = announce;
  }

  /** A slot for up to `byteLength` bytes of input, and as many of output; `undefined` where all are in use. */
  take(byteLength: number): Slot | undefined {
    const slot = this.#free.pop();
    if (slot !== undefined && slot.memory.byteLength >= byteLength) return slot;
    if (slot === undefined && this.#count === BOARD_SLOTS) return undefined;
    const memory = allocateShared(alignUp(Math.max(byteLength, 1), SIZE_STEP));
    const made: Slot = { index: slot?.index ?? this.#count++, memory, number: this.#numbers++ };
    this.#announce(made);
    return made;
  }

  /** Takes a slot back whose bytes are not used any more. */
  giveBack(slot: Slot): void {
    this.#free.push(slot);
  }

  /** See `CodecPool.lend`. */
  lend(byteLength: number): LentBytes {
    const slot = this.take(byteLength);
    if (slot === undefined) return { bytes: allocate(byteLength), release: () => {} };
    const { memory } = slot;
    const loan = { slot };
    this.#lent.set(memory, loan);
    return {
      bytes: new Uint8Array(memory, 0, byteLength),
      release: () => {
        // It may have been taken over, and even lent again.
        if (this.#lent.get(memory) !== loan) return;
        this.#lent.delete(memory);
        this.giveBack(slot);
      },
    };
  }

  /** The lent slot that these bytes begin, where it has room for so many of output. It is no longer lent then. */
  takeOver(bytes: Uint8Array, outputBytes: number): Slot | undefined {
    const slot = this.#lent.get(bytes.buffer)?.slot;
    if (slot === undefined || bytes.byteOffset !== 0 || slot.memory.byteLength < outputBytes) {
      return undefined;
    }
    this.#lent.delete(bytes.buffer);
    return slot;
  }
}

function allocateShared(byteLength: number): SharedArrayBuffer {
  try {
    return new SharedArrayBuffer(byteLength);
  } catch (cause) {
    throw new CairnError("out_of_memory", `Cannot allocate ${byteLength} shared bytes`, {
      details: { value: byteLength },
      cause,
    });
  }
}
