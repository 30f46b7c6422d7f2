import { describe, expect, test } from "bun:test";
import { abs } from "../../src/graph/ops/piecewise.ts";
import { add, mul, square, sub } from "../../src/graph/ops/arithmetic.ts";
import { sum } from "../../src/graph/ops/sum.ts";
import { constant, input } from "../../src/graph/ops/sources.ts";
import { combineLosses, l1Penalty, l2Penalty, type Loss, mse, type Regularizer } from "../../src/nn/nn.ts";
import { MemoryStorage } from "../../src/storage/memory_storage.ts";
import { terminalProgress } from "../../src/train/log/progress.ts";
import type { TrainerOptions } from "../../src/train/trainer.ts";
import { gpuTest } from "../helpers/gpu.ts";
import { thrownBy } from "../helpers/thrown.ts";
import { engineOn, withTrainer } from "./fixtures.ts";
import {
  bitsOf,
  careful,
  FEATURES,
  loaderOf,
  nearby,
  type Plane,
  planeOf,
  planeRun,
  points,
  RATE,
  sumsOf,
  withPlane,
} from "./reference/weighted_line.ts";

const QUIET = { progress: false } as const;
const BATCH = 6;
const DATA = points(BATCH * 20, (row, column) => row % 4 !== 0 && (row + column) % 3 !== 0);
const SMALL: Loss = (output) => sum(abs(output), { axes: 1 });
const PENALTIES = { l1: l1Penalty(0.02, { only: ["weight"] }), l2: l2Penalty(0.05, { exclude: [/^b/] }) };

function termsRun(overrides: Partial<TrainerOptions> = {}): TrainerOptions {
  return planeRun(loaderOf(DATA, { batchSize: BATCH, shuffle: true }), {
    loss: combineLosses({ squares: careful, size: SMALL }, { factors: { size: 0.125 } }),
    regularizers: PENALTIES,
    validation: loaderOf(DATA, { batchSize: 50 }),
    ...overrides,
  });
}

/** One step in float64: the loss, its parts, and the plane afterwards. */
function reference(plane: Plane, from: number): Record<string, number> {
  const { value, count, gradient } = sumsOf(DATA, plane, from, from + BATCH);
  const { weight, bias } = plane;
  let size = 0;
  const move: Plane = {
    weight: gradient.weight.map((g, at) =>
      g / count + 0.02 * Math.sign(weight[at] ?? 0) + 0.1 * (weight[at] ?? 0)
    ),
    bias: gradient.bias.map((g) => g / count),
  };
  for (let row = from; row < from + BATCH; row++) {
    bias.forEach((constant, target) => {
      const x = [...DATA.inputs.subarray(row * FEATURES, (row + 1) * FEATURES)];
      const output = x.reduce(
        (total, each, k) => total + each * (weight[target * FEATURES + k] ?? 0),
        constant,
      );
      size += Math.abs(output) / BATCH;
      const slope = 0.125 * Math.sign(output) / BATCH;
      x.forEach((each, k) => {
        const at = target * FEATURES + k;
        move.weight[at] = (move.weight[at] ?? 0) + slope * each;
      });
      move.bias[target] = (move.bias[target] ?? 0) + slope;
    });
  }
  const l1 = 0.02 * weight.reduce((total, w) => total + Math.abs(w), 0);
  const l2 = 0.05 * weight.reduce((total, w) => total + w * w, 0);
  for (const key of ["weight", "bias"] as const) {
    plane[key].forEach((before, at) => plane[key][at] = before - RATE * (move[key][at] ?? NaN));
  }
  const squares = value / count;
  return { loss: squares + 0.125 * size + l1 + l2, squares, size, l1, l2, "squares.weight": count };
}

describe("a loss of several terms, and regularisers", () => {
  gpuTest(
    "LO-03 are trained on as in float64 over 20 steps, and each is in the history by its name",
    async (gpu) => {
      const options = termsRun({ data: loaderOf(DATA, { batchSize: BATCH }) });
      await withPlane(gpu, options, async (trainer, store) => {
        await trainer.evaluate();
        const plane = await planeOf(store);
        const steps = Array.from({ length: 20 }, (_, step) => reference(plane, step * BATCH));
        await trainer.train({ epochs: 1, ...QUIET });
        const { loss, terms, epochs } = trainer.history;
        const columns: Record<string, Float32Array> = { loss, ...terms };
        expect(Object.keys(columns).sort()).toEqual([
          "l1",
          "l2",
          "loss",
          "size",
          "squares",
          "squares.weight",
        ]);
        for (const [name, column] of Object.entries(columns)) {
          nearby(column, steps.map((step) => step[name] ?? NaN), 2e-5);
        }
        const trained = await planeOf(store);
        nearby(trained.weight, plane.weight, 2e-5);
        nearby(trained.bias, plane.bias, 2e-5);

        const mean = (name: string, weightOf: (step: Record<string, number>) => number): number =>
          steps.reduce((total, step) => total + (step[name] ?? NaN) * weightOf(step), 0) /
          steps.reduce((total, step) => total + weightOf(step), 0);
        const squares = mean("squares", (step) => step["squares.weight"] ?? NaN);
        const expected = {
          squares,
          size: mean("size", () => 1),
          l1: mean("l1", () => 1),
          l2: mean("l2", () => 1),
        };
        const { size, l1, l2 } = expected;
        const found = epochs[0]?.metrics ?? {};
        nearby([found.squares ?? NaN, found.size ?? NaN, found.l1 ?? NaN, found.l2 ?? NaN], [
          squares,
          size,
          l1,
          l2,
        ], 2e-5);
        nearby([found.loss ?? NaN], [squares + 0.125 * size + l1 + l2], 2e-5);
        // What is measured on data says nothing of the regularisers.
        const whole = sumsOf(DATA, trained, 0, BATCH * 20);
        nearby([found.val_squares ?? NaN], [whole.value / whole.count], 2e-5);
        nearby(
          [found.val_loss ?? NaN],
          [(found.val_squares ?? NaN) + 0.125 * (found.val_size ?? NaN)],
          1e-12,
        );
        expect(Object.keys(found)).not.toContain("val_l1");
        const report = await trainer.evaluate();
        expect(report.terms).toEqual({ squares: found.val_squares ?? NaN, size: found.val_size ?? NaN });
      });
    },
  );

  gpuTest("LO-03 are shown in the progress, and may stand in the name of a checkpoint", async (gpu) => {
    const storage = new MemoryStorage();
    await withTrainer(gpu, termsRun(), async ({ trainer }) => {
      trainer.autoSave({
        interval: 1,
        savePath: await engineOn(storage),
        name: "{epoch}-{size:.2f}-{l2:.2f}-{val_squares:.2f}",
      });
      const events: Record<string, number>[] = [];
      const lines: string[] = [];
      const stream = { write: (text: string) => void lines.push(text) };
      const { saves } = await trainer.train({
        epochs: 4,
        progress: terminalProgress({ stream, lineIntervalMs: 0 }),
        onStep: ({ terms }) => void events.push({ ...terms }),
      });
      const { terms, epochs } = trainer.history;
      const last = events.at(-1) ?? {};
      expect(Object.keys(last).sort()).toEqual(["l1", "l2", "size", "squares"]);
      // All of one step, the newest that was read by then.
      const newest = terms.size?.findLastIndex((size) => size === last.size) ?? -1;
      expect(newest).toBeGreaterThanOrEqual(31);
      expect(last.squares).toBe(terms.squares?.[newest] ?? NaN);
      const shown = `(squares ${last.squares?.toFixed(4)}, size ${last.size?.toFixed(4)}, l1 `;
      expect(lines.filter((line) => line.startsWith("epoch") && line.includes(shown)).length).toBeGreaterThan(
        0,
      );
      const { size, l2, val_squares } = epochs[0]?.metrics ?? {};
      expect(saves[0]?.tag).toBe(`1-${size?.toFixed(2)}-${l2?.toFixed(2)}-${val_squares?.toFixed(2)}`);
    });
  });

  gpuTest("LO-03 are in a checkpoint, whichever half of the ring they were in", async (gpu) => {
    const seen = async (cuts: readonly number[]): Promise<unknown> => {
      const storage = new MemoryStorage();
      for (const cut of cuts) {
        await withTrainer(gpu, termsRun(), async ({ trainer }) => {
          trainer.autoSave({ savePath: await engineOn(storage) });
          await trainer.resume();
          const stop = new AbortController();
          const onStep = ({ step }: { step: number }): void =>
            step === cut ? stop.abort(new Error("cut")) : undefined;
          await thrownBy(() => trainer.train({ epochs: 8, ...QUIET, signal: stop.signal, onStep }));
          await trainer.save(`at-${cut}`);
        });
      }
      return await withPlane(gpu, termsRun(), async (trainer, store) => {
        trainer.autoSave({ savePath: await engineOn(storage) });
        await trainer.resume();
        await trainer.train({ epochs: 8, ...QUIET });
        const { terms, loss, epochs } = trainer.history;
        const columns = Object.entries({ loss, ...terms }).map(([name, column]) => [name, [...column]]);
        return [columns, epochs, await bitsOf(store)];
      });
    };
    const undisturbed = await seen([]);
    expect(await seen([7, 70, 150])).toEqual(undisturbed);
  });

  gpuTest(
    "LO-03 of a batch that is skipped are NaN, and nothing is kept of one that stops the run",
    async (gpu) => {
      const spoiled = { ...DATA, inputs: DATA.inputs.slice() };
      spoiled.inputs[3 * BATCH * FEATURES] = Infinity;
      const data = loaderOf(spoiled, { batchSize: BATCH });
      await withTrainer(gpu, termsRun({ data }), async ({ trainer }) => {
        await trainer.train({ epochs: 1, ...QUIET, onNonFinite: "skip" });
        const { loss, terms, epochs } = trainer.history;
        for (const column of [loss, ...Object.values(terms)]) {
          expect([...column].map(Number.isNaN).indexOf(true)).toBe(3);
          expect([...column].filter(Number.isNaN)).toHaveLength(1);
        }
        expect(Number.isFinite(epochs[0]?.metrics.squares)).toBe(true);
      });
      await withTrainer(gpu, termsRun({ data }), async ({ trainer, tensors }) => {
        await thrownBy(() => trainer.train({ epochs: 1, ...QUIET }));
        expect(trainer.step).toBe(3);
        const { loss, terms } = trainer.history;
        for (const column of [loss, ...Object.values(terms)]) expect(column).toHaveLength(3);
        expect(((await tensors())["step_terms.size"] ?? "").slice(3 * 8)).toMatch(/^0+$/);
      });
    },
  );

  gpuTest(
    "LO-03 that differ from the checkpoint are refused, unless that is allowed",
    async (gpu) => {
      const storage = new MemoryStorage();
      await withTrainer(gpu, termsRun(), async ({ trainer }) => {
        trainer.autoSave({ interval: 1, savePath: await engineOn(storage) });
        await trainer.train({ epochs: 1, ...QUIET });
      });
      const others: readonly (readonly [Partial<TrainerOptions>, string])[] = [
        [
          { regularizers: { ...PENALTIES, l2: l2Penalty(0.04, { exclude: [/^b/] }) } },
          "regularizers.l2.factor 0.05, this one 0.04",
        ],
        [{ regularizers: undefined }, "regularizers.l1 "],
        [
          { loss: combineLosses({ squares: careful, size: SMALL }) },
          "loss.factors.size 0.125, this one nothing",
        ],
        [
          { loss: combineLosses({ squares: careful, other: mse() }) },
          "loss.losses.other nothing, this one mse()",
        ],
      ];
      for (const [overrides, difference] of others) {
        await withTrainer(gpu, termsRun(overrides), async ({ trainer }) => {
          trainer.autoSave({ savePath: await engineOn(storage) });
          const error = await thrownBy(() => trainer.resume());
          expect([error.code, error.message]).toEqual([
            "state_mismatch",
            expect.stringContaining(difference),
          ]);
          expect(trainer.step).toBe(0);
        });
      }
      const loss = combineLosses({ squares: careful, other: mse() });
      const data = loaderOf(points(BATCH * 20, () => true), { batchSize: BATCH });
      await withTrainer(gpu, termsRun({ loss, regularizers: undefined, data }), async ({ trainer }) => {
        trainer.autoSave({ savePath: await engineOn(storage) });
        expect((await trainer.resume({ allow: ["loss", "data"] })).step).toBe(20);
        await trainer.train({ epochs: 2, ...QUIET });
        const { other = [], l1 } = trainer.history.terms;
        expect([[...other].slice(0, 20).every(Number.isNaN), [...other].slice(20).some(Number.isNaN), l1])
          .toEqual([
            true,
            false,
            undefined,
          ]);
      });
    },
  );

  gpuTest("LO-03 a single loss is called data beside a regulariser of one's own", async (gpu) => {
    const near: Regularizer = (parameters) =>
      parameters.filter(({ name }) => name === "bias")
        .map(({ value }) => sum(square(sub(value, 1))))
        .reduce((total, each) => add(total, each), constant(0));
    const data = points(BATCH * 4, () => true);
    const options = planeRun(loaderOf(data, { batchSize: BATCH }), { loss: mse(), regularizers: { near } });
    await withPlane(gpu, options, async (trainer) => {
      await trainer.train({ epochs: 1, ...QUIET });
      const { terms, loss } = trainer.history;
      expect(Object.keys(terms).sort()).toEqual(["data", "near"]);
      nearby(loss, [...terms.data ?? []].map((value, step) => value + (terms.near?.[step] ?? NaN)), 1e-6);
    });
  });

  gpuTest(
    "LO-03 with an invalid name, factor or number are refused when the trainer is made",
    async (gpu) => {
      const messageOf = async (overrides: Partial<TrainerOptions>): Promise<string> => {
        const error = await thrownBy(() => withTrainer(gpu, termsRun(overrides), () => Promise.resolve()));
        return `${error.name}: ${error.message}`;
      };
      const terms =
        (names: readonly string[], factors?: Record<string, number>): Loss => (output, labels) => ({
          terms: Object.fromEntries(names.map((name) => [name, mse()(output, labels)])),
          ...factors === undefined ? {} : { factors },
        });
      expect(await messageOf({ loss: terms(["loss"]) })).toContain('cannot be called "loss"');
      expect(await messageOf({ loss: terms(["a b"]) })).toContain('cannot be called "a b"');
      expect(await messageOf({ loss: terms([]) })).toContain("The loss has no term");
      expect(await messageOf({ loss: terms(["a"], { b: 1 }) })).toContain(
        'a factor for "b" and no such term; it has "a"',
      );
      expect(await messageOf({ loss: terms(["a"], { a: NaN }) })).toContain(
        'The factor of "a" is a number, found NaN',
      );
      expect(await messageOf({ loss: terms(["l1"]) })).toContain('Two parts of the loss are called "l1"');
      expect(await messageOf({ regularizers: { a: (all) => all[0]?.value ?? constant(0) } })).toContain(
        'The regularizer "a" gives f32 of shape [2, 3], expected one f32',
      );
      expect(await messageOf({ regularizers: { a: l2Penalty(1, { only: ["wieght"] }) } })).toContain(
        'l2Penalty: only "wieght" means no parameter; the model has "weight", "bias"',
      );
      expect(await messageOf({ loss: terms(["a"]), metrics: { a: mse() }, regularizers: {} })).toContain(
        'A metric cannot be called "a": a term of the loss has that name',
      );
    },
  );

  test("LO-03 of a penalty with an invalid factor, and of a loss that has terms itself, are refused", () => {
    for (const factor of [-1, NaN, Infinity]) expect(() => l1Penalty(factor)).toThrow(RangeError);
    expect(() => combineLosses({ a: undefined as unknown as Loss })).toThrow('"a" is a loss, like nn.mse()');
    const [x, y] = [input("x", "f32", [4, 2]), input("y", "f32", [4, 2])];
    const inner = combineLosses({ b: mse(), c: (output, labels) => mul(mse()(output, labels).value, 2) });
    expect(() => combineLosses({ inner })(x, y)).toThrow('"inner" has several terms itself');
  });
});
