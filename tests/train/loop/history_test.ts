import { describe, expect, test } from "bun:test";
import { TrainingHistory } from "../../../src/train/loop/history.ts";

describe("TrainingHistory", () => {
  test("keeps every loss as it came, through growth", () => {
    const history = new TrainingHistory();
    const losses = Float32Array.from({ length: 1000 }, (_, step) => Math.fround(1 / (step + 1)));
    for (let step = 0; step < 1000; step += 32) {
      history.write(step, losses.subarray(step, Math.min(1000, step + 32)));
    }
    expect(history.loss).toEqual(losses);
    expect(history.lastLoss).toBe(losses[999]);
  });

  test("a block may be written twice, but no hole is left", () => {
    const history = new TrainingHistory();
    history.write(0, new Float32Array([1, 2, 3]));
    history.write(2, new Float32Array([3, 4]));
    history.write(0, new Float32Array([1]));
    expect([...history.loss]).toEqual([1, 2, 3, 4]);
    expect(() => history.write(5, new Float32Array(1))).toThrow("only 4 are known");
  });

  test("means are over a range of steps", () => {
    const history = new TrainingHistory();
    history.write(0, new Float32Array([1, 2, 3, 4]));
    expect(history.meanLoss(1, 3)).toBe(2.5);
    expect(history.meanLoss(1, 1)).toBe(NaN);
  });

  test("batches that were skipped are known by their NaN, once each, and have no part in a mean", () => {
    const history = new TrainingHistory();
    history.write(0, new Float32Array([1, NaN, 3]));
    history.write(1, new Float32Array([NaN, 3, NaN, 5]));
    expect(history.skipped).toEqual([1, 3]);
    expect(history.meanLoss(0, 5)).toBe(3);
    expect(history.meanLoss(1, 2)).toBe(NaN);
    history.replace(new Float32Array([NaN]), []);
    expect(history.skipped).toEqual([0]);
  });

  test("what was measured is found by its step, of an epoch or within one", () => {
    const history = new TrainingHistory();
    const [within, end] = [3, 4].map((step) => ({ epoch: 1, step, metrics: { val_loss: step } }));
    if (within === undefined || end === undefined) throw new Error("no records");
    history.addValidation(within);
    expect(history.measuredAt(3)).toBe(within);
    history.addEpoch(end);
    expect([history.measuredAt(4), history.measuredAt(5)]).toEqual([end, undefined]);
    history.replace(new Float32Array(0), [end], [within]);
    expect([history.epochs, history.validations]).toEqual([[end], [within]]);
  });

  test("the losses given out are a copy, and replacing forgets the old ones", () => {
    const history = new TrainingHistory();
    history.write(0, new Float32Array([1, 2, 3]));
    history.loss[0] = 9;
    expect([...history.loss]).toEqual([1, 2, 3]);
    history.replace(new Float32Array([5]), [{ epoch: 1, step: 1, metrics: { loss: 5 } }]);
    expect([...history.loss]).toEqual([5]);
    expect(history.lastEpoch?.metrics).toEqual({ loss: 5 });
  });
});
