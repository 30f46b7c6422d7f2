import type { TensorStore } from "../tensor/tensor_store.ts";
import type { StoreCopy, StoreMoment } from "./store_copy.ts";
import { includedTensors, runsOf } from "./store_runs.ts";

/** A way to undo what happens to the tensors of a store. */
export interface Undo {
  /**
   * Runs `work`. When it fails the tensors are what they were before, unless the device is lost.
   *
   * @returns Whether it was run: not where there is no room to remember them all.
   */
  attempt(work: () => Promise<void>): Promise<boolean>;
}

/** Undoes by a copy of the store; nothing is run while that is in use for something else. */
export function undoBy(store: TensorStore, copy: StoreCopy): Undo {
  return {
    async attempt(work) {
      if (copy.isTaken) return false;
      const before = copy.take();
      try {
        const { streamedBytes } = await before.staging();
        if (streamedBytes > 0) return false;
        await workOrPutBack(store, before, work);
        return true;
      } finally {
        before.release();
      }
    },
  };
}

async function workOrPutBack(
  store: TensorStore,
  before: StoreMoment,
  work: () => Promise<void>,
): Promise<void> {
  try {
    await work();
  } catch (error) {
    store.gpu.assertAlive();
    await putBack(store, before);
    throw error;
  }
}

async function putBack(store: TensorStore, before: StoreMoment): Promise<void> {
  const { gpu } = store;
  const runs = runsOf(includedTensors(store, new Set()))[Symbol.iterator]();
  let run = runs.next().value;
  let at = 0;
  for await (const piece of before.bytes()) {
    for (let used = 0; used < piece.byteLength && run !== undefined;) {
      const part = piece.subarray(used, used + run.byteLength - at);
      gpu.write(run.buffer, run.offset + at, part);
      used += part.byteLength;
      at += part.byteLength;
      if (at < run.byteLength) continue;
      run = runs.next().value;
      at = 0;
    }
  }
  await gpu.idle();
}
