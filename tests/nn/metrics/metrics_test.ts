import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { input } from "../../../src/graph/ops/sources.ts";
import type { DType } from "../../../src/base/dtype.ts";
import {
  accuracy,
  confusionMatrix,
  f1,
  perplexity,
  precision,
  r2,
  recall,
  rmse,
  type SetMetric,
  topK,
} from "../../../src/nn/nn.ts";
import { gpuTest } from "../../helpers/gpu.ts";
import { thrownBy } from "../../helpers/thrown.ts";
import { numbers } from "../../train/fixtures.ts";
import { measured, type Rows } from "./count_metric.ts";

/** Cuts of 67 examples into batches; the last one is mostly a smaller one. */
const CUTS: readonly (readonly number[])[] = [
  [67],
  [64, 3],
  [1, 66],
  [23, 23, 21],
  Array<number>(67).fill(1),
];
const COUNT = 67;
const CLASSES = 5;

interface Labelled {
  readonly output: Rows;
  readonly labels: Rows;
  /** Of each position. */
  readonly logits: readonly (readonly number[])[];
  readonly wanted: readonly number[];
}

/** Logits with ties, and a label for each position; `ignored` is every seventh. */
function classified(
  positions: readonly number[],
  dtype: DType,
  ignored?: number,
  classes = CLASSES,
): Labelled {
  const random = numbers(classes + positions.length);
  const perExample = positions.reduce((product, size) => product * size, 1);
  const rows = COUNT * perExample;
  const logits = Array.from(
    { length: rows },
    () => Array.from({ length: classes }, () => Math.floor(6 * random()) / 2),
  );
  const wanted = Array.from(
    { length: rows },
    (_, row) => ignored !== undefined && row % 7 === 0 ? ignored : Math.floor(random() * classes),
  );
  return {
    output: { dtype: "f32", shape: [...positions, classes], elements: logits.flat() },
    labels: { dtype, shape: positions, elements: wanted },
    logits,
    wanted,
  };
}

/** The first of the largest. */
function best(logits: readonly number[]): number {
  return logits.indexOf(Math.max(...logits));
}

/** Pairs of label and prediction, counted one by one. */
function pairsOf({ logits, wanted }: Labelled, ignored?: number, classes = CLASSES): number[][] {
  const table = Array.from({ length: classes }, () => Array<number>(classes).fill(0));
  wanted.forEach((label, row) => {
    if (label === ignored) return;
    const [line, column] = [table[label], best(logits[row] ?? [])];
    if (line !== undefined) line[column] = (line[column] ?? 0) + 1;
  });
  return table;
}

const SETS: readonly (readonly [string, Labelled, number | undefined])[] = [
  ["one class an example", classified([], "u32"), undefined],
  ["sequences of bytes with an ignored label", classified([3], "u8", 255), 255],
  ["i32 with PyTorch's ignored label", classified([2, 2], "i32", -100), -100],
];

describe("a metric of classes", () => {
  for (const [what, set, ignored] of SETS) {
    const options = ignored === 255 ? { ignoreIndex: 255 } : {};
    gpuTest(
      `ME-01 accuracy and the confusion matrix of ${what} are counted exactly, however the set is cut`,
      async (gpu) => {
        const table = pairsOf(set, ignored);
        const counted = table.flat().reduce((sum, each) => sum + each, 0);
        const correct = table.reduce((sum, line, label) => sum + (line[label] ?? 0), 0);
        for (const sizes of CUTS.slice(0, 4)) {
          const matrix = await measured(gpu, confusionMatrix(options), set.output, set.labels, sizes);
          expect(matrix.result).toEqual(table);
          const { totals, result } = await measured(gpu, accuracy(options), set.output, set.labels, sizes);
          expect([totals.correct?.[0], totals.count?.[0], result]).toEqual([
            correct,
            counted,
            correct / counted,
          ]);
        }
      },
    );

    gpuTest(`ME-01 topK of ${what} counts equal logits in their order`, async (gpu) => {
      for (const k of [1, 2, 5, 9]) {
        let [correct, count] = [0, 0];
        set.wanted.forEach((label, row) => {
          if (label === ignored) return;
          const logits = set.logits[row] ?? [];
          const order = logits.map((x, at) => ({ x, at })).sort((a, b) => b.x - a.x || a.at - b.at);
          count += 1;
          if (order.slice(0, k).some(({ at }) => at === label)) correct += 1;
        });
        const { totals } = await measured(gpu, topK({ ...options, k }), set.output, set.labels, [64, 3]);
        expect([k, totals.correct?.[0], totals.count?.[0]]).toEqual([k, correct, count]);
      }
    });

    gpuTest(`ME-01 perplexity of ${what} is the exponential of the mean over all labels`, async (gpu) => {
      let [losses, count] = [0, 0];
      set.wanted.forEach((label, row) => {
        if (label === ignored) return;
        const logits = set.logits[row] ?? [];
        losses += Math.log(logits.reduce((sum, x) => sum + Math.exp(x), 0)) - (logits[label] ?? NaN);
        count += 1;
      });
      for (const sizes of CUTS.slice(0, 4)) {
        const { result } = await measured(gpu, perplexity(options), set.output, set.labels, sizes);
        expect(Math.abs(Number(result) / Math.exp(losses / count) - 1)).toBeLessThan(1e-6);
      }
    });

    gpuTest(`ME-01 precision, recall and f1 of ${what} are what the table says`, async (gpu) => {
      const table = pairsOf(set, ignored);
      const totalOf = (counts: readonly number[]): number => counts.reduce((sum, each) => sum + each, 0);
      const classes = table.map((line, label) => {
        const [right, predicted] = [line[label] ?? 0, totalOf(table.map((each) => each[label] ?? 0))];
        const labelled = totalOf(line);
        return {
          labelled,
          precision: right / predicted,
          recall: right / labelled,
          f1: 2 * right / (predicted + labelled),
        };
      });
      const correct = totalOf(table.map((line, label) => line[label] ?? 0));
      const all = totalOf(table.flat());
      const makers = { precision, recall, f1 };
      for (const name of ["precision", "recall", "f1"] as const) {
        const expected = {
          macro: totalOf(classes.map((each) => each[name])) / CLASSES,
          weighted: totalOf(classes.map((each) => each[name] * each.labelled)) / all,
          micro: correct / all,
        };
        for (const average of ["macro", "weighted", "micro"] as const) {
          const metric = makers[name]({ ...options, average });
          const { result } = await measured(gpu, metric, set.output, set.labels, [64, 3]);
          expect(Math.abs(Number(result) - expected[average])).toBeLessThan(1e-12);
        }
        const byDefault = await measured(gpu, makers[name](options), set.output, set.labels, [23, 23, 21]);
        expect(Math.abs(Number(byDefault.result) - expected.macro)).toBeLessThan(1e-12);
      }
    });
  }

  gpuTest(
    "ME-01 takes numbers for yes and no: integers, f32, and soft labels where a threshold is said",
    async (gpu) => {
      const output: Rows = { dtype: "f32", shape: [], elements: [-1, 0, 0.5, 2, NaN, -3] };
      const labels = [0, 1, 1, 1, 1, 1];
      for (const dtype of ["u8", "u32", "i32", "f32"] as const) {
        const wanted: Rows = { dtype, shape: [], elements: labels };
        const values = async (metric: SetMetric): Promise<unknown> =>
          (await measured(gpu, metric, output, wanted, [4, 2])).result;
        expect(await values(confusionMatrix())).toEqual([[1, 0], [3, 2]]);
        expect([await values(accuracy()), await values(precision()), await values(recall())]).toEqual([
          0.5,
          1,
          0.4,
        ]);
        expect(await values(accuracy({ threshold: -2 }))).toBe(0.5);
        expect(await values(f1())).toBe(4 / 7);
      }
      const soft: Rows = { dtype: "f32", shape: [2], elements: [0.9, 0.1, 0.2, 0.8] };
      const logits: Rows = { dtype: "f32", shape: [2], elements: [1, 2, 3, 4] };
      expect((await measured(gpu, accuracy(), logits, soft, [2])).result).toBe(0.5);
      expect((await measured(gpu, accuracy({ threshold: 0 }), logits, soft, [2])).totals.count?.[0]).toBe(4);
    },
  );

  gpuTest(
    "ME-01 of classes that never occur leaves them out, and of nothing at all is 0 or NaN",
    async (gpu) => {
      const output: Rows = { dtype: "f32", shape: [4], elements: [1, 0, 0, 0, 0, 1, 0, 0] };
      const labels: Rows = { dtype: "i32", shape: [], elements: [0, 0] };
      const values = async (metric: SetMetric, wanted: Rows = labels): Promise<unknown> =>
        (await measured(gpu, metric, output, wanted, [1, 1])).result;
      // Class 0: of two found one. Class 1: predicted once, never right. The others are nowhere.
      expect([await values(precision()), await values(recall()), await values(f1())]).toEqual([
        0.5,
        0.25,
        1 / 3,
      ]);
      const none: Rows = { dtype: "i32", shape: [], elements: [-100, -100] };
      expect([await values(precision(), none), await values(f1({ average: "micro" }), none)]).toEqual([0, 0]);
      expect([await values(accuracy(), none), await values(perplexity(), none)]).toEqual([NaN, NaN]);
    },
  );

  gpuTest("ME-01 topK takes NaN for the largest", async (gpu) => {
    const output: Rows = { dtype: "f32", shape: [3], elements: [NaN, 2, 1, NaN, 2, NaN, 1, NaN, 3] };
    const labels: Rows = { dtype: "u32", shape: [], elements: [1, 2, 0] };
    const counts = await Promise.all(
      [1, 2, 3].map(async (k) => (await measured(gpu, topK({ k }), output, labels, [3])).totals.correct?.[0]),
    );
    expect(counts).toEqual([0, 2, 3]);
  });

  test("ME-01 says what does not fit", async () => {
    const [x, y] = [input("x", "f32", [4, 3]), input("y", "u32", [5])];
    const messageOf = async (work: () => unknown): Promise<string> => (await thrownBy(work)).message;
    for (const k of [0, 1.5, NaN]) {
      expect(await messageOf(() => topK({ k }))).toContain("k is an integer from 1");
    }
    expect(await messageOf(() => precision({ average: "mean" as "macro" }))).toContain('found "mean"');
    expect(await messageOf(() => recall({ average: "binary" }).count(x, input("y", "u32", [4])))).toContain(
      'the average "binary" is for two classes, found 3',
    );
    expect(await messageOf(() => accuracy().count(x, y))).toContain("accuracy: takes labels of shape [4]");
    expect(await messageOf(() => accuracy().count(input("x", "f32", [4]), y))).toContain(
      "labels have the output's shape",
    );
    expect(await messageOf(() => rmse().count(x, y))).toContain(
      "rmse: output and labels are f32 of one shape",
    );
  });
});

describe("a metric of numbers", () => {
  const random = numbers(77);
  const COLUMNS = 3;

  for (const offset of [0, 1e4]) {
    gpuTest(
      `ME-01 rmse and r2 are those of float64, of labels near ${offset}, however the set is cut`,
      async (gpu) => {
        const labels = Array.from(
          { length: COUNT * COLUMNS },
          (_, at) => Math.fround(offset + (at % 3 + 1) * random()),
        );
        const outputs = labels.map((label) => Math.fround(label + 0.25 * (random() - 0.5)));
        const rowsOf = (elements: readonly number[]): Rows => ({ dtype: "f32", shape: [COLUMNS], elements });
        const errors = outputs.map((x, at) => (x - (labels[at] ?? NaN)) ** 2);
        const sumOf = (all: readonly number[]): number => all.reduce((sum, each) => sum + each, 0);
        const scores = Array.from({ length: COLUMNS }, (_, column) => {
          const own = labels.filter((_, at) => at % COLUMNS === column);
          const mean = sumOf(own) / COUNT;
          return 1 -
            sumOf(errors.filter((_, at) => at % COLUMNS === column)) / sumOf(own.map((y) => (y - mean) ** 2));
        });
        for (const sizes of CUTS) {
          const spread = await measured(gpu, r2(), rowsOf(outputs), rowsOf(labels), sizes);
          expect(Math.abs(Number(spread.result) - sumOf(scores) / COLUMNS)).toBeLessThan(1e-6);
          const root = await measured(gpu, rmse(), rowsOf(outputs), rowsOf(labels), sizes);
          expect(Math.abs(Number(root.result) / Math.sqrt(sumOf(errors) / errors.length) - 1)).toBeLessThan(
            1e-6,
          );
          expect(root.totals.count?.[0]).toBe(COUNT * COLUMNS);
        }
      },
    );
  }

  gpuTest("ME-01 r2 of labels that are all the same is 1 without an error and 0 with one", async (gpu) => {
    const same: Rows = { dtype: "f32", shape: [], elements: [2.5, 2.5, 2.5] };
    const other: Rows = { dtype: "f32", shape: [], elements: [2.5, 2.5, 3] };
    expect((await measured(gpu, r2(), same, same, [2, 1])).result).toBe(1);
    expect((await measured(gpu, r2(), other, same, [2, 1])).result).toBe(0);
  });
});

test("ME-01 every metric is tested", () => {
  const text = readFileSync(new URL("../../../src/nn/nn.ts", import.meta.url), "utf8");
  const own = readFileSync(new URL(import.meta.url), "utf8");
  const exported = [...text.matchAll(/export \{([^}]*)\} from "\.\/metrics\//g)].flatMap(([, list = ""]) =>
    list.split(",").map((name) => name.trim()).filter((name) =>
      /^[a-z]/.test(name) && !name.startsWith("type ")
    )
  );
  expect(exported.length).toBeGreaterThanOrEqual(9);
  // What only gives others the output of a name is in tests/train/several.
  const measuring = exported.filter((name) => name !== "metricsByOutput");
  expect(
    measuring.filter((name) => !own.includes(`measured(gpu, ${name}(`) && !own.includes(`values(${name}(`)),
  ).toEqual(
    [],
  );
});
