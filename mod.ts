/**
 * Train models on WebGPU from Deno, Bun and Node, and never lose them: stop, be killed or change machine, and go on
 * from exactly where you were, bit for bit.
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
/** Operations on values, of which models are made. */
export * as ops from "./src/graph/ops.ts";
/** Layers, losses, metrics and initialisers. */
export * as nn from "./src/nn/nn.ts";
/** Optimisers and learning-rate schedules. */
export * as optim from "./src/nn/optim/optim.ts";
/** Rules that say which checkpoints are kept. */
export * as keep from "./src/checkpoint/keep/retention/keep.ts";
export type { DType } from "./src/base/dtype.ts";
export { CairnError, type CairnErrorCode, type CairnErrorDetails } from "./src/base/errors.ts";
export { HostTensor, type TensorArray } from "./src/tensor/host_tensor.ts";
export type { Shape } from "./src/tensor/shape.ts";
export type { StoredTensor } from "./src/tensor/tensor_group.ts";
export { TensorStore, type TensorStoreOptions } from "./src/tensor/tensor_store.ts";
export type { Value } from "./src/graph/value.ts";
export type { Stateful } from "./src/checkpoint/capture/state_types.ts";
export { Checkpoint } from "./src/checkpoint/file/checkpoint.ts";
export { openCheckpoint } from "./src/checkpoint/file/open_path.ts";
export {
  getCheckpoint,
  type GetCheckpointOptions,
  getCheckpoints,
} from "./src/checkpoint/keep/newest_checkpoint.ts";
export type { PendingSnapshot, SaveReport } from "./src/checkpoint/pending_snapshot.ts";
export type { LoadReport } from "./src/checkpoint/restore/load_report.ts";
export type { CheckpointLoadOptions } from "./src/checkpoint/restore/restore.ts";
export type { RestoreReport } from "./src/checkpoint/run_snapshot.ts";
export { Snapshot } from "./src/checkpoint/snapshot.ts";
export type { RestoreOptions, SnapshotOptions } from "./src/checkpoint/snapshot_options.ts";
export type { SnapshotState } from "./src/checkpoint/snapshot_state.ts";
export type { Batch, BatchSource } from "./src/data/batch_source.ts";
export { DataLoader, type DataLoaderOptions, type Dataset } from "./src/data/data_loader.ts";
export type { SignalOptions } from "./src/train/interrupts.ts";
export { terminalProgress } from "./src/train/log/progress.ts";
export type { Callback } from "./src/train/callbacks/callback.ts";
export { earlyStopping } from "./src/train/callbacks/early_stopping.ts";
export { reduceOnPlateau } from "./src/train/callbacks/reduce_on_plateau.ts";
export type { TrainingProgress } from "./src/train/callbacks/training_progress.ts";
export type { EvaluateOptions, EvaluationReport } from "./src/train/measure/evaluation.ts";
export type { EpochRecord, TrainingHistory } from "./src/train/loop/history.ts";
export type { NonFiniteDetails } from "./src/train/loop/non_finite.ts";
export type { ValidationOptions } from "./src/train/loop/validation_settings.ts";
export type { ResumeOptions, ResumeReport, TrainerLoadOptions } from "./src/train/restore_options.ts";
export type { AutoSaveOptions, BestPolicy, KeepPolicy } from "./src/train/saves/auto_save_options.ts";
export { AutoSaver } from "./src/train/saves/auto_saver.ts";
export type { SaveRecord } from "./src/train/saves/scheduled_saves.ts";
export type { StepEvent, TrainOptions, TrainReport } from "./src/train/train_options.ts";
export { Predictor, type PredictorOptions } from "./src/predict/predictor.ts";
export { Trainer, type TrainerOptions } from "./src/train/trainer.ts";
export type { TrainerSaveOptions } from "./src/train/save_options.ts";
