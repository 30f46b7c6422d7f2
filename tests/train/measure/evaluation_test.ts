import { describe, expect } from "bun:test";
import { abs } from "../../../src/graph/ops/piecewise.ts";
import { sub } from "../../../src/graph/ops/arithmetic.ts";
import { cast } from "../../../src/graph/ops/cast.ts";
import { equal } from "../../../src/graph/ops/comparison.ts";
import { argmax } from "../../../src/graph/ops/argmax.ts";
import { max } from "../../../src/graph/ops/reduce.ts";
import {
  accuracy,
  confusionMatrix,
  mae,
  type Metric,
  perplexity,
  precision,
  r2,
  rmse,
  type SetMetric,
  topK,
} from "../../../src/nn/nn.ts";
import { gpuTest } from "../../helpers/gpu.ts";
import { thrownBy } from "../../helpers/thrown.ts";
import { blobs, CLASSES, smallRun, withTrainer } from "../fixtures.ts";
import { loaderOf, nearby, planeRun, points } from "../reference/weighted_line.ts";

const QUIET = { progress: false } as const;

/** The largest error of all: put together by taking the larger. */
const largestError: SetMetric<"largest"> = {
  count: (output, labels) => ({ largest: max(abs(sub(output, labels))) }),
  merge: (a, b) => ({ largest: a.largest.map((error, at) => Math.max(error, b.largest[at] ?? NaN)) }),
  result: ({ largest }) => largest[0] ?? NaN,
};

/** One number an example, as metrics were at first. */
const isRight: Metric = (output, labels) => cast(equal(argmax(output), labels), "f32");

describe("an evaluation", () => {
  gpuTest(
    "ME-01 measures the whole set, however it is cut, and a last batch that is smaller counts as it is",
    async (gpu) => {
      const metrics = {
        accuracy: accuracy(),
        right: isRight,
        top2: topK({ k: 2 }),
        perplexity: perplexity(),
        precision: precision(),
      };
      await withTrainer(gpu, smallRun({ metrics }), async ({ trainer }) => {
        await trainer.train({ epochs: 1, ...QUIET });
        const whole = await trainer.evaluate(blobs(70, { batchSize: 70 }));
        expect(Object.keys(whole.metrics)).toEqual(Object.keys(metrics));
        expect(whole.metrics.right).toBe(whole.metrics.accuracy ?? NaN);
        expect(Number.isInteger(Math.round(70 * (whole.accuracy ?? NaN) * 1e9) / 1e9)).toBe(true);
        nearby([whole.metrics.perplexity ?? NaN], [Math.exp(whole.loss)], 1e-6);
        // 70 batches of one are more than what is read at once.
        for (const batchSize of [1, 8, 32, 69]) {
          const cut = await trainer.evaluate(blobs(70, { batchSize }));
          expect([cut.examples, cut.accuracy, cut.metrics.top2, cut.metrics.precision]).toEqual([
            70,
            whole.accuracy,
            whole.metrics.top2,
            whole.metrics.precision,
          ]);
          nearby(
            [cut.loss, cut.metrics.perplexity ?? NaN],
            [whole.loss, whole.metrics.perplexity ?? NaN],
            1e-6,
          );
        }
      });
    },
  );

  gpuTest("ME-01 gives tables beside numbers, and the history has the numbers", async (gpu) => {
    const validation = blobs(21, { batchSize: 8 });
    const metrics = { accuracy: accuracy(), pairs: confusionMatrix() };
    await withTrainer(gpu, smallRun({ metrics, validation }), async ({ trainer }) => {
      await trainer.train({ epochs: 1, ...QUIET });
      const { tables, metrics: found, accuracy = NaN } = await trainer.evaluate();
      const pairs = tables.pairs ?? [];
      expect([pairs.length, ...pairs.map((row) => row.length)]).toEqual([CLASSES, CLASSES, CLASSES, CLASSES]);
      // Seven of each class.
      expect(pairs.map((row) => row.reduce((sum, count) => sum + count, 0))).toEqual([7, 7, 7]);
      expect(pairs.reduce((sum, row, at) => sum + (row[at] ?? NaN), 0)).toBe(Math.round(21 * accuracy));
      expect(Object.keys(found)).toEqual(["accuracy"]);
      expect(Object.keys(trainer.history.epochs[0]?.metrics ?? {})).toEqual([
        "loss",
        "val_loss",
        "val_accuracy",
      ]);
    });
  });

  gpuTest(
    "ME-01 takes losses for metrics, and metrics of one's own that are put together otherwise",
    async (gpu) => {
      const data = points(50, () => true);
      const metrics = { mae: mae(), rmse: rmse(), r2: r2(), largest: largestError };
      await withTrainer(
        gpu,
        planeRun(loaderOf(data, { batchSize: 10 }), { metrics }),
        async ({ trainer }) => {
          const whole = (await trainer.evaluate(loaderOf(data, { batchSize: 50 }))).metrics;
          nearby([whole.rmse ?? NaN], [
            Math.sqrt((await trainer.evaluate(loaderOf(data, { batchSize: 50 }))).loss),
          ], 1e-6);
          expect(whole.largest).toBeGreaterThan(whole.mae ?? NaN);
          for (const batchSize of [1, 7, 49]) {
            const cut = (await trainer.evaluate(loaderOf(data, { batchSize }))).metrics;
            expect(cut.largest).toBe(whole.largest ?? NaN);
            nearby([cut.mae ?? NaN, cut.rmse ?? NaN, cut.r2 ?? NaN], [
              whole.mae ?? NaN,
              whole.rmse ?? NaN,
              whole.r2 ?? NaN,
            ], 1e-6);
          }
        },
      );
    },
  );

  gpuTest(
    "ME-01 repeats with the same bits, and keeps a few programs of last batches, not one of each size",
    async (gpu) => {
      await withTrainer(gpu, smallRun(), async ({ trainer }) => {
        const first = await trainer.evaluate(blobs(15, { batchSize: 8 }));
        const before = gpu.counters.buffers;
        for (let count = 9; count < 16; count++) await trainer.evaluate(blobs(count, { batchSize: 8 }));
        const full = gpu.counters.buffers;
        for (let count = 9; count < 16; count++) await trainer.evaluate(blobs(count, { batchSize: 8 }));
        expect(gpu.counters.buffers).toBe(full);
        expect(full).toBeGreaterThan(before);
        expect(await trainer.evaluate(blobs(15, { batchSize: 8 }))).toEqual(first);
      });
    },
  );

  gpuTest("ME-01 refuses an invalid metric with what it found", async (gpu) => {
    const messageOf = async (metric: unknown): Promise<string> => {
      const error = await thrownBy(() =>
        withTrainer(gpu, smallRun({ metrics: { mine: metric as Metric } }), async ({ trainer }) => {
          await trainer.evaluate(blobs(8, { batchSize: 8 }));
        })
      );
      expect(error).toBeInstanceOf(TypeError);
      return error.message;
    };
    expect(await messageOf({ count: 1 })).toContain(
      'The metric "mine" is a function of output and labels, or { count, result }',
    );
    expect(await messageOf(mae)).toContain(
      'The metric "mine" gives a function, expected a value; was it not called',
    );
    expect(await messageOf(() => undefined)).toContain('The metric "mine" gives undefined');
    expect(await messageOf({ count: () => ({ part: 1 }), result: () => 0 })).toContain(
      '"part" of the metric "mine" gives a number',
    );
  });
});
