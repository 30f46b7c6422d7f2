import type { Engine } from "../../src/checkpoint/engine/engine.ts";
import { FileEngine, type FileEngineOptions } from "../../src/checkpoint/engine/file_engine.ts";
import type { GpuDevice } from "../../src/gpu/gpu_device.ts";
import type { Storage } from "../../src/storage/storage.ts";
import { MemoryStorage } from "../../src/storage/memory_storage.ts";
import { HostTensor } from "../../src/tensor/host_tensor.ts";
import { TensorStore } from "../../src/tensor/tensor_store.ts";

export { atEveryOperation, FaultStorage } from "../helpers/fault_storage.ts";
export { codeOf, errorOf } from "../storage/storage_contract.ts";

export const RUN_ID = "0123456789abcdef0123456789abcdef";
export const OTHER_RUN_ID = "fedcba9876543210fedcba9876543210";

/** Bytes that look random and are the same in every run of the tests. */
export function counterRandom(seed = 1): (byteLength: number) => Uint8Array {
  let state = seed;
  return (byteLength) =>
    Uint8Array.from({ length: byteLength }, () => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return state >>> 24;
    });
}

/** An engine in memory whose clock goes on by a second with every look. */
export async function memoryEngine(
  storage: Storage = new MemoryStorage(),
  options: FileEngineOptions = {},
): Promise<FileEngine> {
  let nowMs = Date.UTC(2026, 0, 1);
  const now = (): number => nowMs += 1000;
  return await FileEngine.open(storage, { runId: RUN_ID, random: counterRandom(), now, ...options });
}

/** Names of all files at the root of a storage. */
export async function fileNames(storage: Storage): Promise<string[]> {
  return (await storage.list("")).map(({ name }) => name);
}

/** Saves a host state under a tag, all the way. */
export async function saveState(
  engine: Engine,
  tag: string | number,
  state: { readonly [name: string]: number },
  options: { overwrite?: boolean; metrics?: Record<string, number>; step?: number } = {},
): Promise<void> {
  const { metrics, step } = options;
  await engine.create(tag, { overwrite: options.overwrite ?? false });
  await engine.save({
    state,
    ...metrics === undefined ? {} : { metrics },
    // As an automatic save, which retention may delete.
    provenance: { savedBy: "auto", ...step === undefined ? {} : { step } },
  });
  await engine.commit(tag);
}

/** The host state of a checkpoint, every byte of which was checked. */
export async function loadState(engine: Engine, tag: string | number): Promise<unknown> {
  const checkpoint = await engine.load(tag);
  try {
    await checkpoint.verify();
    return await checkpoint.state();
  } finally {
    await checkpoint.close();
  }
}

/** A store with a model in two slabs, a twin group of the optimiser, tied weights, odd sizes, and an empty tensor. */
export function smallStore(gpu: GpuDevice, slabBytes = 4096): TensorStore {
  const store = TensorStore.on(gpu, { slabBytes });
  store.define("model", [
    { name: "0.weight", dtype: "f32", shape: [20, 30] },
    { name: "0.bias", dtype: "f32", shape: [30] },
    { name: "mask", dtype: "u8", shape: [7] },
    { name: "nothing", dtype: "f32", shape: [0, 4] },
    { name: "1.weight", dtype: "f32", shape: [30, 31] },
    { name: "tied", dtype: "f32", shape: [20, 30], aliasOf: "0.weight" },
  ]);
  store.mirror("optimizer.m", "model");
  return store;
}

/** Fills every tensor with numbers that depend on `seed`; some are NaN with a payload, infinite, or -0. */
export function fillStore(store: TensorStore, seed: number): void {
  const random = counterRandom(seed);
  const values: Record<string, HostTensor> = {};
  for (const { name, dtype, shape, byteLength, aliasOf } of store.tensors()) {
    if (aliasOf !== undefined) continue;
    values[name] = HostTensor.fromBytes(random(byteLength), dtype, shape);
  }
  store.write(values);
}

/** Every tensor's bytes, to be compared. */
export async function contentsOf(store: TensorStore, prefix = ""): Promise<Record<string, string>> {
  const names = store.tensors().map(({ name }) => name).filter((name) => name.startsWith(prefix));
  const read = await store.read(names);
  return Object.fromEntries([...read].map(([name, { bytes }]) => [name, bytes.join(",")]));
}
