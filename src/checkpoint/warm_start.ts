import { type Work, WORK_OPTIONS } from "../base/work.ts";
import { MODEL_GROUP } from "../tensor/group_names.ts";
import { requireAwaited } from "../base/options/kind_of.ts";
import { checkOptions, type OptionNames } from "../base/options/options.ts";
import type { TensorStore } from "../tensor/tensor_store.ts";

import { restore } from "./restore/restore.ts";
import { PARTIAL_LOAD_OPTIONS, type PartialLoadOptions } from "./restore/partial_load_options.ts";
import type { LoadReport } from "./restore/load_report.ts";
import { openCheckpoint } from "./file/open_path.ts";

/** Options of {@link warmStart}. */
export interface WarmStartOptions extends Work, PartialLoadOptions {
  /** Whether the model's tensors have to fit exactly. Default true. */
  readonly strict?: boolean | undefined;
}

/** Every option of {@link WarmStartOptions}. */
export const WARM_START_OPTIONS: OptionNames<WarmStartOptions> = {
  ...WORK_OPTIONS,
  ...PARTIAL_LOAD_OPTIONS,
  strict: true,
};

/**
 * Loads a checkpoint's model and nothing else: no optimiser state, no step, no run id. The run that follows is a new
 * one from step 0 that begins with these weights.
 *
 * @param path Of the file, with or without ".cairn".
 * @throws CairnError `not_found`, `state_mismatch`, `checksum_mismatch`; then the store is as it was.
 */
export async function warmStart(
  store: TensorStore,
  path: string | URL,
  options: WarmStartOptions = {},
): Promise<LoadReport> {
  requireAwaited("The store", store, "TensorStore.open()");
  checkOptions("warmStart()", options, WARM_START_OPTIONS, "{ strict: false }");
  const checkpoint = await openCheckpoint(path, options.signal);
  try {
    return (await restore(checkpoint.source, { store }, { ...options, groups: [MODEL_GROUP] })).tensors;
  } finally {
    await checkpoint.close();
  }
}
