/**
 * Where checkpoints go, and how they come back: the engines that write and commit, engines made of engines,
 * retention, recovery, and what a program reads of a checkpoint besides its tensors. `Snapshot` and `Trainer` use an
 * engine by themselves.
 *
 * @example
 * ```ts
 * import { Snapshot } from "@cairn-ml/cairn";
 * import { FileEngine, MirrorEngine, readCatalog, recover } from "@cairn-ml/cairn/engine";
 *
 * // Each checkpoint is written to two disks, and is there when both have it.
 * const engine = await MirrorEngine.open(["checkpoints", "backup"]);
 * const snapshot = new Snapshot(engine, { notes: { epoch: 3 } });
 * await (await snapshot.save(100)).wait();
 * await snapshot.close();
 *
 * const backup = await FileEngine.open("backup");
 * console.log((await readCatalog(backup)).checkpoints.map(({ tag }) => tag)); // ["100"]
 * const { checkpoint } = await recover(backup); // the newest of which every byte is sound
 * console.log(await checkpoint?.state());
 * await checkpoint?.close();
 * ```
 *
 * @module
 */
export type { Clock } from "../base/clock.ts";
export type { CairnErrorOptions } from "../base/errors.ts";
export type { NamePattern, RenameRule } from "../base/name_pattern.ts";
export type { OptionNames } from "../base/options/options.ts";
export type { Throughput, Work, WorkProgress } from "../base/work.ts";
export type { BackgroundSaveOptions, BackgroundSaverOptions } from "../checkpoint/background_saver.ts";
export type { StoredDType } from "../checkpoint/capture/cast_tensors.ts";
export type { CheckpointState, FrozenCheckpoint } from "../checkpoint/capture/frozen_checkpoint.ts";
export type { HostState, StateInput } from "../checkpoint/capture/state_types.ts";
export type { ModelCode } from "../checkpoint/capture/model_code.ts";
export type { StoreCopyOptions } from "../checkpoint/capture/store_copy.ts";
export type { Staging } from "../checkpoint/capture/store_moment.ts";
export type { TypedArray } from "../checkpoint/capture/typed_arrays.ts";
export type {
  CheckpointEndEvent,
  CheckpointEvent,
  CheckpointEventHandler,
  CheckpointOperation,
  CheckpointStartEvent,
} from "../checkpoint/checkpoint_events.ts";
export { chooseEngine, type EngineChoice } from "../checkpoint/compose/choose_engine.ts";
export { DecoupledEngine, type DecoupledEngineOptions } from "../checkpoint/compose/decoupled_engine.ts";
export {
  type ConformanceCheck,
  engineConformance,
  type EngineUnderTest,
} from "../checkpoint/compose/engine_conformance.ts";
export type { EngineGroup } from "../checkpoint/compose/engine_group.ts";
export { EngineWrapper } from "../checkpoint/compose/engine_wrapper.ts";
export { MirrorEngine, type MirrorOptions } from "../checkpoint/compose/mirror_engine.ts";
export { type Tier, TieredEngine } from "../checkpoint/compose/tiered_engine.ts";
export {
  type Catalog,
  type CatalogOptions,
  type CheckpointSummary,
  readCatalog,
  type SkippedCheckpoint,
} from "../checkpoint/engine/catalog.ts";
export type { CheckpointFolder } from "../checkpoint/engine/checkpoint_folder.ts";
export { CommitInfo, type CommitInfoFields } from "../checkpoint/engine/commit_info.ts";
export type { DiskShortage, DiskSpaceOptions, OnDiskFull } from "../checkpoint/engine/disk_space.ts";
export type {
  CommitReport,
  CommitTarget,
  CreateOptions,
  Engine,
  EngineCommitOptions,
  EngineLoadOptions,
  RemoveOptions,
  SaveOptions,
} from "../checkpoint/engine/engine.ts";
export { FileEngine } from "../checkpoint/engine/file_engine.ts";
export type { FileEngineOptions, FileSaveOptions } from "../checkpoint/engine/file_engine_options.ts";
export { SessionEngine, type Writing } from "../checkpoint/engine/session_engine.ts";
export { loadTensor } from "../checkpoint/engine/load_tensor.ts";
export type { LockOwner } from "../checkpoint/engine/lock/lock_owner.ts";
export type { WriterLockOptions } from "../checkpoint/engine/lock/writer_lock_options.ts";
export type { EngineTarget } from "../checkpoint/engine/engine_target.ts";
export type {
  FieldLoadOptions,
  FieldSaveOptions,
  FieldSnapshot,
  SnapshotFields,
} from "../checkpoint/field_snapshot.ts";
export { loadModelCode, type LoadModelCodeOptions } from "../checkpoint/file/load_model_code.ts";
export { type CheckpointManifest, type ManifestEntry, objectPath } from "../checkpoint/file/object_path.ts";
export type { Components } from "../checkpoint/file/parts/components.ts";
export { readModelCode } from "../checkpoint/file/read_model_code.ts";
export type { ReadObjectOptions } from "../checkpoint/file/read_object.ts";
export type { ReadWithinOptions } from "../checkpoint/file/read_within.ts";
export { stepFromCheckpoint } from "../checkpoint/keep/newest_checkpoint.ts";
export { quarantine, type QuarantineReport } from "../checkpoint/keep/quarantine.ts";
export { recover, type RecoverOptions, type Recovery } from "../checkpoint/keep/recovery.ts";
export {
  planRetention,
  retain,
  type RetainOptions,
  type RetentionContext,
  type RetentionDecision,
  type RetentionPolicy,
  type RetentionReport,
} from "../checkpoint/keep/retention/retention.ts";
export { findCheckpoint, LazyCheckpoint } from "../checkpoint/lazy_checkpoint.ts";
export type {
  PendingPhase,
  PendingProgress,
  PendingStatus,
  StagingKind,
} from "../checkpoint/pending_snapshot.ts";
export type { Mismatch, TensorComparison, TensorForm } from "../checkpoint/restore/load_report.ts";
export type { StateByName, StateReport } from "../checkpoint/restore/restore_state.ts";
export type { FitOptions, ShapePolicy } from "../checkpoint/restore/tensor_fit.ts";
export type { PartialLoadOptions } from "../checkpoint/restore/partial_load_options.ts";
export type { ModelState } from "../checkpoint/snapshot_state.ts";
export { warmStart, type WarmStartOptions } from "../checkpoint/warm_start.ts";
export type { RetentionCandidate, RetentionRule } from "../checkpoint/keep/retention/rule.ts";
