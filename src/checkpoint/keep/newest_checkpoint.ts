import { checkOptions, type OptionNames } from "../../base/options/options.ts";
import { CairnError } from "../../base/errors.ts";
import { readCatalog } from "../engine/catalog.ts";
import { byStep } from "../engine/summary.ts";
import type { EngineTarget } from "../engine/engine_target.ts";
import { openEngine } from "../engine/open_engine.ts";
import { CHECKPOINT_EXTENSION, stepOfTag } from "../file/tags.ts";
import { requireReadable, unopenedNote } from "./unreadable.ts";

/** Options of {@link getCheckpoint}. */
export interface GetCheckpointOptions {
  /** The step it has to be of; the newest otherwise. */
  readonly step?: number | undefined;
  /** Return `""` when there is no checkpoint at all. A step that is not there is an error all the same. */
  readonly missingOk?: boolean | undefined;
}

/** Every option of {@link GetCheckpointOptions}. */
export const GET_CHECKPOINT_OPTIONS: OptionNames<GetCheckpointOptions> = { step: true, missingOk: true };

/**
 * The step that a checkpoint's path names: 1200 for `runs/a/1200.cairn` and for `1200`.
 *
 * @throws RangeError when the name is no integer.
 */
export function stepFromCheckpoint(path: string): number {
  const base = path.slice(Math.max(path.lastIndexOf("/"), path.lastIndexOf("\\")) + 1);
  const name = base.endsWith(CHECKPOINT_EXTENSION) ? base.slice(0, -CHECKPOINT_EXTENSION.length) : base;
  const step = stepOfTag(name);
  if (step === undefined) {
    throw new RangeError(
      `Cannot tell the step of checkpoint ${JSON.stringify(path)}: its name is no integer`,
    );
  }
  return step;
}

/**
 * Paths of all complete checkpoints of a directory or an engine, in order of their steps, at the same step the older
 * first. A name that is no integer counts with the step that was saved in the file. What is damaged or unfinished is
 * left out; a directory that is not there has none.
 */
export async function getCheckpoints(target: EngineTarget): Promise<string[]> {
  const { checkpoints } = await readCatalog(await openEngine(target));
  return [...checkpoints].sort(byStep).map(({ path }) => path);
}

/**
 * Path of the newest complete checkpoint, which is the one committed last, or of the newest with exactly this step.
 *
 * @throws CairnError `no_checkpoint` when there is none, unless `missingOk`; and always when none has the step; it
 * says how many files could not be opened. `storage_failed` when there is none and some could not be read.
 */
export async function getCheckpoint(
  target: EngineTarget,
  options: GetCheckpointOptions = {},
): Promise<string> {
  checkOptions("getCheckpoint()", options, GET_CHECKPOINT_OPTIONS, "{ step: 100 }");
  const { checkpoints: found, unreadable } = await readCatalog(await openEngine(target));
  const newest = found.at(-1);
  const where = typeof target === "string" || target instanceof URL
    ? `"${target}"`
    : "the engine's directory";
  if (newest === undefined) {
    requireReadable(unreadable);
    if (options.missingOk) return "";
    throw new CairnError(
      "no_checkpoint",
      `There are no checkpoints in ${where}; train and save first${unopenedNote(unreadable)}`,
    );
  }
  if (options.step === undefined) return newest.path;
  const exact = found.findLast(({ step }) => step === options.step);
  if (exact !== undefined) return exact.path;
  const steps = [...found].sort(byStep).map(({ step }) => step ?? "none").join(", ");
  throw new CairnError(
    "no_checkpoint",
    `There is no checkpoint of step ${options.step} in ${where}; there are ${steps}${
      unopenedNote(unreadable)
    }`,
    {
      details: { value: options.step },
    },
  );
}
