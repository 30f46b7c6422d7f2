import type { OptionNames } from "../base/options/options.ts";
import { CairnError } from "../base/errors.ts";
import type { BackgroundSaver } from "../checkpoint/background_saver.ts";
import { checkpointPath } from "../checkpoint/file/open_path.ts";
import type { SaveReport } from "../checkpoint/pending_snapshot.ts";
import { SaveTarget } from "../checkpoint/save_target.ts";
import { agreeOnTag, type TagAgreement } from "../checkpoint/ranks/tag_validation.ts";
import { checkpointOf } from "./saves/scheduled_saves.ts";
import type { RestoreTarget } from "./restore.ts";

/** Options of `Trainer.save`. */
export interface TrainerSaveOptions {
  /** Replace a checkpoint of that name. Default false: that is `already_exists`. */
  readonly overwrite?: boolean | undefined;
  /** Where several processes save parts of one run: compares the name with theirs before anything is written. */
  readonly tagAgreement?: TagAgreement | undefined;
  /** Stops the save, which then rejects with the signal's reason and leaves nothing behind. */
  readonly signal?: AbortSignal | undefined;
}

/** Every option of {@link TrainerSaveOptions}. */
export const TRAINER_SAVE_OPTIONS: OptionNames<TrainerSaveOptions> = {
  overwrite: true,
  tagAgreement: true,
  signal: true,
};

/** Saves a run as a tag in its directory, or as a file anywhere. Resolves when that is durable. */
export async function saveRun(
  target: RestoreTarget,
  name: string | URL,
  options: TrainerSaveOptions,
): Promise<SaveReport> {
  const { run, runDirectory } = target;
  await run.record.complete();
  if (typeof name === "string" && !/[/\\]/.test(name)) {
    const report = await saveWith(runDirectory.saver, name, target, options);
    runDirectory.claim(report.tag);
    return report;
  }
  const { directory, fileName } = checkpointPath(name);
  await runDirectory.saver.latest?.settled();
  const elsewhere = new SaveTarget(directory, { runId: runDirectory.engine.runId });
  try {
    return await saveWith(elsewhere.saver, fileName, target, options);
  } finally {
    await elsewhere.close();
  }
}

async function saveWith(
  saver: BackgroundSaver,
  tag: string,
  { run, autoSaver }: RestoreTarget,
  options: TrainerSaveOptions,
): Promise<SaveReport> {
  const { tagAgreement, ...saving } = options;
  const doubt = tagAgreement === undefined ? undefined : await agreeOnTag(tag, tagAgreement);
  const pending = await saver.save(() => checkpointOf(run, autoSaver, "user"), tag, saving);
  const report = await pending.wait();
  if (doubt === undefined) return report;
  return { ...report, warnings: [...report.warnings, new CairnError("invalid_tag", doubt)] };
}
