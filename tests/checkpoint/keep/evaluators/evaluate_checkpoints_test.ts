import { describe, expect, test } from "bun:test";
import type { Checkpoint } from "../../../../src/checkpoint/file/checkpoint.ts";
import { isDoneEval, markDoneEval } from "../../../../src/checkpoint/keep/evaluators/done_marks.ts";
import { evaluateCheckpoints } from "../../../../src/checkpoint/keep/evaluators/evaluate_checkpoints.ts";
import { surveyLeases } from "../../../../src/checkpoint/keep/evaluators/lease.ts";
import type { FileEngine } from "../../../../src/checkpoint/engine/file_engine.ts";
import { SteppingClock } from "../../../helpers/stepping_clock.ts";
import { bytes, writeFile } from "../../../storage/storage_contract.ts";
import { memoryEngine, saveState } from "../../fixtures.ts";

async function engineWith(...steps: readonly number[]): Promise<FileEngine> {
  const engine = await memoryEngine(undefined, { codec: "raw" });
  for (const step of steps) await saveState(engine, step, { step });
  return engine;
}

const SHORT = { timeoutMs: 0, mode: "every" } as const;

describe("evaluateCheckpoints", () => {
  test("TW-20 evaluates each checkpoint, marks it, and stops after the last step", async () => {
    const engine = await engineWith(10, 20);
    const clock = new SteppingClock(() => saveState(engine, 30, { step: 30 }));
    const seen: unknown[] = [];
    const evaluate = async (checkpoint: Checkpoint): Promise<void> => {
      expect(checkpoint.isVerified).toBe(true);
      expect((await surveyLeases(engine, Date.now())).held.get(checkpoint.tag)).toBe(
        'the evaluator of "test"',
      );
      expect(await isDoneEval({ engine, tag: checkpoint.tag }, "test")).toBe(false);
      seen.push(await checkpoint.state());
    };
    const options = { partition: "test", evaluate, lastStep: 30, mode: "every" as const, clock };
    const report = await evaluateCheckpoints(engine, options);
    expect(report).toEqual({
      evaluated: ["10", "20", "30"],
      alreadyDone: [],
      skipped: [],
      endedBy: "lastStep",
    });
    expect(seen).toEqual([{ step: 10 }, { step: 20 }, { step: 30 }]);
    for (const tag of [10, 20, 30]) expect(await isDoneEval({ engine, tag }, "test")).toBe(true);
    expect(await engine.storage.list("leases")).toEqual([]);
  });

  test("TW-20 after a restart goes on with what is not marked, and only one of a group marks", async () => {
    const engine = await engineWith(1, 2);
    await markDoneEval({ engine, tag: 1 }, "test");
    const evaluate = (): void => {};
    const helper = await evaluateCheckpoints(engine, { ...SHORT, partition: "test", evaluate, marks: false });
    expect([helper.evaluated, helper.alreadyDone, helper.endedBy]).toEqual([["2"], ["1"], "timeout"]);
    expect(await isDoneEval({ engine, tag: 2 }, "test")).toBe(false);
    const other = await evaluateCheckpoints(engine, { ...SHORT, partition: "other", evaluate });
    expect(other.evaluated).toEqual(["1", "2"]);
    const again = await evaluateCheckpoints(engine, { ...SHORT, partition: "other", evaluate, lastStep: 2 });
    expect([again.alreadyDone, again.endedBy]).toEqual([["1", "2"], "lastStep"]);
  });

  test("what the evaluation throws ends the loop; the checkpoint is released and not marked", async () => {
    const engine = await engineWith(1);
    const error = new Error("out of data");
    const evaluate = (): never => {
      throw error;
    };
    await expect(evaluateCheckpoints(engine, { ...SHORT, partition: "test", evaluate })).rejects.toBe(error);
    expect(await isDoneEval({ engine, tag: 1 }, "test")).toBe(false);
    expect(await engine.storage.list("leases")).toEqual([]);
  });

  test("a damaged checkpoint, and one that was deleted before its turn, are skipped with the reason", async () => {
    const engine = await engineWith(2, 3);
    const data = { state: { data: new Float32Array(64) } };
    await engine.create(1);
    await engine.save(data);
    await engine.commit(1);
    const reader = await engine.storage.openRead("1.cairn");
    const content = new Uint8Array(reader.byteLength);
    await reader.read(0, content);
    await engine.remove("1");
    // In the data, which opening does not read.
    content[4096] = (content[4096] ?? 0) ^ 1;
    await writeFile(engine.storage, "1.cairn", content);
    await writeFile(engine.storage, "4.cairn", bytes("torn"));
    const load = engine.load.bind(engine);
    let loads = 0;
    engine.load = async (tag, options) => {
      // After it was listed and before it is held.
      if (tag === "2" && ++loads === 2) await engine.remove("2");
      return await load(tag, options);
    };
    const report = await evaluateCheckpoints(engine, { ...SHORT, partition: "test", evaluate: () => {} });
    expect(report.evaluated).toEqual(["3"]);
    expect(report.skipped.map(({ tag, error }) => `${tag} ${error.code}`)).toContain("1 checksum_mismatch");
    expect(await engine.storage.list("leases")).toEqual([]);
  });
});
