import type { CommitReport } from "../engine/engine.ts";
import { tagDigest } from "./tag_validation.ts";
import { saveAsFirst } from "./first_rank.ts";
import { saveAsOther } from "./other_rank.ts";
import { withGroupOver } from "./over_directory/directory_group.ts";
import type { ProcessGroup } from "./process_group.ts";
import { rankAndSize } from "./rank_options.ts";
import { describeTensors, type RankState } from "./write_plan.ts";
import type { JoinedSave, RankSave } from "./rank_save.ts";
import { errorOfSave, RankTalk } from "./rank_talk.ts";

/**
 * Saves one checkpoint together with other ranks: each writes its part, and when all parts are durable rank 0 commits
 * the index that names them. Until then there is nothing to be found; when it resolves, the checkpoint is durable, on
 * every rank. They talk over a group that they have, or over one of their own, in the directory of the checkpoint.
 *
 * @throws CairnError `commit_failed` when a rank is missing; `state_mismatch` when their states do not go together;
 * `invalid_tag`; `already_exists`, `locked`, `disk_full` and what else a rank failed of, with the same code on the
 * others; `signal.reason` on a rank that is aborted, and `commit_failed` on the others. Then nothing was published. A
 * group that they have is ended when a rank is missing or aborted, and can be used again after any other failure.
 */
export async function saveByRanks(save: RankSave): Promise<CommitReport> {
  const { engine, info, overwrite, ranks: { group } } = save;
  if (group === undefined) return await saveInDirectory(save);
  const create = (): Promise<void> => engine.create(info, { overwrite });
  return await saveInGroup(save, group, { own: await stateOf(save, rankAndSize(save.ranks).rank), create });
}

/** Over a group of its own, in the directory of the checkpoint. */
async function saveInDirectory(save: RankSave): Promise<CommitReport> {
  const { engine, info, overwrite, ranks, signal } = save;
  const { timeoutMs, pollMs, clock } = ranks;
  const { rank, worldSize } = rankAndSize(ranks);
  const own = await stateOf(save, rank);
  let isCreated = false;
  const where = {
    storage: engine.storage,
    directory: engine.directoryOf(info),
    // Before the ranks meet: without a lock a rank must not call, as the directory may belong to another process.
    prepare: async () => {
      await engine.create(info, { overwrite });
      isCreated = true;
    },
  };
  const meeting = { rank, size: worldSize, timeoutMs, pollMs, clock, signal };
  const create = (): Promise<void> => Promise.resolve();
  try {
    return await withGroupOver(where, meeting, (group) => saveInGroup(save, group, { own, create }));
  } catch (error) {
    if (isCreated) await engine.abort();
    throw errorOfSave(error, worldSize, rank === 0 ? "answer" : "call");
  }
}

async function saveInGroup(
  save: RankSave,
  group: ProcessGroup,
  joining: Pick<JoinedSave, "own" | "create">,
): Promise<CommitReport> {
  const { ranks: { timeoutMs }, signal } = save;
  const talk = new RankTalk(group, { timeoutMs, signal });
  const joined = { ...save, ...joining, talk, worldSize: group.size };
  return group.rank === 0 ? await saveAsFirst(joined) : await saveAsOther(joined);
}

async function stateOf({ info, frozen, ranks }: RankSave, rank: number): Promise<RankState> {
  return {
    rank,
    digest: await tagDigest(info.tag),
    step: frozen.manifest.provenance.step,
    tensors: describeTensors(frozen.tensors, ranks),
  };
}
