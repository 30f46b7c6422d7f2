import { checkOptions, type OptionNames } from "../../base/options/options.ts";
import { CairnError } from "../../base/errors.ts";
import type { Storages } from "../../storage/open_storage.ts";
import type { ModelCode } from "../capture/model_code.ts";
import { openCheckpoint } from "./open_path.ts";

/** Options of {@link loadModelCode}. */
export interface LoadModelCodeOptions {
  /** Storages of others by scheme, for a path such as `s3://bucket/best`. */
  readonly storages?: Storages | undefined;
  /** Stops reading, which then rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

/** Every option of {@link LoadModelCodeOptions}. */
export const LOAD_MODEL_CODE_OPTIONS: OptionNames<LoadModelCodeOptions> = { storages: true, signal: true };

/**
 * The code that a checkpoint was saved with, as text. It is not run, and nothing else of the file is read.
 *
 * @param path Of the file, with or without ".cairn".
 * @throws CairnError `not_found` when there is no such file, and when it was saved without code.
 */
export async function loadModelCode(
  path: string | URL,
  options: LoadModelCodeOptions = {},
): Promise<ModelCode> {
  checkOptions("loadModelCode()", options, LOAD_MODEL_CODE_OPTIONS);
  const checkpoint = await openCheckpoint(path, options.signal, options.storages);
  try {
    const { modelCode } = checkpoint;
    if (modelCode !== undefined) return modelCode;
    throw new CairnError(
      "not_found",
      `Checkpoint "${checkpoint.tag}" (${checkpoint.path}) was saved without the model's code; see readModelCode`,
      { details: { tag: checkpoint.tag, path: checkpoint.path } },
    );
  } finally {
    await checkpoint.close();
  }
}
