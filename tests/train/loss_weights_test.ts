import { describe, expect } from "bun:test";
import { add, mul, square, sub } from "../../src/graph/ops/arithmetic.ts";
import { sum } from "../../src/graph/ops/sum.ts";
import { mean } from "../../src/graph/ops/reduce.ts";
import { broadcastTo } from "../../src/graph/ops/views.ts";
import { constant, input } from "../../src/graph/ops/sources.ts";
import { gradients } from "../../src/graph/autodiff.ts";
import type { Value } from "../../src/graph/value.ts";
import { batchTerms, meanOfTerm } from "../../src/train/measure/batch_loss.ts";
import { type Layer, linear, type Loss, mse } from "../../src/nn/nn.ts";
import { TensorStore } from "../../src/tensor/tensor_store.ts";
import { Trainer } from "../../src/train/trainer.ts";
import { runValues } from "../graph/run_values.ts";
import { gpuTest } from "../helpers/gpu.ts";
import { thrownBy } from "../helpers/thrown.ts";
import {
  bitsOf,
  careless,
  loaderOf,
  nearby,
  planeOf,
  planeRun,
  type Points,
  points,
  referenceStep,
  sumsOf,
  TARGETS,
  withPlane,
} from "./reference/weighted_line.ts";

const QUIET = { progress: false } as const;
const BATCH = 7;
const STEPS = 20;

/** Every third example is of no weight. */
const whole = (row: number): boolean => row % 3 !== 0;

/** Of each row one label, none or both are known; every fifth example is of no weight. */
const patchy = (row: number, column: number): boolean => row % 5 !== 0 && (row + column) % 3 !== 0;

/** Trains for one epoch and compares losses and weights with float64. */
async function follows(data: Points, trainer: Trainer, store: TensorStore): Promise<void> {
  await trainer.evaluate(loaderOf(data, { batchSize: BATCH }));
  const plane = await planeOf(store);
  await trainer.train({ epochs: 1, ...QUIET });
  const count = data.inputs.length / 3;
  const losses: number[] = [];
  for (let from = 0; from < count; from += BATCH) {
    losses.push(referenceStep(data, plane, from, Math.min(count, from + BATCH)));
  }
  nearby(trainer.history.loss, losses, 1e-5);
  const trained = await planeOf(store);
  nearby(trained.weight, plane.weight, 1e-5);
  nearby(trained.bias, plane.bias, 1e-5);
}

describe("a value and a weight for each example", () => {
  gpuTest(
    "LO-00 are summed over the batch before they are divided, as in float64 over 20 steps",
    async (gpu) => {
      const data = points(BATCH * STEPS, patchy);
      await withPlane(gpu, planeRun(loaderOf(data, { batchSize: BATCH })), async (trainer, store) => {
        await follows(data, trainer, store);
        const { "data.weight": weights = [] } = trainer.history.terms;
        const known = Array.from(
          { length: STEPS },
          (_, step) =>
            data.labels.subarray(step * BATCH * TARGETS, (step + 1) * BATCH * TARGETS).filter((label) =>
              label === label
            )
              .length,
        );
        expect([...weights]).toEqual(known);
      });
    },
  );

  gpuTest(
    "LO-00 a NaN of an example of weight 0 disturbs no other, as in float64 over 20 steps",
    async (gpu) => {
      const data = points(BATCH * STEPS, whole);
      const run = planeRun(loaderOf(data, { batchSize: BATCH }), { loss: careless });
      await withPlane(gpu, run, (trainer, store) => follows(data, trainer, store));
    },
  );

  gpuTest("LO-00 weights that are all 1 give the bits of a loss without weights", async (gpu) => {
    const data = loaderOf(points(60, () => true), { batchSize: 9, shuffle: true });
    const bits = async (loss: Loss): Promise<unknown> =>
      await withPlane(gpu, planeRun(data, { loss }), async (trainer, store) => {
        await trainer.train({ epochs: 3, ...QUIET });
        return [[...trainer.history.loss], await bitsOf(store)];
      });
    const unweighted: Loss = (output, labels) => mse()(output, labels).value;
    const ones: Loss = (output, labels) => {
      const { value } = mse()(output, labels);
      return { value, weight: broadcastTo(constant(1), value.shape) };
    };
    expect(await bits(ones)).toEqual(await bits(unweighted));
    expect(await bits(ones)).toEqual(await bits(ones));
  });

  gpuTest("LO-00 an example of weight 0 gives no gradient, where its value is NaN too", async (gpu) => {
    const [output, labels] = [input("o", "f32", [4, 2]), input("l", "f32", [4, 2])];
    const given = { o: [1, 2, NaN, 1, 3, 3, Infinity, 0], l: [0, NaN, NaN, NaN, 1, 1, NaN, NaN] };
    const [term] = batchTerms(careless, output, labels, 4);
    if (term === undefined) throw new Error("no term");
    const loss = meanOfTerm(term);
    const [found, gradient] = await runValues(gpu, [loss, ...gradients(loss, [output])], given);
    // (1² + 2² + 2²) over three labels. The second number of the first row is not masked by its weight, which is 1.
    expect(found?.toArray()[0]).toBe(3);
    nearby(gradient?.toArray() as Float32Array, [2 / 3, NaN, 0, 0, 4 / 3, 4 / 3, 0, 0], 1e-6);
  });

  gpuTest("LO-00 a batch in which nothing counts has the loss 0 and changes no weight", async (gpu) => {
    const data = points(21, (row) => row < 7);
    await withPlane(gpu, planeRun(loaderOf(data, { batchSize: 7 })), async (trainer, store) => {
      const bits: string[][] = [];
      const onStep = async (): Promise<void> => void bits.push(await bitsOf(store));
      await trainer.train({ epochs: 1, ...QUIET, onStep });
      expect([...trainer.history.loss].slice(1)).toEqual([0, 0]);
      expect([bits[1], bits[2]]).toEqual([bits[0], bits[0]]);
      // And it takes no part in the mean over the epoch.
      expect(trainer.history.epochs[0]?.metrics.loss).toBe(trainer.history.loss[0]);
    });
  });

  gpuTest("LO-00 an evaluation divides once, however the set is cut", async (gpu) => {
    const data = points(53, patchy);
    await withPlane(gpu, planeRun(loaderOf(data, { batchSize: BATCH })), async (trainer, store) => {
      const first = await trainer.evaluate(loaderOf(data, { batchSize: 53 }));
      const { value, count } = sumsOf(data, await planeOf(store), 0, 53);
      nearby([first.loss], [value / count], 1e-6);
      for (const batchSize of [1, 4, 10, 52, 64]) {
        const { loss, examples } = await trainer.evaluate(loaderOf(data, { batchSize }));
        nearby([loss], [first.loss], 1e-6);
        expect(examples).toBe(53);
      }
    });
  });

  gpuTest(
    "LO-00 the loss of an epoch is the mean over its examples, also behind a short batch",
    async (gpu) => {
      const data = points(10, patchy);
      const options = planeRun(loaderOf(data, { batchSize: 7 }));
      await withPlane(gpu, options, async (trainer) => {
        await trainer.train({ epochs: 2, ...QUIET });
        const { loss, terms } = trainer.history;
        const weights = terms["data.weight"] ?? new Float32Array();
        trainer.history.epochs.forEach(({ metrics }, epoch) => {
          const [a, b] = [2 * epoch, 2 * epoch + 1];
          const [wa = 0, wb = 0, la = 0, lb = 0] = [weights[a], weights[b], loss[a], loss[b]];
          nearby([metrics.loss ?? NaN], [(wa * la + wb * lb) / (wa + wb)], 1e-12);
        });
      });
      const plain: Loss = (output, labels) => mean(square(sub(output, labels)), { axes: 1 });
      await withPlane(gpu, {
        ...planeRun(loaderOf(points(10, () => true), { batchSize: 7 })),
        loss: plain,
      }, async (trainer) => {
        await trainer.train({ epochs: 1, ...QUIET });
        const [a = 0, b = 0] = trainer.history.loss;
        nearby([trainer.history.epochs[0]?.metrics.loss ?? NaN], [(7 * a + 3 * b) / 10], 1e-12);
        expect(trainer.history.terms).toEqual({});
      });
    },
  );

  gpuTest("LO-00 no gradient flows into a weight", async (gpu) => {
    const [x, w] = [input("x", "f32", [3]), input("w", "f32", [3])];
    const loss: Loss = (output) => ({ value: mul(output, w), weight: w });
    const [term] = batchTerms(loss, x, w, 3);
    if (term === undefined) throw new Error("no term");
    const total = meanOfTerm(term);
    const [gradient] = await runValues(gpu, gradients(total, [w]), { x: [3, 6, 9], w: [1, 1, 2] });
    // That of the product alone: x / Σw.
    nearby(gradient?.toArray() as Float32Array, [0.75, 1.5, 2.25], 1e-6);
  });

  gpuTest(
    "LO-00 a loss that gives no f32 for each example is refused with what was found, when the trainer is made",
    async (gpu) => {
      const store = TensorStore.on(gpu);
      const messageOf = async (loss: Loss): Promise<string> => {
        const data = loaderOf(points(8, () => true), { batchSize: 4 });
        const error = await thrownBy(() => new Trainer(store, planeRun(data, { loss })));
        expect(error).toBeInstanceOf(TypeError);
        return error.message;
      };
      const value = (output: Value, labels: Value): Value => mse()(output, labels).value;
      expect(await messageOf((output, labels) => ({ value: value(output, labels), weight: constant(1) })))
        .toContain(
          "The loss, for its weights, gives f32 of shape [], expected one f32 for each example of the batch, shape [4]",
        );
      expect(await messageOf((output, labels) => ({ value: sum(value(output, labels)) }))).toContain(
        "The loss gives f32 of shape []",
      );
      expect(await messageOf((output) => ({ value: output }))).toContain("gives f32 of shape [4, 2]");
      expect(await messageOf(() => undefined as unknown as Value)).toContain("The loss gives undefined");
      expect(store.groups()).toEqual([]);
      await store.close();
    },
  );

  gpuTest("LO-00 a loss declares which labels there may be, and the trainer refuses others", async (gpu) => {
    const data = points(16, () => true);
    data.labels[2 * 11 + 1] = -7;
    const declaring: Loss = (output, labels) => ({
      value: mse()(output, labels).value,
      labels: { loss: "mine", least: -5, most: 5, ignored: -100 },
    });
    const run = planeRun(loaderOf(data, { batchSize: 4 }), { loss: declaring });
    await withPlane(gpu, run, async (trainer) => {
      for (const way of [() => trainer.train({ epochs: 1, ...QUIET }), () => trainer.evaluate(run.data)]) {
        const error = await thrownBy(way);
        expect(error).toBeInstanceOf(RangeError);
        expect(error.message).toContain(
          "The label of example 11 (example 3 of batch 2 of epoch 1) is -7, " +
            "and mine takes numbers from -5 to 5, and -100 for none",
        );
      }
      expect(trainer.step).toBe(2);
    });
    data.labels[2 * 11 + 1] = -100;
    await withPlane(gpu, planeRun(loaderOf(data, { batchSize: 4 }), { loss: declaring }), async (trainer) => {
      expect((await trainer.train({ epochs: 1, ...QUIET })).steps).toBe(4);
    });
  });

  gpuTest(
    "LO-00 a model whose examples depend on each other is evaluated without padding",
    async (gpu) => {
      // Each output is taken from the mean of its batch: examples that fill up would be in that.
      const inner = linear(3, 2);
      const centred: Layer = (x, scope) => {
        const y = inner(x, scope);
        return sub(y, mean(y, { axes: 0, keepDims: true }));
      };
      const data = points(5, () => true);
      const loss: Loss = (output, labels) => sum(add(square(output), mul(labels, 0)), { axes: 1 });
      await withPlane(
        gpu,
        planeRun(loaderOf(data, { batchSize: 5 }), { model: centred, loss }),
        async (trainer) => {
          const alone = await trainer.evaluate(loaderOf(data, { batchSize: 5 }));
          expect(await trainer.evaluate(loaderOf(data, { batchSize: 8 }))).toEqual(alone);
        },
      );
    },
  );
});
