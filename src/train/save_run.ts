import { CairnError } from "../base/errors.ts";
import type { BackgroundSaver } from "../checkpoint/background_saver.ts";
import type { StreamedTensors } from "../checkpoint/capture/streamed_tensors.ts";
import { checkpointPath } from "../checkpoint/file/open_path.ts";
import type { SaveReport } from "../checkpoint/pending_snapshot.ts";
import { SaveTarget } from "../checkpoint/save_target.ts";
import { agreeOnTag } from "../checkpoint/ranks/tag_validation.ts";
import { checkpointOf } from "./saves/scheduled_saves.ts";
import type { RestoreTarget } from "./restore.ts";
import type { TrainerSaveOptions } from "./save_options.ts";

/**
 * Saves a run as a tag in its directory, or as a file anywhere. Resolves when that is durable.
 *
 * @param others What other ranks keep of the optimiser, where they do.
 */
export async function saveRun(
  target: RestoreTarget,
  name: string | URL,
  options: TrainerSaveOptions,
  others?: StreamedTensors,
): Promise<SaveReport> {
  const save: SaveWork = { ...target, options, others };
  const { run, runDirectory } = target;
  await run.record.complete();
  if (typeof name === "string" && !/[/\\]/.test(name)) {
    const report = await saveWith(runDirectory.saver, name, save);
    runDirectory.claim(report.tag);
    return report;
  }
  const { directory, fileName } = checkpointPath(name);
  await runDirectory.saver.latest?.settled();
  const elsewhere = new SaveTarget(directory, { runId: runDirectory.engine.runId });
  try {
    return await saveWith(elsewhere.saver, fileName, save);
  } finally {
    await elsewhere.close();
  }
}

interface SaveWork extends RestoreTarget {
  readonly options: TrainerSaveOptions;
  readonly others: StreamedTensors | undefined;
}

async function saveWith(
  saver: BackgroundSaver,
  tag: string,
  { run, autoSaver, options, others }: SaveWork,
): Promise<SaveReport> {
  const { tagAgreement, ...saving } = options;
  const doubt = tagAgreement === undefined ? undefined : await agreeOnTag(tag, tagAgreement);
  const pending = await saver.save(() => checkpointOf(run, autoSaver, "user", others), tag, saving);
  const report = await pending.wait();
  if (doubt === undefined) return report;
  return { ...report, warnings: [...report.warnings, new CairnError("invalid_tag", doubt)] };
}
