import { MemoryStorage } from "../../../src/storage/memory_storage.ts";
import { FaultStorage } from "../../helpers/fault_storage.ts";
import { HookedStorage } from "../../helpers/hooked_storage.ts";
import type { Campaign, RowRecorder } from "../campaign.ts";
import { engineOn, recoveredStep, saveStep, temporaryFiles } from "./runs.ts";

/** Row K1: an abort before and after every operation of a save. */
export async function aborts(campaign: Campaign): Promise<void> {
  await campaign.row("K1", "abort before and after every operation of a save and its commit", async (row) => {
    for (const moment of ["before", "after"] as const) {
      let at = 0;
      while (await abortAt(at, moment, row)) at++;
      row.note(`${at} operations, aborted ${moment} each`);
    }
  });
}

/** @returns Whether the save came as far as operation `at`. */
async function abortAt(at: number, moment: "before" | "after", row: RowRecorder): Promise<boolean> {
  const inner = new FaultStorage(new MemoryStorage());
  await saveStep(await engineOn(inner), 1);
  const controller = new AbortController();
  const reason = new Error("enough");
  let isPublished = false;
  let wasPublished: boolean | undefined;
  const abort = (index: number): void => {
    if (index !== at) return;
    wasPublished = isPublished;
    controller.abort(reason);
  };
  const storage = new HookedStorage(inner, {
    before: ({ index }) => moment === "before" ? abort(index) : undefined,
    after: ({ index, op, path }) => {
      isPublished ||= op === "move" && path === "2.cairn";
      if (moment === "after") abort(index);
    },
  });
  const engine = await engineOn(storage);
  const outcome: unknown = await saveStep(engine, 2, { signal: controller.signal }).then(
    () => "committed",
    (error) => error,
  );
  if (wasPublished === undefined) return false;
  row.point();
  await engine.abort();
  const where = `aborted ${moment} operation ${at}`;
  const step = await recoveredStep(inner);
  // The move is under way when the abort comes: from there on the save succeeds.
  const mayWin = wasPublished || outcome === "committed";
  if (outcome !== "committed" && outcome !== reason) row.fail(`${where}: ended with ${outcome}`);
  if (wasPublished && outcome !== "committed") row.fail(`${where}: published, and yet it failed`);
  if (step !== (mayWin ? 2 : 1)) row.fail(`${where}: ${outcome}, and ${step} was recovered`);
  if (!mayWin && (await temporaryFiles(inner)).length > 0) row.fail(`${where}: a temporary file is left`);
  if (inner.openHandles !== 0) row.fail(`${where}: ${inner.openHandles} files are open`);
  await saveStep(engine, 3);
  if (await recoveredStep(inner) !== 3) row.fail(`${where}: the next save is not recovered`);
  return true;
}
