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
// Errors and dtypes
export type { Clock } from "./src/base/clock.ts";
export type { DType } from "./src/base/dtype.ts";
export {
  CairnError,
  type CairnErrorCode,
  type CairnErrorDetails,
  type CairnErrorOptions,
} from "./src/base/errors.ts";

// The GPU
export type { BufferRange } from "./src/gpu/buffer_range.ts";
export type { PipelineSpec } from "./src/gpu/compute_pipeline.ts";
export type { GpuOptions, GpuProvider } from "./src/gpu/find_gpu.ts";
export { type GpuCounters, GpuDevice } from "./src/gpu/gpu_device.ts";

// Tensors and their store
export { HostTensor, type TensorArray } from "./src/tensor/host_tensor.ts";
export type { Shape } from "./src/tensor/shape.ts";
export type { Slab, StoredTensor, TensorGroup } from "./src/tensor/tensor_group.ts";
export { TensorStore, type TensorStoreStats } from "./src/tensor/tensor_store.ts";
export type { RawCut } from "./src/gpu_codec/levels_sources.ts";
export type { StepScalars } from "./src/kernels/step_scalars.ts";

// Values, gradients, executables
/** What models are made of: operations on values. */
export * as ops from "./src/graph/ops.ts";
export { gradients } from "./src/graph/autodiff.ts";
export { Executable, type ExecutableStats, type OutputCopy } from "./src/graph/executable.ts";
export type { RunInput } from "./src/graph/run_inputs.ts";
export type { Attributes, Value } from "./src/graph/value.ts";

// Layers, losses, optimisers
/** Layers, losses, metrics and initialisers. */
export * as nn from "./src/nn/nn.ts";
/** Optimisers and learning-rate schedules. */
export * as optim from "./src/nn/optim/optim.ts";

// The `.cairn` file
export type { CastDType } from "./src/container/read/cast.ts";
export type { ChunkCut } from "./src/container/format/chunk_plan.ts";
export type { ChunkRecord } from "./src/container/format/chunk_table.ts";
export type { CodecChoice, CompressionMode, EncodedChunk } from "./src/container/codec/choose.ts";
export type { Codec } from "./src/container/codec/codec.ts";
export { CodecPool, type Lent, type LentBytes, type LentChunk } from "./src/container/codec/codec_pool.ts";
export type { GpuCodingRates, WriteRates } from "./src/container/codec/coding_rates.ts";
export type { ChunkSums } from "./src/container/codec/decode_checked.ts";
export type { CodecName } from "./src/container/codec/table.ts";
export {
  ContainerReader,
  type RawChunksOptions,
  type ReadManyOptions,
  type ReadRangeOptions,
} from "./src/container/read/container_reader.ts";
export {
  ContainerWriter,
  type PlannedCut,
  type WriteReport,
} from "./src/container/write/container_writer.ts";
export type { RawLayout, TensorRecord, TensorSpec } from "./src/container/format/layout.ts";
export type { Manifest, Provenance, SavedBy } from "./src/container/format/manifest.ts";
export type { PartList, PartRecord, PartRole, RowShard } from "./src/container/format/part_list.ts";
export type { OpenOptions } from "./src/container/read/open_container.ts";
export { type ByteSink, type ByteSource, BytesSink, bytesSource } from "./src/container/source.ts";
export type { StateValue } from "./src/container/format/state_tree.ts";
export type { TensorReadOptions } from "./src/container/read/tensor_part.ts";
export type { TensorRef } from "./src/container/format/tensor_ref.ts";
export type { TensorSlice } from "./src/container/read/tensor_slice.ts";
export type { Damage, ReadOptions, VerifyReport } from "./src/container/read/verify.ts";

// Where bytes live
export { BlobSource } from "./src/storage/blob_source.ts";
export { FileSource } from "./src/storage/file_source.ts";
export { FileStorage } from "./src/storage/file_storage.ts";
export { HttpSource, type HttpSourceOptions } from "./src/storage/http_source.ts";
export { MemoryStorage } from "./src/storage/memory_storage.ts";
export { openStorage, type StorageOpener, type Storages } from "./src/storage/open_storage.ts";
export type {
  MoveOptions,
  Storage,
  StorageEntry,
  StorageReader,
  StorageWriter,
} from "./src/storage/storage.ts";

// Snapshots, engines, recovery
export type { BackgroundSaveOptions, BackgroundSaverOptions } from "./src/checkpoint/background_saver.ts";
export type { StoredDType } from "./src/checkpoint/capture/cast_tensors.ts";
export {
  type Catalog,
  type CatalogOptions,
  type CheckpointSummary,
  readCatalog,
  type SkippedCheckpoint,
} from "./src/checkpoint/engine/catalog.ts";
export {
  Checkpoint,
  type CheckpointLoadOptions,
  type CheckpointReadOptions,
} from "./src/checkpoint/file/checkpoint.ts";
export type {
  CheckpointEndEvent,
  CheckpointEvent,
  CheckpointEventHandler,
  CheckpointOperation,
  CheckpointStartEvent,
} from "./src/checkpoint/checkpoint_events.ts";
export {
  type CheckpointingConfig,
  checkpointingConfig,
  type CheckpointingFields,
} from "./src/checkpoint/compat/checkpointing_config.ts";
export { chooseEngine, type EngineChoice } from "./src/checkpoint/compose/choose_engine.ts";
export { CommitInfo, type CommitInfoFields } from "./src/checkpoint/engine/commit_info.ts";
export type { EncodableCut, EncodableCuts } from "./src/checkpoint/capture/encoding_stages.ts";
export { DecoupledEngine, type DecoupledEngineOptions } from "./src/checkpoint/compose/decoupled_engine.ts";
export type { DiskRoomOptions, DiskShortage, OnDiskFull } from "./src/checkpoint/engine/disk_space.ts";
export type {
  CommitReport,
  CommitTarget,
  CreateOptions,
  Engine,
  EngineCommitOptions,
  EngineLoadOptions,
  MakeDirsOptions,
  RemoveOptions,
  SaveOptions,
} from "./src/checkpoint/engine/engine.ts";
export {
  type ConformanceCheck,
  engineConformance,
  type EngineUnderTest,
} from "./src/checkpoint/compose/engine_conformance.ts";
export type { EngineGroup, GroupSave, MemberFailure } from "./src/checkpoint/compose/engine_group.ts";
export { EngineWrapper } from "./src/checkpoint/compose/engine_wrapper.ts";
export {
  checkpointsIterator,
  type CheckpointsIteratorOptions,
  watchCheckpoints,
} from "./src/checkpoint/keep/evaluators/checkpoints_iterator.ts";
export {
  type CheckpointName,
  DONE_EVAL_SUBDIR,
  evalDonePath,
  evalSubdir,
  isDoneEval,
  markDoneEval,
} from "./src/checkpoint/keep/evaluators/done_marks.ts";
export {
  evaluateCheckpoints,
  type EvaluateCheckpointsOptions,
  type EvaluationLoopReport,
} from "./src/checkpoint/keep/evaluators/evaluate_checkpoints.ts";
export { Lease, type LeaseOptions } from "./src/checkpoint/keep/evaluators/lease.ts";
export {
  type EvaluatorsReport,
  waitForEvaluators,
  type WaitForEvaluatorsOptions,
} from "./src/checkpoint/keep/evaluators/wait_for_evaluators.ts";
export type { FieldLoadOptions } from "./src/checkpoint/field_snapshot.ts";
export { FileEngine } from "./src/checkpoint/engine/file_engine.ts";
export type { FileEngineOptions, FileSaveOptions } from "./src/checkpoint/engine/file_engine_options.ts";
export {
  getCheckpoint,
  type GetCheckpointOptions,
  getCheckpoints,
  stepFromCheckpoint,
} from "./src/checkpoint/keep/find.ts";
export type {
  BytesListener,
  CheckpointState,
  FrozenCheckpoint,
} from "./src/checkpoint/capture/frozen_checkpoint.ts";
export type { HostState, Stateful, StateInput } from "./src/checkpoint/capture/host_state.ts";
export {
  initializeFromCheckpoint,
  type InitializeOptions,
  type InitializeReport,
} from "./src/checkpoint/compat/initialize_from_checkpoint.ts";
export { findCheckpoint, LazyCheckpoint } from "./src/checkpoint/lazy_checkpoint.ts";
export {
  loadCheckpoint,
  type LoadCheckpointOptions,
  type LoadCheckpointResult,
  type LoadTarget,
} from "./src/checkpoint/compat/load_checkpoint.ts";
export { loadModelCode, type LoadModelCodeOptions } from "./src/checkpoint/file/load_model_code.ts";
export {
  loadParts,
  type LoadPartsOptions,
  type LoadPartsReport,
} from "./src/checkpoint/compat/load_parts.ts";
export type { LoadReport, Mismatch, TensorForm } from "./src/checkpoint/restore/load_report.ts";
export { loadTensor } from "./src/checkpoint/engine/load_tensor.ts";
export type { LockIdentity, LockOwner } from "./src/checkpoint/engine/lock/lock_owner.ts";
export { MirrorEngine, type MirrorOptions } from "./src/checkpoint/compose/mirror_engine.ts";
export type { ModelCode } from "./src/checkpoint/capture/model_code.ts";
export type { NamePattern, RenameRule } from "./src/base/name_pattern.ts";
export {
  type CheckpointManifest,
  type ManifestEntry,
  objectPath,
} from "./src/checkpoint/file/object_path.ts";
export type { EngineTarget } from "./src/checkpoint/engine/open_engine.ts";
export { openCheckpoint } from "./src/checkpoint/file/open_path.ts";
export type { EncodableTensors } from "./src/checkpoint/capture/checkpoint_source.ts";
export type { Components, PartPlan } from "./src/checkpoint/file/parts/components.ts";
export { type PlacementReport, type RankView, rowsOfRank } from "./src/checkpoint/file/parts/rank_view.ts";
export type { WrittenPart } from "./src/checkpoint/file/parts/write_part.ts";
export type {
  PendingPhase,
  PendingProgress,
  PendingSnapshot,
  PendingStatus,
  SaveProgress,
  SaveReport,
  StagingKind,
} from "./src/checkpoint/pending_snapshot.ts";
export { readModelCode } from "./src/checkpoint/file/read_model_code.ts";
export type { ReadObjectOptions } from "./src/checkpoint/file/read_object.ts";
export type { ReadWithinOptions } from "./src/checkpoint/file/read_within.ts";
export { recover, type RecoverOptions, type Recovery } from "./src/checkpoint/keep/recovery.ts";
export type { StateByName, StateReport } from "./src/checkpoint/restore/restore_state.ts";
export {
  planRetention,
  retain,
  type RetainOptions,
  type RetentionContext,
  type RetentionDecision,
  type RetentionPolicy,
  type RetentionReport,
} from "./src/checkpoint/keep/retention/retention.ts";
export { keepAll, lastN } from "./src/checkpoint/keep/retention/by_count.ts";
export { bestN, type BestNOptions } from "./src/checkpoint/keep/retention/by_metric.ts";
export {
  closestToGrid,
  everyNSteps,
  type EveryNStepsOptions,
  explicitSteps,
} from "./src/checkpoint/keep/retention/by_step.ts";
export { everyNSeconds, latestDuration } from "./src/checkpoint/keep/retention/by_time.ts";
export { allOf, anyOf } from "./src/checkpoint/keep/retention/combine.ts";
export type { RankedMetric } from "./src/checkpoint/keep/retention/metric_direction.ts";
export type { RetentionCandidate, RetentionRule } from "./src/checkpoint/keep/retention/rule.ts";
export { saveCheckpoint, type SaveCheckpointOptions } from "./src/checkpoint/compat/save_checkpoint.ts";
export type { RankSaveOptions } from "./src/checkpoint/ranks/rank_options.ts";
export { setAside, type SetAsideReport } from "./src/checkpoint/keep/quarantine.ts";
export { splitCheckpoint, type SplitCheckpointOptions } from "./src/checkpoint/compat/split_checkpoint.ts";
export {
  type ModelState,
  type RestoreOptions,
  type RestoreReport,
  Snapshot,
  type SnapshotOptions,
  type SnapshotState,
} from "./src/checkpoint/snapshot.ts";
export type { EncodedPiece, Staging, StoreCopyOptions } from "./src/checkpoint/capture/store_copy.ts";
export {
  agreeOnTag,
  parseTagValidation,
  type TagAgreement,
  tagDigest,
  type TagValidation,
  validateTagDigests,
} from "./src/checkpoint/ranks/tag_validation.ts";
export type { FitOptions, FoundTensor, ShapePolicy } from "./src/checkpoint/restore/tensor_fit.ts";
export { type Tier, TieredEngine } from "./src/checkpoint/compose/tiered_engine.ts";
export type { TypedArray } from "./src/checkpoint/capture/typed_arrays.ts";
export { warmStart, type WarmStartOptions } from "./src/checkpoint/warm_start.ts";
export type { WriterLockOptions } from "./src/checkpoint/engine/lock/writer_lock.ts";

// Training
export type {
  AutoSaveOptions,
  AutoSaveSettings,
  BestPolicy,
  KeepPolicy,
  KeepSettings,
} from "./src/train/saves/auto_save_options.ts";
export { AutoSaver } from "./src/train/saves/auto_saver.ts";
export type { AutoSaverState, BestSave } from "./src/train/loop/auto_saver_state.ts";
export type { FailedSave, SaveRecord } from "./src/train/saves/auto_saves.ts";
export type { Batch, BatchRequest, BatchSource, ExampleSpec } from "./src/data/batch_source.ts";
export { DataLoader, type LoaderState } from "./src/data/data_loader.ts";
export type { OnDeviceLost } from "./src/train/device_losses.ts";
export type { EvaluateOptions, EvaluationReport } from "./src/train/loop/evaluation.ts";
export type { NonFiniteResult } from "./src/train/loop/find_non_finite.ts";
export type { NonFiniteBatch, NonFiniteDetails, NonFinitePolicy } from "./src/train/loop/non_finite.ts";
export type { ValidationOptions } from "./src/train/loop/validation_settings.ts";
export type { EpochRecord, TrainingHistory } from "./src/train/loop/history.ts";
export type { InterruptSignal, SignalOptions } from "./src/train/interrupts.ts";
export { NameTemplate } from "./src/train/saves/name_template.ts";
export {
  type ProgressReporter,
  terminalProgress,
  type TerminalProgressOptions,
  type TextStream,
  type TrainingProgress,
} from "./src/train/log/progress.ts";
export type { RecoverRunOptions, ResumeOptions, ResumeReport } from "./src/train/restore.ts";
export type { Seed } from "./src/data/seed.ts";
export type { StepEvent, TrainOptions, TrainReport } from "./src/train/train_loop.ts";
export { Trainer, type TrainerLoadOptions, type TrainerSaveOptions } from "./src/train/trainer.ts";
