import type { Campaign, RowRecorder } from "../campaign.ts";
import type { FaultyS3 } from "../../helpers/faulty_s3.ts";
import type { S3Outcome } from "./outcome.ts";
import {
  Cut,
  inMemory,
  prepared,
  recoveredFrom,
  requestsOf,
  stepsIn,
  type StoreMaker,
  type Workload,
  WORKLOADS,
  workWith,
} from "./runs.ts";
import { engineOfProcess } from "./runs.ts";
import { saveStep } from "../engine/runs.ts";

/** Row S1: the process ends before or after any single request. From then on it asks for nothing more. */
export async function cuts(campaign: Campaign, outcome: S3Outcome, stride = 1): Promise<void> {
  await campaign.row(
    "S1",
    "the process ends before or after every request",
    async (row) => await cutEverywhere(row, outcome, inMemory, stride),
  );
}

/** Ends the process at every request, or at one of `stride`. */
export async function cutEverywhere(
  row: RowRecorder,
  outcome: S3Outcome,
  newStore: StoreMaker,
  stride: number,
): Promise<void> {
  let turn = 0;
  for (const workload of WORKLOADS) {
    const requests = await requestsOf(workload, newStore);
    let cuts = 0;
    for (const moment of ["before", "after"] as const) {
      for (const at of requests.keys()) {
        if (turn++ % stride !== 0) continue;
        await cutAt(await prepared(workload, newStore), workload, moment, at, row, outcome);
        cuts++;
      }
    }
    row.note(`${workload.name}: ${cuts} cuts`);
  }
}

async function cutAt(
  store: FaultyS3,
  workload: Workload,
  moment: "before" | "after",
  at: number,
  row: RowRecorder,
  outcome: S3Outcome,
): Promise<void> {
  let cutIn: string | undefined;
  let hasCommitted = false;
  const error = await workWith(store, workload, {
    before: ({ index, name }) => {
      if (cutIn !== undefined) throw new Cut();
      if (moment === "before" && index === at) {
        cutIn = name;
        throw new Cut();
      }
      return undefined;
    },
    after: ({ index, name }, response) => {
      hasCommitted ||= name.startsWith("PUT log/") && response.ok;
      if (moment === "after" && index === at) {
        cutIn = name;
        throw new Cut();
      }
      return undefined;
    },
  });
  row.point();
  const where = `${workload.name}, ${moment} request ${at} (${cutIn ?? "which never came"})`;
  if (cutIn === undefined) return row.fail(where);
  const found = await recoveredFrom(store);
  if (found !== workload.old && found !== workload.new) {
    outcome.mixed++;
    row.fail(`${where}: ${found} is recovered, expected ${workload.old} or ${workload.new}`);
  }
  if (hasCommitted && found !== workload.new) {
    outcome.lost++;
    row.fail(`${where}: it was committed, and ${found} is recovered`);
  }
  // A save that ended in time for nobody to notice is no failure; one that failed is not there.
  if (error === undefined && found !== workload.new) {
    row.fail(`${where}: it succeeded, and ${found} is recovered`);
  }
  const { engine } = await engineOfProcess(store);
  await saveStep(engine, 50, { tag: "next" });
  if (await recoveredFrom(store) !== 50) row.fail(`${where}: the next save is not recovered`);
  if ((await stepsIn(store)).includes("mixed")) {
    outcome.mixed++;
    row.fail(`${where}: there is a checkpoint that does not verify`);
  }
}
