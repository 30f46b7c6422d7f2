import { describe, expect, test } from "bun:test";
import { TrainingHistory } from "../../src/train/history.ts";

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
