import { CairnError } from "../../base/errors.ts";
import { FileEngine } from "../../checkpoint/engine/file_engine.ts";
import { Snapshot } from "../../checkpoint/snapshot.ts";
import type { FileStorage } from "../../storage/file_storage.ts";
import { TensorStore } from "../../tensor/tensor_store.ts";
import type { BenchContents } from "./contents.ts";
import { median } from "./disk_ceilings.ts";

/** How long a training waits for a save, and how long the save takes behind it. */
export interface StallFigures {
  readonly adapter: string;
  readonly isCpuAdapter: boolean;
  /** Bytes on the GPU. */
  readonly byteLength: number;
  /** From the call until the GPU has its copy, and training may go on. */
  readonly stallMs: number;
  /** From the call until the checkpoint is durable. */
  readonly durableMs: number;
}

/** Tensors beside a state of this size tell no more, and may not fit a GPU. */
const MOST_BYTES = 256 * 1024 * 1024;

/** Saves tensors of a GPU in the background; a sentence where there is no GPU. */
export async function measureStall(
  storage: FileStorage,
  contents: BenchContents,
  rounds: number,
): Promise<StallFigures | string> {
  let store: TensorStore;
  try {
    store = await TensorStore.open();
  } catch (error) {
    if (error instanceof CairnError && (error.code === "no_webgpu" || error.code === "no_adapter")) {
      return error.message;
    }
    throw error;
  }
  try {
    return await stallOf(store, storage, contents, rounds);
  } finally {
    await store.close();
  }
}

async function stallOf(
  store: TensorStore,
  storage: FileStorage,
  contents: BenchContents,
  rounds: number,
): Promise<StallFigures> {
  let byteLength = 0;
  const chosen = Object.entries(contents.tensors).filter(([, { bytes }]) =>
    byteLength + bytes.byteLength <= MOST_BYTES && (byteLength += bytes.byteLength) > 0
  );
  store.define("model", chosen.map(([name, { dtype, shape }]) => ({ name, dtype, shape })));
  store.write(Object.fromEntries(chosen.map(([name, tensor]) => [`model.${name}`, tensor])));
  const engine = await FileEngine.open(storage, { verifyEvery: 0 });
  const snapshot = new Snapshot(engine, { store }, { overwrite: true });
  const [stalls, wholes]: [number[], number[]] = [[], []];
  try {
    for (let round = 0; round < rounds; round++) {
      await store.gpu.device.queue.onSubmittedWorkDone();
      const start = performance.now();
      const pending = await snapshot.save("bench-gpu");
      await store.gpu.device.queue.onSubmittedWorkDone();
      stalls.push(performance.now() - start);
      await pending.wait();
      wholes.push(performance.now() - start);
    }
  } finally {
    await snapshot.close();
    await engine.remove("bench-gpu").catch(() => {});
  }
  const { adapterName: adapter, isCpuAdapter } = store.gpu;
  return { adapter, isCpuAdapter, byteLength, stallMs: median(stalls), durableMs: median(wholes) };
}
