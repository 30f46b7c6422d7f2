import { type Work, WORK_OPTIONS } from "../../base/work.ts";
import { MODEL_GROUP } from "../../tensor/group_names.ts";
import { requireAwaited } from "../../base/options/kind_of.ts";
import { checkOptions, type OptionNames } from "../../base/options/options.ts";
import type { TensorStore } from "../../tensor/tensor_store.ts";
import { isHostTensorName } from "../capture/host_state.ts";

import { restore } from "../restore/restore.ts";
import { PARTIAL_LOAD_OPTIONS, type PartialLoadOptions } from "../restore/partial_load_options.ts";
import type { LoadReport } from "../restore/load_report.ts";
import { adaptModulePrefix } from "./module_prefix.ts";
import { openCheckpoint } from "../file/open_path.ts";

/** Options of {@link initializeFromCheckpoint}. */
export interface InitializeOptions extends Work, PartialLoadOptions {
  /** Whether the model's tensors have to fit exactly. Default true. */
  readonly strict?: boolean | undefined;
}

/** Every option of {@link InitializeOptions}. */
export const INITIALIZE_OPTIONS: OptionNames<InitializeOptions> = {
  ...WORK_OPTIONS,
  ...PARTIAL_LOAD_OPTIONS,
  strict: true,
};

/** What {@link initializeFromCheckpoint} did. */
export interface InitializeReport extends LoadReport {
  /** What else is in the file and was left out, where it is a whole run's. */
  readonly warnings: readonly string[];
}

/**
 * Gives a model the weights of a file, and nothing else of it: a checkpoint of a run, or a file of nothing but a
 * model's tensors. Where one side has `module.` in front of its names and the other has not, that is put right,
 * unless `rename` says how names change.
 *
 * @param path Of the file, with or without ".cairn".
 * @throws CairnError `not_found`, `state_mismatch`, `checksum_mismatch`; then the store is as it was.
 */
export async function initializeFromCheckpoint(
  store: TensorStore,
  path: string | URL,
  options: InitializeOptions = {},
): Promise<InitializeReport> {
  requireAwaited("The store", store, "TensorStore.open()");
  checkOptions("initializeFromCheckpoint()", options, INITIALIZE_OPTIONS, "{ strict: false }");
  const checkpoint = await openCheckpoint(path, options.signal);
  try {
    const { reader } = checkpoint;
    const rename = options.rename ?? adaptModulePrefix(reader, store);
    const plan = { ...options, rename, groups: [MODEL_GROUP] };
    const { tensors: report } = await restore(checkpoint.source, { store }, plan);
    const taken = report.loaded.length + report.unexpected.length + report.mismatched.length +
      report.skipped.length;
    const others = reader.tensors.filter(({ name }) => !isHostTensorName(name)).length - taken;
    const isRun = others > 0 || Object.keys(reader.manifest.state ?? {}).length > 0;
    const warning =
      `"${checkpoint.path}" holds a whole run: ${others} tensors of it and its state were left out`;
    return { ...report, warnings: isRun ? [warning] : [] };
  } finally {
    await checkpoint.close();
  }
}
