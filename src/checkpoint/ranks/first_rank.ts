import { workOf } from "../../base/work.ts";
import type { PartList, PartRecord } from "../../container/format/part_list.ts";
import type { CommitReport } from "../engine/engine.ts";
import { type OpenPart, openPart } from "../file/parts/checkpoint_files.ts";
import { tensorsOfPart } from "../file/parts/components.ts";
import { isStoreTensor, placementsOf } from "../file/parts/placement.ts";
import { errorOfRank, type Said, type SaveMessages } from "./rank_messages.ts";
import { partOfRank, planWrites, type RankState } from "./write_plan.ts";
import { type JoinedSave, withWarning } from "./rank_save.ts";

/**
 * Collects what the others have, decides who writes what, writes its own part, and commits the index when all parts are
 * durable.
 */
export async function saveAsFirst(save: JoinedSave): Promise<CommitReport> {
  const { engine, talk, create } = save;
  try {
    await create();
  } catch (error) {
    await talk.giveUp(error);
    throw error;
  }
  let report: CommitReport;
  try {
    report = await saveTogether(save);
  } catch (error) {
    // First, as from then on the others remove their parts.
    await engine.abort();
    await talk.giveUp(error);
    throw error;
  }
  // It is durable even if the others are not told: they then look at the index.
  await talk.tell({ message: {} }).catch(() => {});
  return report;
}

async function saveTogether(save: JoinedSave): Promise<CommitReport> {
  const { engine, info, frozen, ranks, talk, own, signal } = save;
  const states: RankState[] = [own];
  for (const [index, said] of (await talk.hear("state", "answer")).entries()) {
    states.push(messageOf(index + 1, said));
  }
  const plan = planWrites(states, ranks.tagValidation);
  const { warning, writers } = plan;
  const parts = states.map((state) => tensorsOfPart(state.tensors, partOfRank(state, plan)));
  await engine.save(frozen, undefined, {
    ...workOf(save),
    ranks: {
      part: partOfRank(own, plan),
      files: [frozen.tensors.filter(({ name }) => !isStoreTensor(name)), ...parts],
      begin: () =>
        talk.tell<"plan">({
          message: { runId: engine.runId, tag: info.tag, writers: [...writers], warning },
        }),
      completeParts: (durable) => receiveParts(save, durable),
    },
  });
  return withWarning(await engine.commit(info, { signal }), warning);
}

/** The parts of all ranks, when they are durable and are what those ranks say. */
async function receiveParts(save: JoinedSave, own: readonly PartRecord[]): Promise<PartList> {
  const { engine, info, talk, worldSize, signal } = save;
  const files = [...own];
  for (const [index, said] of (await talk.hear("done", "finish its part")).entries()) {
    files.push(messageOf(index + 1, said));
  }
  const opened: OpenPart[] = [];
  try {
    for (const record of files) {
      opened.push({
        record,
        reader: await openPart(engine.storage, engine.directoryOf(info), record, signal),
      });
    }
    // As a load will do, before the checkpoint exists.
    placementsOf(opened);
  } finally {
    for (const { reader } of opened) await reader.close();
  }
  return { worldSize, files };
}

/** @throws CairnError with the code of the rank's failure. */
function messageOf<Kind extends keyof SaveMessages>(rank: number, said: Said<Kind>): SaveMessages[Kind] {
  if (said.failure !== undefined) throw errorOfRank(rank, said.failure);
  return said.message;
}
