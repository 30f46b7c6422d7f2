/**
 * Train models on WebGPU from Deno, Bun and Node, and never lose them: stop, be killed or change machine, and go on from exactly
 * where you were, bit for bit.
 *
 * @example
 * ```ts
 * import { DataLoader, HostTensor, nn, optim, TensorStore, Trainer } from "@cairn-ml/cairn";
 *
 * const inputs = HostTensor.from([0, 0, 0, 1, 1, 0, 1, 1], [4, 2], "f32");
 * const labels = HostTensor.from([0, 1, 1, 0], [4], "u32");
 *
 * const store = await TensorStore.open();
 * const trainer = new Trainer(store, {
 *   model: nn.sequential(nn.linear(2, 16), nn.tanh(), nn.linear(16, 2)),
 *   loss: nn.crossEntropy(),
 *   optimizer: optim.adamw({ learningRate: 0.05 }),
 *   data: DataLoader.from({ inputs, labels }, { batchSize: 4 }),
 *   seed: 1,
 * });
 * trainer.autoSave({ interval: 50, savePath: "checkpoints", keep: { last: 2 } });
 * await trainer.resume();
 * await trainer.train({ epochs: 200 });
 * await trainer.close();
 * await store.close();
 * ```
 *
 * @module
 */
export { CairnError, type CairnErrorCode, type CairnErrorDetails } from "./src/base/errors.ts";
export type { DType } from "./src/base/dtype.ts";

export type { GpuOptions } from "./src/gpu/find_gpu.ts";
export { GpuDevice } from "./src/gpu/gpu_device.ts";
export { HostTensor } from "./src/tensor/host_tensor.ts";
export { TensorStore } from "./src/tensor/tensor_store.ts";

export * as ops from "./src/graph/ops.ts";
export { Executable } from "./src/graph/executable.ts";
export { gradients } from "./src/graph/autodiff.ts";
export type { Value } from "./src/graph/value.ts";
export * as nn from "./src/nn/nn.ts";
export * as optim from "./src/nn/optim/optim.ts";

export { FileStorage } from "./src/storage/file_storage.ts";
export { MemoryStorage } from "./src/storage/memory_storage.ts";
export type { Storage } from "./src/storage/storage.ts";

export { ContainerReader } from "./src/container/container_reader.ts";
export { ContainerWriter } from "./src/container/container_writer.ts";

export { CommitInfo } from "./src/checkpoint/commit_info.ts";
export type { Engine } from "./src/checkpoint/engine.ts";
export { FileEngine } from "./src/checkpoint/file_engine.ts";
export { getCheckpoint, getCheckpoints, stepFromCheckpoint } from "./src/checkpoint/find.ts";
export { loadCheckpoint } from "./src/checkpoint/load_checkpoint.ts";
export { saveCheckpoint } from "./src/checkpoint/save_checkpoint.ts";
export { Checkpoint } from "./src/checkpoint/checkpoint.ts";
export { openCheckpoint } from "./src/checkpoint/open_path.ts";
export { Snapshot } from "./src/checkpoint/snapshot.ts";

export { AutoSaver } from "./src/train/auto_saver.ts";
export { DataLoader } from "./src/train/data_loader.ts";
export { terminalProgress } from "./src/train/progress.ts";
export { Trainer } from "./src/train/trainer.ts";
