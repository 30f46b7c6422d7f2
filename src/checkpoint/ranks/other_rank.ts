import { throwIfAborted } from "../../base/abort.ts";
import { workOf } from "../../base/work.ts";
import { joinPath } from "../../storage/storage_path.ts";
import { CommitInfo } from "../engine/commit_info.ts";
import type { CommitReport } from "../engine/engine.ts";
import { partsAt, removeUnnamedParts } from "../engine/part_sweep.ts";
import type { WrittenPart } from "../file/parts/write_part.ts";
import { fileNameOf } from "../file/tags.ts";
import { failureOf } from "./failure.ts";
import { type PlanMessage, planOf } from "./rank_messages.ts";
import { partOfRank } from "./write_plan.ts";
import { type JoinedSave, withWarning } from "./rank_save.ts";

/** Says what this rank has, writes its part as it is told to, and waits for rank 0's commit. */
export async function saveAsOther(save: JoinedSave): Promise<CommitReport> {
  const { talk, own } = save;
  let plan: PlanMessage;
  let part: WrittenPart;
  try {
    await talk.say<"state">({ message: own }, "answer");
    plan = await talk.listen("plan", "say who writes what");
    part = await writeOwnPart(save, plan);
  } catch (error) {
    await talk.end(error);
    throw error;
  }
  const info = CommitInfo.of({ ...save.info, tag: plan.tag });
  const report = await handOver(save, info, part);
  return withWarning(report, plan.warning);
}

/** Makes the part of this rank durable, or tells why there is none. */
async function writeOwnPart(save: JoinedSave, plan: PlanMessage): Promise<WrittenPart> {
  const { engine, frozen, talk, own, signal } = save;
  const info = CommitInfo.of({ ...save.info, tag: plan.tag });
  try {
    const part = await engine.savePart(info, frozen, partOfRank(own, planOf(plan)), {
      ...workOf(save),
      runId: plan.runId,
    });
    throwIfAborted(signal);
    return part;
  } catch (error) {
    await talk.say<"done">({ failure: failureOf(error) }, "finish its part").catch(() => {});
    await talk.listen("committed", "commit").catch(() => {});
    throw error;
  }
}

/** From now on rank 0 may commit the part at any moment, whatever becomes of this rank. */
async function handOver(
  save: JoinedSave,
  info: CommitInfo,
  { record, written, isVerified }: WrittenPart,
): Promise<CommitReport> {
  const { engine, talk, signal } = save;
  const directory = engine.directoryOf(info);
  const index = joinPath(directory, fileNameOf(info.tag));
  try {
    await talk.say<"done">({ message: record }, "finish its part");
    await talk.listen("committed", "commit");
  } catch (error) {
    throwIfAborted(signal);
    // Rank 0 may have committed and not have come to say it: the index is the one thing that decides.
    const named = await partsAt(engine.storage, index);
    if (!named.some(({ fileId }) => fileId === record.fileId)) {
      if (talk.hasFirstGivenUp) await removeUnnamedParts(engine.storage, directory, [record]);
      throw error;
    }
  }
  const path = engine.storage.describe(index);
  return { info, tag: info.tag, path, written, isVerified, warnings: [] };
}
