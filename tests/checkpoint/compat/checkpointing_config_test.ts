import { describe, expect, test } from "bun:test";
import { checkpointingConfig } from "../../../src/checkpoint/compat/checkpointing_config.ts";
import { waitForEvaluators } from "../../../src/checkpoint/keep/evaluators/wait_for_evaluators.ts";
import { Snapshot } from "../../../src/checkpoint/snapshot.ts";
import { SteppingClock } from "../../helpers/stepping_clock.ts";
import { memoryEngine } from "../fixtures.ts";

describe("checkpointingConfig", () => {
  test("TW-21 has the defaults of the original, and checkpoints are kept unless it says otherwise", () => {
    expect(checkpointingConfig()).toEqual({
      everySteps: 1000,
      keep: {},
      rule: undefined,
      evalTimeoutMs: 1_800_000,
    });
    expect(checkpointingConfig({ checkpointMaxToKeep: null }).keep).toEqual({});
  });

  test("TW-21 checkpointMaxToKeep is not only declared: older checkpoints go", async () => {
    const engine = await memoryEngine();
    const { keep } = checkpointingConfig({ checkpointMaxToKeep: 2 });
    const snapshot = new Snapshot(engine, {}, { keep });
    for (const step of [1, 2, 3, 4]) await (await snapshot.save(step)).wait();
    expect(await engine.list()).toEqual(["3", "4"]);
    const all = new Snapshot(engine, {}, { keep: checkpointingConfig().keep });
    for (const step of [5, 6]) await (await all.save(step)).wait();
    expect(await engine.list()).toEqual(["3", "4", "5", "6"]);
  });

  test("TW-21 evalTimeoutInS is how long evaluators are waited for", async () => {
    const clock = new SteppingClock();
    const { evalTimeoutMs } = checkpointingConfig({ evalTimeoutInS: 25 });
    await waitForEvaluators(await memoryEngine(), ["test"], 1, { timeoutMs: evalTimeoutMs, clock });
    expect(clock.nowMs).toBe(25_000);
  });

  test("TW-21 a field that is misspelt or makes no sense is refused by name", () => {
    const misspelt = { checkpointEveryN: 1, checkpointMaxToKepp: 3 };
    expect(() => checkpointingConfig(misspelt)).toThrow(
      'no option "checkpointMaxToKepp"; did you mean "checkpointMaxToKeep"?',
    );
    for (
      const bad of [
        { checkpointEveryN: 0 },
        { checkpointEveryN: 1.5 },
        { checkpointMaxToKeep: 0 },
        { evalTimeoutInS: -1 },
        { evalTimeoutInS: NaN },
      ]
    ) {
      expect(() => checkpointingConfig(bad)).toThrow(RangeError);
    }
  });
});
