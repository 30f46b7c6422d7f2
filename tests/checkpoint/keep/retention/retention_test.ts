import { describe, expect, test } from "bun:test";
import type { CheckpointSummary } from "../../../../src/checkpoint/engine/catalog.ts";
import { planRetention, retain } from "../../../../src/checkpoint/keep/retention/retention.ts";
import { bytes, writeFile } from "../../../storage/storage_contract.ts";
import { MemoryStorage } from "../../../../src/storage/memory_storage.ts";
import { FaultStorage, fileNames, memoryEngine, OTHER_RUN_ID, RUN_ID, saveState } from "../../fixtures.ts";

function summary(step: number, metrics: Record<string, number> = {}, runId = RUN_ID): CheckpointSummary {
  const tag = String(step);
  return {
    tag,
    path: `memory:${tag}.cairn`,
    fileId: tag,
    step,
    createdAt: undefined,
    runId,
    metrics,
    savedBy: "auto",
    savedTag: tag,
  };
}

const STEPS = [1, 2, 3, 4, 5].map((step) => summary(step));
const CONTEXT = { runId: RUN_ID, newest: "5" };

function deleted(...args: Parameters<typeof planRetention>): string[] {
  return planRetention(...args).filter(({ keeps }) => !keeps).map(({ tag }) => tag);
}

describe("planRetention", () => {
  test("keeps the last few of the run and deletes the others", () => {
    expect(deleted(STEPS, { last: 2 }, CONTEXT)).toEqual(["1", "2", "3"]);
    expect(deleted(STEPS, { last: 9 }, CONTEXT)).toEqual([]);
    expect(deleted(STEPS, {}, CONTEXT)).toEqual([]);
  });

  test("never deletes the one just committed, even if its step is the lowest", () => {
    expect(deleted(STEPS, { last: 1 }, { runId: RUN_ID, newest: "1" })).toEqual(["2", "3", "4", "5"]);
  });

  test("leaves what belongs to other runs alone, and does not count it", () => {
    const mixed = [
      summary(1),
      summary(2, {}, OTHER_RUN_ID),
      summary(3),
      { ...summary(4), runId: undefined },
      summary(5),
    ];
    expect(deleted(mixed, { last: 1 }, CONTEXT)).toEqual(["1", "3"]);
  });

  test("keeps the one the run was resumed from", () => {
    expect(deleted(STEPS, { last: 1 }, { ...CONTEXT, resumedFrom: "2" })).toEqual(["1", "3", "4"]);
  });

  test("keeps the best by a metric; NaN and a missing metric are never the best", () => {
    const measured = [
      summary(1, { loss: 0.5 }),
      summary(2, { loss: NaN }),
      summary(3, { loss: 0.9 }),
      summary(4),
      summary(5),
    ];
    expect(deleted(measured, { last: 1, best: { metric: "loss", direction: "min" } }, CONTEXT)).toEqual([
      "2",
      "3",
      "4",
    ]);
    expect(deleted(measured, { last: 1, best: { metric: "loss", direction: "max" } }, CONTEXT)).toEqual([
      "1",
      "2",
      "4",
    ]);
    expect(deleted(measured, { last: 1, best: { metric: "toString", direction: "max" } }, CONTEXT)).toEqual([
      "1",
      "2",
      "3",
      "4",
    ]);
  });

  test("of two equally good ones the newer is the best", () => {
    const measured = [summary(1, { loss: 0.5 }), summary(2, { loss: 0.5 }), summary(3, { loss: 0.9 })];
    const policy = { last: 1, best: { metric: "loss", direction: "min" as const } };
    expect(deleted(measured, policy, { runId: RUN_ID, newest: "3" })).toEqual(["1"]);
  });

  test("NN-08 a replaced checkpoint goes, even the one that the run was resumed from", () => {
    const context = { ...CONTEXT, resumedFrom: "4" };
    expect(deleted(STEPS, { replaces: "4" }, context)).toEqual(["4"]);
    expect(deleted(STEPS, { replaces: "5" }, CONTEXT)).toEqual([]);
    const foreign = [summary(4, {}, OTHER_RUN_ID), summary(5)];
    expect(deleted(foreign, { replaces: "4" }, context)).toEqual([]);
  });

  test("gives a reason for each decision", () => {
    const context = { ...CONTEXT, resumedFrom: "3" };
    const plan = planRetention([summary(0, {}, OTHER_RUN_ID), ...STEPS], { last: 2 }, context);
    expect(plan.map(({ reason }) => reason)).toEqual([
      "it belongs to another run",
      "it is not one of the last 2",
      "it is not one of the last 2",
      "the run was resumed from it",
      "it is one of the last 2",
      "it is the newest",
    ]);
  });

  test("refuses to keep none", () => {
    for (const last of [0, -1, 1.5, NaN]) {
      expect(() => planRetention(STEPS, { last }, CONTEXT)).toThrow(RangeError);
    }
  });
});

describe("retain", () => {
  test("deletes by the plan and never what it cannot read", async () => {
    const engine = await memoryEngine();
    for (const step of [1, 2, 3]) await saveState(engine, step, { step });
    await writeFile(engine.storage, "0.cairn", bytes("not a container"));
    const report = await retain(engine, "3", { last: 1 });
    expect(report.deleted).toEqual(["1", "2"]);
    expect(report.decisions.map(({ tag, keeps }) => `${tag} ${keeps}`)).toEqual([
      "1 false",
      "2 false",
      "3 true",
    ]);
    expect(await fileNames(engine.storage)).toEqual(["0.cairn", "3.cairn", "latest"]);
  });

  test("goes on after a deletion that failed, and reports it", async () => {
    const storage = new FaultStorage(new MemoryStorage());
    const engine = await memoryEngine(storage);
    for (const step of [1, 2, 3]) await saveState(engine, step, { step });
    const before = storage.operations.length;
    await retain(engine, "3", { last: 3 });
    const reads = storage.operations.length - before;
    // Before the first of them is moved there is a look at the directory of parts.
    storage.failAt(storage.operations.length + reads + 1, "EACCES");
    const report = await retain(engine, "3", { last: 1 });
    expect(report.deleted).toEqual(["2"]);
    expect(report.warnings.map(({ code }) => code)).toEqual(["storage_failed"]);
    expect(await engine.list()).toEqual(["1", "3"]);
  });
});
