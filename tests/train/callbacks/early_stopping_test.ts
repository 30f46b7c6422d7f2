import { describe, expect, test } from "bun:test";
import type { HostState } from "../../../src/checkpoint/capture/state_types.ts";
import { earlyStopping, type EarlyStoppingOptions } from "../../../src/train/callbacks/early_stopping.ts";
import { thrownBy } from "../../helpers/thrown.ts";
import { epochsUntilStop, FakeRun } from "./fixtures.ts";

const run = (options: EarlyStoppingOptions) => new FakeRun(earlyStopping(options));

describe("earlyStopping", () => {
  test("ends after as many epochs without a better value as patience says, with the reason", async () => {
    const fake = run({ patience: 2 });
    expect(await epochsUntilStop(fake, [3, 2, 2, 1, 4, 1, 0])).toBe(6);
    expect(fake.stopped).toBe("val_loss did not get better than 1 in the last 2 epochs");
    const patient = run({ patience: 3 });
    expect(await epochsUntilStop(patient, [3, 2, 2, 1, 4, 1, 0])).toBe(7);
    expect(patient.stopped).toBeUndefined();
  });

  test("a value that is better by no more than minDelta is no better, nor is one that is not finite", async () => {
    expect(await epochsUntilStop(run({ patience: 2, minDelta: 0.5 }), [3, 2.5, 2.6, 0])).toBe(3);
    expect(await epochsUntilStop(run({ patience: 2 }), [3, NaN, -Infinity, 0])).toBe(3);
    expect(await epochsUntilStop(run({ patience: 3 }), [NaN, NaN, 1, 2, 2, 2])).toBe(6);
  });

  test("a metric that is not in the name says its direction", async () => {
    const fake = run({ metric: { metric: "val_f1", direction: "max" }, patience: 1 });
    expect(await fake.train({ val_f1: 0.5 })).toBe(false);
    expect(await fake.train({ val_f1: 0.6 })).toBe(false);
    expect(await fake.train({ val_f1: 0.55 })).toBe(true);
    expect((await thrownBy(() => earlyStopping({ metric: "val_f1" }))).message).toContain("val_f1");
  });

  test("puts the best weights back when it has ended the training, and in no other case", async () => {
    const fake = run({ patience: 2 });
    await epochsUntilStop(fake, [3, 1, 2, 2]);
    for (const how of ["end", "error", "SIGINT"] as const) {
      await fake.end(how);
      expect(fake.weights).toBe(4);
    }
    await fake.end("stop");
    expect(fake.weights).toBe(2);
    const going = run({ patience: 5 });
    await epochsUntilStop(going, [3, 1, 2]);
    await going.end("stop");
    expect(going.weights).toBe(3);
    const last = run({ patience: 1, restoreBest: false });
    await epochsUntilStop(last, [3, 1, 2]);
    await last.end("stop");
    expect(last.weights).toBe(3);
  });

  test("goes on from its state: what is best, how long it waited, that it is over, the best weights", async () => {
    const losses = [5, 4, 4.5, 3, 3.5, 3.2, 3.1, 0];
    for (let cut = 0; cut <= 7; cut++) {
      const first = earlyStopping({ patience: 3 });
      const before = new FakeRun(first);
      await epochsUntilStop(before, losses.slice(0, cut));
      const second = earlyStopping({ patience: 3 });
      await second.loadState?.(first.state?.() as HostState);
      const after = new FakeRun(second);
      Object.assign(after, { epoch: before.epoch, weights: before.weights });
      await after.start();
      const rest = after.stopped === undefined ? await epochsUntilStop(after, losses.slice(cut)) : 0;
      expect([cut, cut + rest]).toEqual([cut, 7]);
      await after.end("stop");
      expect(after.weights).toBe(4);
    }
  });

  test("a run that it ended goes on when it is resumed with more patience, and ends by that", async () => {
    const ended = earlyStopping({ patience: 2 });
    expect(await epochsUntilStop(new FakeRun(ended), [3, 1, 2, 2])).toBe(4);
    for (const { patience, more } of [{ patience: 2, more: 0 }, { patience: 4, more: 2 }]) {
      const callback = earlyStopping({ patience });
      await callback.loadState?.(ended.state?.() as HostState);
      const after = new FakeRun(callback);
      await after.start();
      expect(after.stopped === undefined).toBe(more > 0);
      if (more > 0) expect(await epochsUntilStop(after, [2, 2, 2])).toBe(more);
    }
  });

  test("begins afresh without a state, and with that of another metric", async () => {
    const other = earlyStopping({ metric: "loss", patience: 1 });
    await new FakeRun(other).train({ loss: 1 });
    for (const state of [undefined, other.state?.() as HostState]) {
      const callback = earlyStopping({ patience: 1 });
      const fake = new FakeRun(callback);
      await epochsUntilStop(fake, [1, 2]);
      await callback.loadState?.(state);
      const again = new FakeRun(callback);
      await again.start();
      expect(again.stopped).toBeUndefined();
      expect(await epochsUntilStop(again, [9, 10])).toBe(2);
    }
  });

  test("refuses what is no state of its own, in words", async () => {
    const states: HostState[] = [7, "a", [], {
      metric: "val_loss",
      direction: "min",
      best: "low",
      waited: 1,
    }];
    for (const state of states) {
      const error = await thrownBy(() => Promise.resolve(earlyStopping().loadState?.(state)));
      expect([error instanceof TypeError, error.message.includes("earlyStopping")]).toEqual([true, true]);
    }
  });

  test("names a metric that the run never measures, before the first step", async () => {
    const error = await thrownBy(() => run({ metric: "val_error" }).start());
    expect(error.message).toContain(
      '"val_error", which this run never measures; it has loss, val_loss, val_f1',
    );
  });

  test("refuses options that mean nothing", async () => {
    for (const wrong of [{ patience: 0 }, { patience: 1.5 }, { minDelta: -1 }, { minDelta: NaN }]) {
      expect(await thrownBy(() => earlyStopping(wrong))).toBeInstanceOf(RangeError);
    }
  });
});
