import { alignUp } from "../../base/checked.ts";
import { CairnError } from "../../base/errors.ts";
import type { JobInput } from "./codec_job.ts";

// So that chunks of slightly different lengths use the same memory.
const SIZE_STEP = 64 * 1024;

/** A job's buffer: its input lies in the first half, and its output goes to the second. */
interface SharedBuffer {
  readonly index: number;
  memory: SharedArrayBuffer;
  /**
   * Whether the worker has this memory already: it is sent once, since sending it takes longer than a copy of a
   * chunk.
   */
  isKnown: boolean;
}

/**
 * Memory that one worker and the thread that has the pool both see, in buffers for one job each. There are as many
 * buffers as jobs were ever under way at once. They are used again and again: new memory for each chunk costs more
 * than copying the chunk, and two threads of one process that ask for it get in each other's way.
 */
export class SharedBuffers {
  readonly #free: SharedBuffer[] = [];
  #count = 0;

  /** Whether the runtime has shared memory: a browser only for pages that are isolated from other origins. */
  static areSupported(): boolean {
    return typeof SharedArrayBuffer === "function";
  }

  /** A buffer for up to `byteLength` bytes of input and as many of output. */
  take(byteLength: number): SharedBuffer {
    const half = alignUp(Math.max(byteLength, 1), SIZE_STEP);
    const buffer = this.#free.pop();
    if (buffer === undefined) {
      return { index: this.#count++, memory: allocateShared(2 * half), isKnown: false };
    }
    if (buffer.memory.byteLength < 2 * half) {
      buffer.memory = allocateShared(2 * half);
      buffer.isKnown = false;
    }
    return buffer;
  }

  /** What a worker is told of the job whose input are the first `byteLength` bytes of a buffer. */
  inputIn(buffer: SharedBuffer, byteLength: number): JobInput {
    const { index, memory, isKnown } = buffer;
    buffer.isKnown = true;
    return { buffer: index, byteLength, memory: isKnown ? undefined : memory };
  }

  /** Takes a buffer back whose bytes are not used any more. */
  giveBack(buffer: SharedBuffer): void {
    this.#free.push(buffer);
  }
}

/** The half of a buffer's memory in which a job's output goes. */
export function outputHalf(memory: SharedArrayBuffer): Uint8Array {
  return new Uint8Array(memory, memory.byteLength / 2);
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

export type { SharedBuffer };
