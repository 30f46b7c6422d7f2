import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { gradients } from "../../../src/graph/autodiff.ts";
import { input } from "../../../src/graph/ops/sources.ts";
import { type GpuDevice } from "../../../src/gpu/gpu_device.ts";
import {
  binaryCrossEntropy,
  cosineSimilarity,
  type ExampleLoss,
  huber,
  klDivergence,
  logCosh,
  mae,
  mse,
  nll,
} from "../../../src/nn/nn.ts";
import { batchTerms, meanOfTerm } from "../../../src/train/measure/batch_loss.ts";
import { expectNear, runValues } from "../../graph/run_values.ts";
import { gpuTest } from "../../helpers/gpu.ts";
import { thrownBy } from "../../helpers/thrown.ts";
import { checkLoss, type ExampleReference, type LossCase } from "./loss_check.ts";

/** The mean over the numbers of an example of what a difference costs. */
function ofDifferences(cost: (d: number) => number): ExampleReference {
  return (output, labels) => ({
    value: output.reduce((sum, x, at) => sum + cost(x - (labels[at] ?? NaN)), 0) / output.length,
    weight: 1,
  });
}

/** The mean over rows of `size` numbers of what a row costs. */
function ofRows(
  size: number,
  cost: (x: readonly number[], y: readonly number[]) => number,
): ExampleReference {
  return (output, labels) => {
    const rows = output.length / size;
    let value = 0;
    for (let row = 0; row < rows; row++) {
      const [from, to] = [row * size, (row + 1) * size];
      value += cost(output.slice(from, to), labels.slice(from, to)) / rows;
    }
    return { value, weight: 1 };
  };
}

const softplus = (x: number): number => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));
const binary = (factor: (at: number) => number): ExampleReference => (output, labels) => ({
  value: output.reduce((sum, x, at) => {
    const y = labels[at] ?? NaN;
    return sum + factor(at) * y * softplus(-x) + (1 - y) * softplus(x);
  }, 0) / output.length,
  weight: 1,
});
const logarithms = (classes: number) => (all: number[]): number[] =>
  all.map((_, at) => {
    const row = all.slice(at - at % classes, at - at % classes + classes);
    return (all[at] ?? NaN) - Math.log(row.reduce((sum, each) => sum + Math.exp(each), 0));
  });
const probabilities = (classes: number) => (all: number[]): number[] =>
  logarithms(classes)(all).map(Math.exp);
const kl = (size: number): ExampleReference =>
  ofRows(
    size,
    (x, y) =>
      y.reduce((sum, each, at) => sum + (each === 0 ? 0 : each * (Math.log(each) - (x[at] ?? NaN))), 0),
  );
const cosine = (x: readonly number[], y: readonly number[]): number => {
  const dot = (a: readonly number[], b: readonly number[]): number =>
    a.reduce((sum, each, at) => sum + each * (b[at] ?? NaN), 0);
  return 1 - dot(x, y) / Math.sqrt(dot(x, x) * dot(y, y));
};
const WEIGHTS = [0.5, 2, 1, 0.25, 3];
const likelihood =
  (weights: readonly number[] | undefined, ignored: number | undefined): ExampleReference =>
  (output, labels) => {
    let [value, weight] = [0, 0];
    labels.forEach((label, position) => {
      if (label === ignored) return;
      value -= (weights?.[label] ?? 1) * (output[position * 5 + label] ?? NaN);
      weight += weights?.[label] ?? 1;
    });
    return weights === undefined && ignored === undefined
      ? { value: value / labels.length, weight: 1 }
      : { value, weight };
  };

const numbersOf = (shape: readonly number[]): Pick<LossCase, "outputShape" | "labelShape"> => {
  return { outputShape: shape, labelShape: shape };
};

const CASES: Readonly<Record<string, LossCase>> = {
  mse: { loss: mse(), reference: ofDifferences((d) => d * d), ...numbersOf([3]) },
  "mse of one number": { loss: mse(), reference: ofDifferences((d) => d * d), ...numbersOf([]) },
  mae: { loss: mae(), reference: ofDifferences(Math.abs), ...numbersOf([2, 3]) },
  huber: {
    loss: huber(),
    reference: ofDifferences((d) => Math.abs(d) <= 1 ? d * d / 2 : Math.abs(d) - 0.5),
    ...numbersOf([7]),
  },
  "huber with a delta": {
    loss: huber({ delta: 0.3 }),
    reference: ofDifferences((d) => Math.abs(d) <= 0.3 ? d * d / 2 : 0.3 * (Math.abs(d) - 0.15)),
    ...numbersOf([7]),
  },
  logCosh: { loss: logCosh(), reference: ofDifferences((d) => Math.log(Math.cosh(d))), ...numbersOf([7]) },
  "logCosh of small errors": {
    loss: logCosh(),
    reference: ofDifferences((d) => Math.log(Math.cosh(d))),
    ...numbersOf([7]),
    outputOf: (x) => (x - 0.5) / 64,
    labelOf: () => 0,
  },
  binaryCrossEntropy: {
    loss: binaryCrossEntropy(),
    reference: binary(() => 1),
    ...numbersOf([5]),
    labelOf: (x) => x,
  },
  "binaryCrossEntropy of large logits": {
    loss: binaryCrossEntropy(),
    reference: binary(() => 1),
    ...numbersOf([5]),
    outputOf: (x) => 60 * x - 30,
    labelOf: Math.round,
  },
  "binaryCrossEntropy with a positive weight": {
    loss: binaryCrossEntropy({ positiveWeight: 2.5 }),
    reference: binary(() => 2.5),
    ...numbersOf([2, 3]),
    labelOf: (x) => x,
  },
  "binaryCrossEntropy with a positive weight a class": {
    loss: binaryCrossEntropy({ positiveWeight: WEIGHTS }),
    reference: binary((at) => WEIGHTS[at % 5] ?? NaN),
    ...numbersOf([2, 5]),
    labelOf: (x) => x,
  },
  "binaryCrossEntropy of whole numbers": {
    loss: binaryCrossEntropy(),
    reference: binary(() => 1),
    ...numbersOf([5]),
    labelDType: "u8",
    labelOf: Math.round,
  },
  klDivergence: {
    loss: klDivergence(),
    reference: kl(5),
    ...numbersOf([2, 5]),
    prepareOutput: logarithms(5),
    prepareLabels: (all) => probabilities(5)(all).map((y, at) => at % 4 === 0 ? 0 : y),
  },
  "klDivergence of logarithms": {
    loss: klDivergence({ logTarget: true }),
    reference: ofRows(
      5,
      (x, y) => y.reduce((sum, each, at) => sum + Math.exp(each) * (each - (x[at] ?? NaN)), 0),
    ),
    ...numbersOf([5]),
    prepareOutput: logarithms(5),
    prepareLabels: logarithms(5),
  },
  cosineSimilarity: { loss: cosineSimilarity(), reference: ofRows(5, cosine), ...numbersOf([5]) },
  "cosineSimilarity of several": {
    loss: cosineSimilarity(),
    reference: ofRows(3, cosine),
    ...numbersOf([2, 3]),
  },
  nll: {
    loss: nll(),
    reference: likelihood(undefined, undefined),
    outputShape: [5],
    labelShape: [],
    labelDType: "u32",
    labelOf: (x) => Math.floor(5 * x),
    prepareOutput: logarithms(5),
  },
  "nll of sequences, with weights and an ignored label": {
    loss: nll({ weights: WEIGHTS, ignoreIndex: 7 }),
    reference: likelihood(WEIGHTS, 7),
    outputShape: [3, 5],
    labelShape: [3],
    labelDType: "u8",
    labelOf: (x) => x < 0.2 ? 7 : Math.floor(5 * x),
    prepareOutput: logarithms(5),
  },
};

describe("losses of numbers", () => {
  for (const [name, lossCase] of Object.entries(CASES)) {
    gpuTest(`LO-02 ${name} has the value and the gradient of float64`, async (gpu) => {
      await checkLoss(gpu, lossCase);
    });
  }

  test("LO-02 every loss has a reference", () => {
    const text = readFileSync(new URL("../../../src/nn/nn.ts", import.meta.url), "utf8");
    const exported = [...text.matchAll(/export \{([^}]*)\} from "\.\/losses\//g)].flatMap(([, list = ""]) =>
      list.split(",").map((name) => name.trim()).filter((name) =>
        /^[a-z]/.test(name) && !name.startsWith("type ")
      )
    );
    const checked = Object.keys(CASES).map((name) => name.split(" ")[0]);
    // What is in a file of its own.
    const elsewhere = ["crossEntropy", "combineLosses", "lossByOutput", "l1Penalty", "l2Penalty"];
    expect(exported.length).toBeGreaterThanOrEqual(12);
    expect(exported.filter((name) => ![...checked, ...elsewhere].includes(name))).toEqual([]);
  });
});

/** The mean loss and its gradient. */
async function lossAndGradient(
  gpu: GpuDevice,
  loss: ExampleLoss,
  x: readonly number[],
  y: readonly number[],
) {
  const [output, labels] = [input("x", "f32", [1, x.length]), input("y", "f32", [1, y.length])];
  const [term] = batchTerms(loss, output, labels, 1);
  if (term === undefined) throw new Error("no term");
  const mean = meanOfTerm(term);
  const [value, gradient] = await runValues(gpu, [mean, ...gradients(mean, [output])], { x, y });
  return { value: Number(value?.toArray()[0]), gradient: Array.from(gradient?.toArray() as Float32Array) };
}

describe("losses of numbers where they are special", () => {
  gpuTest("LO-02 huber and logCosh have a gradient where their two formulas meet", async (gpu) => {
    const huberAt = await lossAndGradient(gpu, huber(), [1, -1, 0], [0, 0, 0]);
    expectNear(huberAt.gradient, [1 / 3, -1 / 3, 0], 1e-6);
    const coshAt = await lossAndGradient(gpu, logCosh(), [1, -1, 0, 3e38], [0, 0, 0, 0]);
    expectNear(coshAt.gradient, [Math.tanh(1) / 4, -Math.tanh(1) / 4, 0, 0.25], 1e-6);
    expect((await lossAndGradient(gpu, logCosh(), [88, 200], [0, 0])).value).toBeCloseTo(
      144 - Math.log(2),
      4,
    );
  });

  gpuTest(
    "LO-02 binaryCrossEntropy keeps the small losses of confident outputs, and never overflows",
    async (gpu) => {
      const { value, gradient } = await lossAndGradient(gpu, binaryCrossEntropy(), [-20, 20], [0, 1]);
      expect(Math.abs(value / 2.061153620314381e-9 - 1)).toBeLessThan(1e-5);
      expectNear(gradient.map((each) => each * 1e9), [1.0305768112265, -1.0305768112265], 1e-5);
      expect((await lossAndGradient(gpu, binaryCrossEntropy(), [1e4, -1e4], [0, 1])).value).toBe(1e4);
    },
  );

  gpuTest("LO-02 cosineSimilarity of a zero vector is 1 and has no gradient", async (gpu) => {
    expect(await lossAndGradient(gpu, cosineSimilarity(), [0, 0], [1, 2])).toEqual({
      value: 1,
      gradient: [0, 0],
    });
  });

  gpuTest(
    "LO-02 klDivergence of an impossible class is 0 where the label is 0, and infinite where it is 1",
    async (gpu) => {
      const sure = await lossAndGradient(gpu, klDivergence(), [0, -Infinity], [1, 0]);
      expectNear([sure.value, ...sure.gradient], [0, -1, 0], 0);
      expect((await lossAndGradient(gpu, klDivergence(), [-Infinity, 0], [1, 0])).value).toBe(Infinity);
      expect((await lossAndGradient(gpu, klDivergence(), [0, -1], [NaN, 0])).value).toBe(NaN);
    },
  );

  gpuTest("LO-02 nll reads the label's number only", async (gpu) => {
    const [output, labels] = [input("x", "f32", [2, 3]), input("y", "u32", [2])];
    const [term] = batchTerms(nll(), output, labels, 2);
    if (term === undefined) throw new Error("no term");
    const mean = meanOfTerm(term);
    const x = [-Infinity, -0.5, NaN, NaN, Infinity, -1];
    const [value, gradient] = await runValues(gpu, [mean, ...gradients(mean, [output])], { x, y: [1, 2] });
    expect(Number(value?.toArray()[0])).toBe(0.75);
    expectNear(Array.from(gradient?.toArray() as Float32Array), [0, -0.5, 0, 0, 0, -0.5], 0);
  });

  test("LO-02 say what does not fit", async () => {
    const [x, y] = [input("x", "f32", [4, 3]), input("y", "f32", [4])];
    const messageOf = async (work: () => unknown): Promise<string> => {
      const error = await thrownBy(work);
      return `${error.name}: ${error.message}`;
    };
    for (
      const loss of [
        mse(),
        mae(),
        huber(),
        logCosh(),
        binaryCrossEntropy(),
        klDivergence(),
        cosineSimilarity(),
      ]
    ) {
      expect(await messageOf(() => loss(x, y))).toMatch(
        /^TypeError: .*f32 of one shape, found f32 \[4, 3\] and f32 \[4\]/,
      );
      expect(await messageOf(() => loss(x, x, input("w", "f32", [3])))).toContain(
        "takes weights of shape [4]",
      );
    }
    for (const delta of [0, -1, NaN, Infinity]) {
      expect(await messageOf(() => huber({ delta }))).toContain("RangeError");
    }
    expect(await messageOf(() => binaryCrossEntropy({ positiveWeight: [1, -2] }))).toContain("found -2");
    expect(await messageOf(() => binaryCrossEntropy({ positiveWeight: [1, 2] })(x, x))).toContain(
      "positiveWeight has 2 numbers, and the last axis of the output 3",
    );
    expect(await messageOf(() => nll()(input("x", "f32", [4]), y))).toContain("logarithms of probabilities");
    expect(await messageOf(() => nll()(x, y))).toContain("labels of shape [4] and dtype u8, i32 or u32");
    expect(binaryCrossEntropy()(x, x).labels).toEqual({ loss: "binaryCrossEntropy", least: 0, most: 1 });
    expect(klDivergence()(x, x).labels).toEqual({ loss: "klDivergence", least: 0, most: Infinity });
  });
});
