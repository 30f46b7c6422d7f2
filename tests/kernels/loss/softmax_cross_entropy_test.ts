import { describe, expect, test } from "bun:test";
import type { GpuDevice } from "../../../src/gpu/gpu_device.ts";
import {
  type CrossEntropyVariant,
  softmaxCrossEntropy,
} from "../../../src/kernels/loss/softmax_cross_entropy.ts";
import { softmaxCrossEntropyGradient } from "../../../src/kernels/loss/softmax_cross_entropy_gradient.ts";
import { gpuTest } from "../../helpers/gpu.ts";
import { type HostArray, runDispatch } from "../../helpers/run_dispatch.ts";
import { expectClose, expectSame, randomNumbers, SIZES } from "../numbers.ts";
import { crossEntropyTwin } from "../twins/cross_entropy_twin.ts";

const VARIANTS: readonly CrossEntropyVariant[] = ["row", "workgroup"];
const TOLERANCE = { absolute: 2e-6, relative: 2e-6 };

interface Batch {
  readonly logits: Float32Array;
  readonly labels: Uint32Array;
  readonly classes: number;
}

async function forward(gpu: GpuDevice, batch: Batch, variant: CrossEntropyVariant) {
  const { logits, labels, classes } = batch;
  const losses = new Float32Array(labels.length).fill(7);
  const probabilities = new Float32Array(logits.length).fill(7);
  const bindings = { logits, labels, losses, probabilities };
  const dispatch = softmaxCrossEntropy<HostArray>(bindings, { rows: labels.length, classes, variant });
  const [losses_, probabilities_] = await runDispatch(gpu, dispatch, [losses, probabilities]);
  return { losses: losses_, probabilities: probabilities_ };
}

async function backward(gpu: GpuDevice, batch: Batch, probabilities: Float32Array, scale: Float32Array) {
  const { labels, classes } = batch;
  const out = new Float32Array(probabilities.length).fill(7);
  const rows = labels.length;
  const dispatch = softmaxCrossEntropyGradient<HostArray>({ probabilities, labels, scale, out }, {
    rows,
    classes,
    scale: scale.length === rows ? "row" : "scalar",
  });
  return (await runDispatch(gpu, dispatch, [out]))[0];
}

function randomBatch(rows: number, classes: number): Batch {
  const logits = randomNumbers(rows * classes, rows + classes).map((x) => 20 * x);
  const labels = Uint32Array.from({ length: rows }, (_, row) => row * 7 % classes);
  return { logits, labels, classes };
}

for (const variant of VARIANTS) {
  describe(`softmaxCrossEntropy, ${variant} variant`, () => {
    gpuTest("gives the losses and probabilities of 1 to 65537 classes", async (gpu) => {
      for (const classes of SIZES.slice(1)) {
        const batch = randomBatch(3, classes);
        const expected = crossEntropyTwin(batch.logits, batch.labels, [1, 1, 1]);
        const { losses, probabilities } = await forward(gpu, batch, variant);
        // One invocation adds up the row: the error of the sum grows with its length.
        const absolute = variant === "row" ? 1e-9 * classes + 2e-6 : 2e-6;
        expectClose(losses, expected.losses, { ...TOLERANCE, absolute });
        expectClose(probabilities, expected.probabilities, TOLERANCE);
      }
    });

    gpuTest("gives the losses of 64 and 257 rows", async (gpu) => {
      for (const rows of [64, 257]) {
        const batch = randomBatch(rows, 10);
        const { losses } = await forward(gpu, batch, variant);
        expectClose(losses, crossEntropyTwin(batch.logits, batch.labels, []).losses, TOLERANCE);
      }
    });

    gpuTest("is exact where exponentials would overflow, and where a loss is tiny", async (gpu) => {
      const logits = Float32Array.of(1e4, 1e4, 0, -1e4, 12, -1e4, 3e38, -3e38, 0);
      const batch = { logits, labels: Uint32Array.of(0, 1, 2), classes: 3 };
      const { losses, probabilities } = await forward(gpu, batch, variant);
      expectClose(losses, [Math.log(2), 0, Math.fround(3e38)], { relative: 1e-6 });
      expectClose(probabilities, [0.5, 0.5, 0, 0, 1, 0, 1, 0, 0], { absolute: 1e-6 });
    });

    gpuTest(
      "gives NaN for a label that is no class, and for NaN and infinite logits, in their rows only",
      async (gpu) => {
        const [N, I] = [NaN, Infinity];
        const logits = Float32Array.of(
          1,
          2,
          3,
          4,
          N,
          3,
          2,
          1,
          I,
          1,
          2,
          3,
          -I,
          1,
          2,
          3,
          1,
          2,
          3,
          4,
          -I,
          1,
          2,
          3,
        );
        const batch = { logits, labels: Uint32Array.of(4, 1, 1, 1, 0xffff_ffff, 0), classes: 4 };
        const { losses, probabilities } = await forward(gpu, batch, variant);
        const loss = Math.log(Math.exp(-2) + Math.exp(-1) + 1) + 2;
        expectClose(losses, [N, N, N, loss, N, I], TOLERANCE);
        const gradient = await backward(gpu, batch, probabilities, new Float32Array(6).fill(1));
        const expected = crossEntropyTwin(logits, batch.labels, new Array(6).fill(1)).gradient;
        expectClose(gradient, expected, TOLERANCE);
        expectSame(gradient.subarray(0, 12), new Float32Array(12).fill(N));
      },
    );
  });
}

describe("softmaxCrossEntropy", () => {
  gpuTest("can leave the probabilities out", async (gpu) => {
    for (const variant of VARIANTS) {
      const { logits, labels, classes } = randomBatch(5, 10);
      const losses = new Float32Array(5);
      const dispatch = softmaxCrossEntropy<HostArray>({ logits, labels, losses }, {
        rows: 5,
        classes,
        variant,
      });
      expect(dispatch.bindings.length).toBe(3);
      const [result] = await runDispatch(gpu, dispatch, [losses]);
      expectClose(result, crossEntropyTwin(logits, labels, []).losses, TOLERANCE);
    }
  });

  test("has nothing to dispatch for no rows, and refuses 0 classes", () => {
    const bindings = { logits: "logits", labels: "labels", losses: "losses" };
    for (const variant of VARIANTS) {
      expect(softmaxCrossEntropy(bindings, { rows: 0, classes: 10, variant }).workgroups).toEqual([0, 0, 0]);
    }
    expect(() => softmaxCrossEntropy(bindings, { rows: 1, classes: 0 })).toThrow("no class to choose from");
  });
});

describe("softmaxCrossEntropyGradient", () => {
  gpuTest("is the twin's for 1 to 65537 rows and for one scale", async (gpu) => {
    for (const rows of SIZES.slice(1)) {
      const batch = randomBatch(rows, 3);
      const scale = randomNumbers(rows, 9);
      const { probabilities, gradient } = crossEntropyTwin(batch.logits, batch.labels, scale);
      expectClose(await backward(gpu, batch, Float32Array.from(probabilities), scale), gradient, TOLERANCE);
    }
    const batch = randomBatch(5, 10);
    const { probabilities, gradient } = crossEntropyTwin(batch.logits, batch.labels, new Array(5).fill(0.2));
    expectClose(
      await backward(gpu, batch, Float32Array.from(probabilities), Float32Array.of(0.2)),
      gradient,
      TOLERANCE,
    );
  });

  test("has nothing to dispatch for no rows", () => {
    const bindings = { probabilities: "probabilities", labels: "labels", scale: "scale", out: "out" };
    expect(softmaxCrossEntropyGradient(bindings, { rows: 0, classes: 10 }).workgroups).toEqual([0, 0, 0]);
  });
});

/** The losses and the gradient of a target in float64, from the definition. */
function targetTwin(
  { logits, labels, classes }: Batch,
  smoothing: number,
  weights: readonly number[],
  scale: number,
): { losses: number[]; gradient: number[] } {
  const losses: number[] = [];
  const gradient: number[] = [];
  labels.forEach((label, row) => {
    const own = [...logits.subarray(row * classes, (row + 1) * classes)];
    const largest = Math.max(...own);
    const total = own.reduce((sum, x) => sum + Math.exp(x - largest), 0);
    const target = own.map((_, each) =>
      (weights[each] ?? 1) * (smoothing / classes + (each === label ? 1 - smoothing : 0))
    );
    const all = target.reduce((sum, each) => sum + each, 0);
    losses.push(own.reduce((sum, x, each) => sum + (target[each] ?? 0) * (Math.log(total) + largest - x), 0));
    own.forEach((x, each) =>
      gradient.push((Math.exp(x - largest) / total * all - (target[each] ?? 0)) * scale)
    );
  });
  return { losses, gradient };
}

describe("softmaxCrossEntropy of a smoothed or weighted target", () => {
  for (const variant of VARIANTS) {
    gpuTest(`is what the definition gives, both ways: ${variant} variant`, async (gpu) => {
      for (const classes of [1, 2, 63, 65, 257]) {
        const batch = randomBatch(5, classes);
        const weights = Array.from({ length: classes }, (_, each) => each % 4 / 2);
        for (const labelSmoothing of [0, 0.25, 1]) {
          for (const classWeights of [undefined, Float32Array.from(weights)]) {
            const totalWeight = weights.reduce((sum, weight) => sum + weight, 0);
            const target = { labelSmoothing, ...classWeights === undefined ? {} : { totalWeight } };
            const { logits, labels } = batch;
            const [losses, probabilities] = [new Float32Array(5), new Float32Array(logits.length)];
            const options = { rows: 5, classes, variant, ...target };
            const bindings = { logits, labels, losses, probabilities, classWeights };
            const dispatch = softmaxCrossEntropy<HostArray>(bindings, options);
            const [found, kept] = await runDispatch(gpu, dispatch, [losses, probabilities]);
            const expected = targetTwin(
              batch,
              labelSmoothing,
              classWeights === undefined ? [] : weights,
              0.5,
            );
            expectClose(found, expected.losses, { absolute: 2e-5, relative: 2e-6 });
            const out = new Float32Array(logits.length);
            const gradient = softmaxCrossEntropyGradient<HostArray>(
              { probabilities: kept, labels, scale: Float32Array.of(0.5), out, classWeights },
              { ...options, scale: "scalar" },
            );
            expectClose((await runDispatch(gpu, gradient, [out]))[0], expected.gradient, TOLERANCE);
          }
        }
      }
    });
  }
});
