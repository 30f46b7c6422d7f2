import { describe, expect, test } from "bun:test";
import {
  conv1d,
  conv2d,
  convTranspose2d,
  depthwiseConv2d,
  type Layer,
  relu,
  separableConv2d,
  sequential,
} from "../../../src/nn/nn.ts";
import { HostTensor } from "../../../src/tensor/host_tensor.ts";
import { gpuTest } from "../../helpers/gpu.ts";
import { forward } from "../forward.ts";
import { checkLayer, shapesOf } from "./check_layer.ts";

type Pair = readonly [number, number];
type Four = readonly [number, number, number, number];

interface Window {
  readonly stride?: Pair;
  readonly before?: Pair;
  readonly dilation?: Pair;
  readonly groups?: number;
}

const at = (values: readonly number[], index: number): number => values[index] ?? NaN;

/**
 * Every pair of an element of the larger image and one of the smaller that a kernel's element connects:
 * `large = small * stride + kernel * dilation - before`.
 */
function eachTap(
  [batch, channels, rows, columns]: Four,
  [, outChannels, outRows, outColumns]: Four,
  [kernelRows, kernelColumns]: Pair,
  { stride = [1, 1], before = [0, 0], dilation = [1, 1], groups = 1 }: Window,
  visit: (large: number, small: number, weight: number, outChannel: number) => void,
): void {
  const perGroup = channels / groups;
  for (let index = 0; index < batch * outChannels * outRows * outColumns; index++) {
    const column = index % outColumns;
    const row = Math.floor(index / outColumns) % outRows;
    const out = Math.floor(index / (outColumns * outRows)) % outChannels;
    const image = Math.floor(index / (outColumns * outRows * outChannels));
    for (let tap = 0; tap < perGroup * kernelRows * kernelColumns; tap++) {
      const kernelColumn = tap % kernelColumns;
      const kernelRow = Math.floor(tap / kernelColumns) % kernelRows;
      const inGroup = Math.floor(tap / (kernelColumns * kernelRows));
      const channel = Math.floor(out / (outChannels / groups)) * perGroup + inGroup;
      const y = row * stride[0] + kernelRow * dilation[0] - before[0];
      const x = column * stride[1] + kernelColumn * dilation[1] - before[1];
      if (y < 0 || y >= rows || x < 0 || x >= columns) continue;
      const large = ((image * channels + channel) * rows + y) * columns + x;
      visit(large, index, out * perGroup * kernelRows * kernelColumns + tap, out);
    }
  }
}

const area = (shape: Four): number => shape[0] * shape[1] * shape[2] * shape[3];

function convolved(
  x: readonly number[],
  weight: readonly number[],
  bias: readonly number[] | undefined,
  shape: Four,
  output: Four,
  kernel: Pair,
  window: Window,
): number[] {
  const plane = output[2] * output[3];
  const result = Array.from(
    { length: area(output) },
    (_, index) => bias === undefined ? 0 : at(bias, Math.floor(index / plane) % output[1]),
  );
  eachTap(shape, output, kernel, window, (large, small, tap) => {
    result[small] = at(result, small) + at(x, large) * at(weight, tap);
  });
  return result;
}

describe("LA-01 convolution layers", () => {
  gpuTest("LA-01 conv2d is its formula, with its gradients", async (gpu) => {
    await checkLayer(gpu, {
      layer: conv2d(3, 4, 3),
      shape: [2, 3, 5, 7],
      parameters: { weight: [4, 3, 3, 3], bias: [4] },
      outputShape: [2, 4, 3, 5],
      reference: (x, { weight = [], bias }) =>
        convolved(x, weight, bias, [2, 3, 5, 7], [2, 4, 3, 5], [3, 3], {}),
    });
  });

  gpuTest("LA-01 conv2d with stride, padding, dilation, groups and no bias is its formula", async (gpu) => {
    await checkLayer(gpu, {
      layer: conv2d(4, 6, [3, 2], {
        stride: [2, 1],
        padding: [[1, 0], [2, 1]],
        dilation: [1, 2],
        groups: 2,
        bias: false,
      }),
      shape: [2, 4, 5, 6],
      parameters: { weight: [6, 2, 3, 2] },
      outputShape: [2, 6, 2, 7],
      reference: (x, { weight = [] }) =>
        convolved(x, weight, undefined, [2, 4, 5, 6], [2, 6, 2, 7], [3, 2], {
          stride: [2, 1],
          before: [1, 2],
          dilation: [1, 2],
          groups: 2,
        }),
    });
  });

  gpuTest("LA-01 conv1d is its formula, with its gradients", async (gpu) => {
    await checkLayer(gpu, {
      layer: conv1d(2, 3, 3, { stride: 2, padding: 1 }),
      shape: [3, 2, 9],
      parameters: { weight: [3, 2, 3], bias: [3] },
      outputShape: [3, 3, 5],
      reference: (x, { weight = [], bias }) =>
        convolved(x, weight, bias, [3, 2, 1, 9], [3, 3, 1, 5], [1, 3], { stride: [1, 2], before: [0, 1] }),
    });
  });

  gpuTest("LA-01 convTranspose2d is its formula, with its gradients", async (gpu) => {
    const [shape, output]: [Four, Four] = [[2, 4, 3, 2], [2, 6, 6, 3]];
    await checkLayer(gpu, {
      layer: convTranspose2d(4, 6, [3, 2], { stride: [2, 2], padding: [1, 1], outputPadding: 1, groups: 2 }),
      shape,
      parameters: { weight: [4, 3, 3, 2], bias: [6] },
      outputShape: output,
      reference: (x, { weight = [], bias = [] }) => {
        const result = Array.from(
          { length: area(output) },
          (_, index) => at(bias, Math.floor(index / 18) % 6),
        );
        // What the gradient of a convolution from the larger image to the smaller scatters.
        eachTap(output, shape, [3, 2], { stride: [2, 2], before: [1, 1], groups: 2 }, (large, small, tap) => {
          result[large] = at(result, large) + at(x, small) * at(weight, tap);
        });
        return result;
      },
    });
  });

  gpuTest("LA-01 depthwiseConv2d convolves each channel by itself", async (gpu) => {
    await checkLayer(gpu, {
      layer: depthwiseConv2d(3, 3, { padding: "same" }),
      shape: [2, 3, 4, 5],
      parameters: { weight: [3, 1, 3, 3], bias: [3] },
      outputShape: [2, 3, 4, 5],
      reference: (x, { weight = [], bias }) =>
        convolved(x, weight, bias, [2, 3, 4, 5], [2, 3, 4, 5], [3, 3], { before: [1, 1], groups: 3 }),
    });
  });

  gpuTest("LA-01 separableConv2d is a depthwise convolution and one over channels", async (gpu) => {
    await checkLayer(gpu, {
      layer: separableConv2d(3, 5, 3, { stride: 2, padding: 1 }),
      shape: [2, 3, 5, 5],
      parameters: {
        "depthwise.weight": [3, 1, 3, 3],
        "pointwise.weight": [5, 3, 1, 1],
        "pointwise.bias": [5],
      },
      outputShape: [2, 5, 3, 3],
      reference: (x, parameters) => {
        const apart = convolved(
          x,
          parameters["depthwise.weight"] ?? [],
          undefined,
          [2, 3, 5, 5],
          [2, 3, 3, 3],
          [3, 3],
          { stride: [2, 2], before: [1, 1], groups: 3 },
        );
        const [weight = [], bias] = [parameters["pointwise.weight"], parameters["pointwise.bias"]];
        return convolved(apart, weight, bias, [2, 3, 3, 3], [2, 5, 3, 3], [1, 1], {});
      },
    });
  });

  test("LA-01 a convolution that does not fit says where it is, what it takes and what it found", () => {
    const model = (layer: Layer) => sequential(relu(), sequential(layer));
    expect(() => shapesOf(model(conv2d(3, 8, 3)), [2, 4, 9, 9])).toThrow(
      'conv2d(3, 8, 3) at "1.0": takes [batch, 3, rows, columns], found [2, 4, 9, 9]',
    );
    expect(() => shapesOf(model(conv1d(3, 8, 3)), [2, 9])).toThrow(
      'conv1d(3, 8, 3) at "1.0": takes [batch, 3, length], found [2, 9]',
    );
    expect(() => shapesOf(model(convTranspose2d(3, 8, [3, 2])), [2, 4, 9, 9])).toThrow(
      'convTranspose2d(3, 8, [3,2]) at "1.0": takes [batch, 3, rows, columns], found [2, 4, 9, 9]',
    );
    expect(() => shapesOf(model(separableConv2d(3, 8, 3)), [2, 4, 9, 9])).toThrow(
      'separableConv2d(3, 3, 3) at "1.0.depthwise": takes [batch, 3, rows, columns], found [2, 4, 9, 9]',
    );
    expect(() => shapesOf(model(conv2d(3, 8, 5)), [2, 3, 4, 9])).toThrow(
      'conv2d(3, 8, 5) at "1.0" cannot take [2, 3, 4, 9]: conv2d: a window of 5 rows is larger than the input\'s 4',
    );
  });

  test("LA-01 sizes and groups of a convolution are checked where it is made", () => {
    expect(() => conv2d(0, 8, 3)).toThrow("the number of input channels is a whole number from 1, found 0");
    expect(() => conv2d(3, 8, 0)).toThrow("conv2d: the kernel's size is a whole number from 1, found 0");
    expect(() => conv2d(4, 6, 3, { groups: 3 })).toThrow(
      "conv2d(4, 6, 3): the number of groups divides that of channels, found 3 for 4",
    );
    expect(() => conv1d(4, 6, 3, { groups: 4 })).toThrow("found 4 for 6");
    expect(() => convTranspose2d(4, 6, 3, { groups: 0 })).toThrow(RangeError);
  });

  gpuTest(
    "LA-01 weights and bias of a convolution begin within 1 / sqrt(fanIn), as in PyTorch",
    async (gpu) => {
      const cases: [Layer, number, number[], number][] = [
        [conv2d(4, 64, 3, { groups: 2, padding: 1 }), 4, [1, 4, 3, 3], 1 / Math.sqrt(18)],
        [convTranspose2d(4, 64, 3, { groups: 2 }), 4, [1, 4, 1, 1], 1 / Math.sqrt(32 * 9)],
      ];
      for (const [layer, channels, shape, bound] of cases) {
        // The weights of one channel and one place, and the bias.
        const one = new Float32Array(shape.reduce((product, size) => product * size, 1));
        const bias = await forward(gpu, layer, HostTensor.from(one, shape));
        one[Math.floor(one.length / channels / 2)] = 1;
        const both = await forward(gpu, layer, HostTensor.from(one, shape));
        const weights = both.map((value, index) => value - at(bias, index));
        for (const values of [bias, weights]) {
          const largest = Math.max(...values.map(Math.abs));
          expect(largest).toBeLessThanOrEqual(bound * (1 + 1e-5));
          expect(largest).toBeGreaterThan(bound * 0.9);
        }
      }
    },
  );
});
