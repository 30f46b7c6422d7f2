import { describe, expect, test } from "bun:test";
import { markDoneEval } from "../../../../src/checkpoint/keep/evaluators/done_marks.ts";
import { waitForEvaluators } from "../../../../src/checkpoint/keep/evaluators/wait_for_evaluators.ts";
import { SteppingClock } from "../../../helpers/stepping_clock.ts";
import { memoryEngine, saveState } from "../../fixtures.ts";

describe("waitForEvaluators", () => {
  test("TW-14 returns when every partition is marked, without another sleep, and leaves the list as it is", async () => {
    const engine = await memoryEngine();
    await saveState(engine, 100, { n: 1 });
    const partitions = Object.freeze(["train", "test", "test"]);
    const clock = new SteppingClock(async (sleep) => {
      if (sleep === 1) await markDoneEval({ engine, tag: 100 }, "test");
      if (sleep === 3) await markDoneEval({ engine, tag: 100 }, "train");
    });
    const report = await waitForEvaluators(engine, partitions, 100, { clock });
    expect(report).toEqual({
      isDone: true,
      finished: ["train", "test"],
      unfinished: [],
      endedBy: "done",
      warning: undefined,
    });
    expect(clock.sleeps).toEqual([10_000, 10_000, 10_000]);
    expect(partitions).toEqual(["train", "test", "test"]);
    const again = new SteppingClock();
    await waitForEvaluators(engine, partitions, 100, { clock: again });
    expect(again.sleeps).toEqual([]);
  });

  test("TW-14 waits for the checkpoint itself, and the time counts from the start", async () => {
    const engine = await memoryEngine();
    const clock = new SteppingClock(async (sleep) => {
      if (sleep === 2) await saveState(engine, 100, { n: 1 });
    });
    const warnings: string[] = [];
    const options = { clock, timeoutMs: 25_000, onWarning: (message: string) => warnings.push(message) };
    const report = await waitForEvaluators(engine, ["test"], 100, options);
    expect([report.endedBy, report.isDone, report.unfinished]).toEqual(["timeout", false, ["test"]]);
    // Up to the deadline, and not beyond it.
    expect(clock.sleeps).toEqual([10_000, 10_000, 5_000]);
    expect(warnings).toEqual([
      'After 25 s of waiting, "test" did not finish evaluating step 100; going on without',
    ]);
  });

  test("TW-14 looks once more at the end of the time", async () => {
    const engine = await memoryEngine();
    await saveState(engine, 100, { n: 1 });
    const clock = new SteppingClock(() => markDoneEval({ engine, tag: 100 }, "test"));
    const report = await waitForEvaluators(engine, ["test"], 100, { clock, timeoutMs: 1 });
    expect(report.isDone).toBe(true);
  });

  test("TW-14 says at once when the step was skipped over, and when it never came", async () => {
    const engine = await memoryEngine();
    await saveState(engine, 200, { n: 1 });
    const clock = new SteppingClock();
    const report = await waitForEvaluators(engine, ["test"], 100, { clock });
    expect(report.endedBy).toBe("skipped");
    expect(report.warning).toBe(
      'There is no checkpoint of step 100 to be evaluated, and there is a newer one, "200": ' +
        "it was skipped or deleted, so waiting for it ends",
    );
    expect(clock.sleeps).toEqual([]);
    const late = await waitForEvaluators(engine, ["test"], 300, { clock, timeoutMs: 10_000 });
    expect(late.warning).toBe(
      "After 10 s of waiting, no checkpoint of step 300 was saved; going on without",
    );
  });

  test("TW-14 is done at once when there is nobody to wait for, once the checkpoint is there", async () => {
    const engine = await memoryEngine();
    await saveState(engine, 1, { n: 1 });
    const report = await waitForEvaluators(engine, [], 1, { clock: new SteppingClock() });
    expect([report.isDone, report.finished]).toEqual([true, []]);
  });

  test("an abort rejects with its reason, and a partition that is no name is a TypeError", async () => {
    const engine = await memoryEngine();
    const controller = new AbortController();
    const reason = new Error("enough");
    const clock = new SteppingClock(() => controller.abort(reason));
    const options = { clock, signal: controller.signal };
    await expect(waitForEvaluators(engine, ["test"], 1, options)).rejects.toBe(reason);
    await expect(waitForEvaluators(engine, ["a/b"], 1)).rejects.toThrow(TypeError);
  });
});
