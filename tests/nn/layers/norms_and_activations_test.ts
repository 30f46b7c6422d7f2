import { describe, expect, test } from "bun:test";
import {
  elu,
  gelu,
  groupNorm,
  hardSwish,
  type Layer,
  layerNorm,
  leakyRelu,
  logSigmoid,
  mish,
  relu,
  rmsNorm,
  selu,
  sequential,
  sigmoid,
  silu,
  softplus,
  tanh,
} from "../../../src/nn/nn.ts";
import { gpuTest } from "../../helpers/gpu.ts";
import { checkLayer, shapesOf } from "./check_layer.ts";

const logistic = (x: number): number => 1 / (1 + Math.exp(-x));
const linearUnit = (x: number, alpha: number): number => x > 0 ? x : alpha * Math.expm1(x);

/** The area under the normal curve up to x, by Simpson's rule. */
function normalBelow(x: number): number {
  const steps = 2000;
  const curve = (at: number): number => Math.exp(-at * at / 2) / Math.sqrt(2 * Math.PI);
  let area = 0;
  for (let step = 0; step < steps; step++) {
    const [from, width] = [x * step / steps, x / steps];
    area += width / 6 * (curve(from) + 4 * curve(from + width / 2) + curve(from + width));
  }
  return 0.5 + area;
}

const ACTIVATIONS: Readonly<Record<string, readonly [Layer, (x: number) => number]>> = {
  "relu": [relu(), (x) => Math.max(x, 0)],
  "leakyRelu": [leakyRelu(), (x) => x > 0 ? x : 0.01 * x],
  "leakyRelu of a slope": [leakyRelu({ negativeSlope: 0.2 }), (x) => x > 0 ? x : 0.2 * x],
  "elu": [elu(), (x) => linearUnit(x, 1)],
  "elu of an alpha": [elu({ alpha: 0.5 }), (x) => linearUnit(x, 0.5)],
  "selu": [selu(), (x) => 1.0507009873554805 * linearUnit(x, 1.6732632423543772)],
  "tanh": [tanh(), Math.tanh],
  "sigmoid": [sigmoid(), logistic],
  "logSigmoid": [logSigmoid(), (x) => Math.log(logistic(x))],
  "softplus": [softplus(), (x) => Math.log1p(Math.exp(x))],
  "silu": [silu(), (x) => x * logistic(x)],
  "mish": [mish(), (x) => x * Math.tanh(Math.log1p(Math.exp(x)))],
  "hardSwish": [hardSwish(), (x) => x * Math.min(Math.max(x + 3, 0), 6) / 6],
  "gelu": [gelu(), (x) => x * normalBelow(x)],
  "gelu by tanh": [
    gelu({ approximate: "tanh" }),
    (x) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))),
  ],
};

function normalised(values: readonly number[], size: number, epsilon: number, isCentred: boolean): number[] {
  return values.map((value, index) => {
    const first = Math.floor(index / size) * size;
    const part = values.slice(first, first + size);
    const mean = isCentred ? part.reduce((sum, x) => sum + x, 0) / size : 0;
    const variance = part.reduce((sum, x) => sum + (x - mean) ** 2, 0) / size;
    return (value - mean) / Math.sqrt(variance + epsilon);
  });
}

describe("LA-03 norms and activations", () => {
  for (const [name, [layer, of]] of Object.entries(ACTIVATIONS)) {
    gpuTest(`LA-03 ${name} is its formula, with its gradient`, async (gpu) => {
      await checkLayer(gpu, {
        layer,
        shape: [3, 11],
        elementOf: (x) => 10 * x - 5,
        parameters: {},
        outputShape: [3, 11],
        reference: (x) => x.map(of),
      });
    });
  }

  for (const epsilon of [undefined, 0.1]) {
    gpuTest(`LA-03 layerNorm with epsilon ${epsilon} is its formula, with its gradients`, async (gpu) => {
      await checkLayer(gpu, {
        layer: layerNorm(7, epsilon === undefined ? {} : { epsilon }),
        shape: [2, 3, 7],
        parameters: { weight: [7], bias: [7] },
        outputShape: [2, 3, 7],
        reference: (x, { weight = [], bias = [] }) =>
          normalised(x, 7, epsilon ?? 1e-5, true).map((value, at) =>
            value * (weight[at % 7] ?? NaN) + (bias[at % 7] ?? NaN)
          ),
      });
    });

    gpuTest(`LA-03 rmsNorm with epsilon ${epsilon} is its formula, with its gradients`, async (gpu) => {
      await checkLayer(gpu, {
        layer: rmsNorm(7, { epsilon }),
        shape: [2, 3, 7],
        parameters: { weight: [7] },
        outputShape: [2, 3, 7],
        reference: (x, { weight = [] }) =>
          normalised(x, 7, epsilon ?? 2 ** -23, false).map((value, at) => value * (weight[at % 7] ?? NaN)),
      });
    });

    gpuTest(`LA-03 groupNorm with epsilon ${epsilon} is its formula, with its gradients`, async (gpu) => {
      await checkLayer(gpu, {
        layer: groupNorm(2, 4, { epsilon }),
        shape: [2, 4, 3, 2],
        parameters: { weight: [4], bias: [4] },
        outputShape: [2, 4, 3, 2],
        reference: (x, { weight = [], bias = [] }) =>
          normalised(x, 12, epsilon ?? 1e-5, true).map((value, at) => {
            const channel = Math.floor(at / 6) % 4;
            return value * (weight[channel] ?? NaN) + (bias[channel] ?? NaN);
          }),
      });
    });
  }

  test("LA-03 a norm that does not fit says where it is and both shapes", () => {
    expect(() => shapesOf(sequential(relu(), rmsNorm(6)), [2, 5])).toThrow(
      'rmsNorm(6) at "1": takes […, 6], found [2, 5]',
    );
    expect(() => shapesOf(sequential(relu(), groupNorm(2, 6)), [2, 5, 6])).toThrow(
      'groupNorm(2, 6) at "1": takes [batch, 6, …], found [2, 5, 6]',
    );
    expect(() => shapesOf(sequential(relu(), layerNorm(6)), [2, 5])).toThrow(
      'layerNorm(6) at "1": takes […, 6], found [2, 5]',
    );
    expect(() => groupNorm(4, 6)).toThrow("the number of groups divides that of channels, found 4 for 6");
  });
});
