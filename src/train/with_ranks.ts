import type { Run } from "./loop/run.ts";

/** Does `restore`, which loads something into `run`: of several ranks on rank 0, which gives the run to all. */
export async function restoring<T>(run: Run, restore: () => Promise<T>): Promise<T> {
  const group = run.steps.agreement?.group;
  if (group === undefined) return await restore();
  const { restoreTogether } = await import("./ranks/join_ranks.ts");
  return await restoreTogether(run, group, restore);
}

/** Does `work`, such as a save: of several ranks on rank 0 alone, while the others wait. All get what it gives. */
export async function onFirst<T>(run: Run, work: () => Promise<T>): Promise<T> {
  const group = run.steps.agreement?.group;
  if (group === undefined) return await work();
  const { onFirstRank } = await import("../parallel/first_rank.ts");
  return await onFirstRank(group, work);
}
