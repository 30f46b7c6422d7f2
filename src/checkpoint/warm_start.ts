import { checkOptions, type OptionNames } from "../base/options.ts";
import type { Storages } from "../storage/open_storage.ts";
import type { TensorStore } from "../tensor/tensor_store.ts";
import { type Checkpoint, CHECKPOINT_READ_OPTIONS, type CheckpointReadOptions } from "./checkpoint.ts";
import type { Engine } from "./engine.ts";
import { MODEL_GROUP } from "./load_checkpoint.ts";
import { PARTIAL_LOAD_OPTIONS, type PartialLoadOptions } from "./load_into.ts";
import type { LoadReport } from "./load_report.ts";
import { openCheckpoint } from "./open_path.ts";

/** Options of {@link warmStart}. */
export interface WarmStartOptions extends CheckpointReadOptions, PartialLoadOptions {
  /** Whether the model's tensors have to fit exactly. Default true. */
  readonly strict?: boolean;
}

/** Every option of {@link WarmStartOptions}. */
export const WARM_START_OPTIONS: OptionNames<WarmStartOptions> = {
  ...CHECKPOINT_READ_OPTIONS,
  ...PARTIAL_LOAD_OPTIONS,
  strict: true,
};

/**
 * Loads a checkpoint's model and nothing else: no optimiser state, no step, no run id. The run that follows is a new one from
 * step 0 that begins with these weights.
 *
 * @param path Of the file, with or without ".cairn".
 * @throws CairnError `not_found`, `state_mismatch`, `checksum_mismatch`; then the store is as it was.
 */
export async function warmStart(
  store: TensorStore,
  path: string | URL,
  options: WarmStartOptions = {},
): Promise<LoadReport> {
  checkOptions("warmStart()", options, WARM_START_OPTIONS, "{ strict: false }");
  const checkpoint = await openCheckpoint(path, options.signal);
  try {
    return await checkpoint.loadInto(store, { ...options, groups: [MODEL_GROUP] });
  } finally {
    await checkpoint.close();
  }
}

/**
 * Opens a checkpoint by what a user may name it: the engine's own by step, tag or path, any other by its path in the file
 * system or in one of `storages`. The caller closes it.
 */
export async function openFrom(
  engine: Engine,
  name: string | number | URL,
  signal?: AbortSignal,
  storages?: Storages,
): Promise<Checkpoint> {
  return typeof name === "number" || (typeof name === "string" && isOwnName(engine, name))
    ? await engine.load(name, signal === undefined ? {} : { signal })
    : await openCheckpoint(name, signal, storages);
}

/** Whether `name` is a tag, a file name, or the path of a file right in the engine's directory, and not below it. */
function isOwnName(engine: Engine, name: string): boolean {
  const own = engine.pathOf("x").slice(0, -"x.cairn".length);
  return !/[/\\]/.test(name.startsWith(own) ? name.slice(own.length) : name);
}
