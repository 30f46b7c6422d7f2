import type { StreamedTensors } from "../checkpoint/capture/streamed_tensors.ts";
import type { SaveReport } from "../checkpoint/pending_snapshot.ts";
import type { RestoreTarget } from "./restore.ts";
import type { TrainerSaveOptions } from "./save_options.ts";
import type { Run } from "./loop/run.ts";

/** Does `restore`, which loads something into `run`: of several ranks on rank 0, which gives the run to all. */
export async function restoring<T>(run: Run, restore: () => Promise<T>): Promise<T> {
  const group = run.steps.agreement?.group;
  if (group === undefined) return await restore();
  const { restoreTogether } = await import("./ranks/join_ranks.ts");
  return await restoreTogether(run, group, restore);
}

/** Saves a run: of several ranks rank 0 does it, while the others wait. All get its report. */
export async function saveOnce(
  run: Run,
  target: () => Promise<RestoreTarget>,
  name: string | URL,
  options: TrainerSaveOptions,
): Promise<SaveReport> {
  const { saveRun } = await import("./save_run.ts");
  const group = run.steps.agreement?.group;
  if (group === undefined) return await saveRun(await target(), name, options);
  const { onFirstRank } = await import("../parallel/first_rank.ts");
  const { CommitInfo } = await import("../checkpoint/engine/commit_info.ts");
  const save = async (others?: StreamedTensors) => {
    const { info, ...report } = await saveRun(await target(), name, options, others);
    return { info: { ...info }, ...report };
  };
  const { owners } = run.steps.rules;
  const ranks = owners === undefined ? undefined : await import("./ranks/moment_saves.ts");
  const { info, ...report } = await onFirstRank(
    group,
    () => ranks === undefined ? save() : ranks.savingMoments(run, group, save),
    async () => await ranks?.sendMoments(run, group),
  );
  return { info: CommitInfo.of(info), ...report };
}
