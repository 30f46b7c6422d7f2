import type { ProcessGroup } from "../../checkpoint/ranks/process_group.ts";
import { requireAlike } from "../../parallel/alike.ts";
import { onFirstRank } from "../../parallel/first_rank.ts";
import type { Run } from "../loop/run.ts";
import { endGiving, receiveMoments } from "./moment_loads.ts";
import { describeRank, describeVariants } from "./rank_description.ts";
import { shareRun } from "./share_run.ts";

/**
 * Makes the ranks of a group one training: compares what has to be the same, and gives the run of rank 0 to all.
 *
 * @throws CairnError `state_mismatch` on all ranks, with every difference. Where one rank fails of something else, it
 * ends the group.
 */
export async function joinRanks(run: Run, group: ProcessGroup): Promise<void> {
  await compare(run, group);
  await endingGroup(group, () => shareRun(run, group));
}

/** Compares the kernels that were chosen, once the step is compiled on every rank. Throws as {@link joinRanks}. */
export async function compareVariants(run: Run, group: ProcessGroup): Promise<void> {
  await requireAlike(group, describeVariants(run));
}

/** Has rank 0 load something into its run, which then is the run of all. All get its report, or its error. */
export async function restoreTogether<T>(
  run: Run,
  group: ProcessGroup,
  restore: () => Promise<T>,
): Promise<T> {
  await compare(run, group);
  const report = await onFirstRank(group, () => givingMoments(run, group, restore), async () => {
    if (run.steps.rules.owners !== undefined) await receiveMoments(run, group);
  });
  await endingGroup(group, () => shareRun(run, group));
  return report;
}

/** Rank 0 has given what others keep of the optimiser when `restore` is over, however that ends. */
async function givingMoments<T>(run: Run, group: ProcessGroup, restore: () => Promise<T>): Promise<T> {
  try {
    return await restore();
  } finally {
    if (run.steps.rules.owners !== undefined) await endGiving(group);
  }
}

async function compare(run: Run, group: ProcessGroup): Promise<void> {
  await requireAlike(group, await endingGroup(group, () => describeRank(run)));
}

/** What one rank fails of, the others would wait for. */
async function endingGroup<T>(group: ProcessGroup, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    await group.abort(error);
    throw error;
  }
}
