import type { CommitReport } from "../engine/engine.ts";
import { checkRank } from "../file/parts/rank_view.ts";
import { tagDigest } from "./tag_validation.ts";
import { saveAsFirst } from "./first_rank.ts";
import { saveAsOther } from "./other_rank.ts";
import { RankExchange } from "./rank_exchange.ts";
import { describeTensors } from "./rank_plan.ts";
import type { RankSave } from "./rank_save.ts";

/**
 * Saves one checkpoint together with other ranks: each writes its part, and when all parts are durable the first rank commits the
 * index that names them. Until then there is nothing to be found; when it resolves, the checkpoint is durable, on every rank.
 *
 * The ranks find each other in the directory: the first rank calls, the others answer with what they have, and it tells all of them who
 * writes what. A session has a name of its own, so that what an attempt left behind that was stopped is never taken for an answer.
 *
 * @throws CairnError `commit_failed` when a rank is missing; `state_mismatch` when their states do not go together; `invalid_tag`;
 * `already_exists`, `locked`, `disk_full` and what else a rank failed of, with the same code on the others; `signal.reason` on a rank that
 * is aborted, and `commit_failed` on the others. Then nothing was published.
 */
export async function saveByRanks(save: RankSave): Promise<CommitReport> {
  const { engine, info, frozen, ranks, signal } = save;
  const { rank, worldSize, timeoutMs, pollMs, clock } = ranks;
  checkRank(rank, worldSize);
  const exchange = new RankExchange(engine.storage, engine.directoryOf(info), {
    timeoutMs,
    pollMs,
    clock,
    signal,
  });
  const own = {
    rank,
    worldSize,
    digest: await tagDigest(info.tag),
    step: frozen.manifest.provenance.step,
    tensors: describeTensors(frozen.tensors, ranks),
  };
  const joined = { ...save, exchange, own };
  return rank === 0 ? await saveAsFirst(joined) : await saveAsOther(joined);
}
