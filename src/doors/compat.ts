/**
 * Saving and loading as other systems name it: DeepSpeed's `saveCheckpoint` and `loadCheckpoint` with tags and a
 * client state, and the rest of its engine's interface; TensorFlow's `initializeFromCheckpoint`. A new program does
 * as well with `Snapshot`.
 *
 * @example
 * ```ts
 * import { loadCheckpoint, saveCheckpoint } from "@cairn-ml/cairn/compat";
 *
 * const state = { seen: new Set(["a", "b"]) };
 * await saveCheckpoint("checkpoints", { state }, { tag: 100, clientState: { epoch: 3 } });
 *
 * const { tag, clientState } = await loadCheckpoint("checkpoints"); // the newest of which every byte is sound
 * console.log(tag, clientState);
 * ```
 *
 * @module
 */
export {
  type CheckpointingConfig,
  checkpointingConfig,
  type CheckpointingFields,
} from "../checkpoint/compat/checkpointing_config.ts";
export { DeepSpeedEngine, type MakeDirsOptions } from "../checkpoint/compat/deepspeed_engine.ts";
export {
  initializeFromCheckpoint,
  type InitializeOptions,
  type InitializeReport,
} from "../checkpoint/compat/initialize_from_checkpoint.ts";
export {
  loadCheckpoint,
  type LoadCheckpointOptions,
  type LoadCheckpointResult,
  type LoadTarget,
} from "../checkpoint/compat/load_checkpoint.ts";
export { loadParts, type LoadPartsOptions, type LoadPartsReport } from "../checkpoint/compat/load_parts.ts";
export { saveCheckpoint, type SaveCheckpointOptions } from "../checkpoint/compat/save_checkpoint.ts";
export { splitCheckpoint, type SplitCheckpointOptions } from "../checkpoint/compat/split_checkpoint.ts";
