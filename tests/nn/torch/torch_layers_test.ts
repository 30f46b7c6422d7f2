import { describe, expect, test } from "bun:test";
import * as nn from "../../../src/nn/nn.ts";
import { gpuTest } from "../../helpers/gpu.ts";
import { expectClose } from "../../kernels/numbers.ts";
import { runLayer, shapesOf } from "../layers/check_layer.ts";
import { torchCases } from "./torch_cases.ts";

/** What each of PyTorch's modules is called here, and the row of behaviours that it belongs to. */
const LAYERS: Readonly<Record<string, readonly [row: string, layer: nn.Layer]>> = {
  linear: ["LA-01", nn.linear(5, 3)],
  "linear without a bias": ["LA-01", nn.linear(5, 3, { bias: false })],
  conv1d: ["LA-01", nn.conv1d(2, 3, 3, { stride: 2, padding: 2, dilation: 2 })],
  conv2d: ["LA-01", nn.conv2d(2, 3, [3, 2], { stride: [2, 1], padding: [1, 0] })],
  "conv2d with groups and dilation": ["LA-01", nn.conv2d(4, 6, 2, { groups: 2, dilation: 2 })],
  "depthwise conv2d": ["LA-01", nn.depthwiseConv2d(3, 3, { padding: 1, bias: false })],
  convTranspose2d: ["LA-01", nn.convTranspose2d(3, 2, 3, { stride: 2, padding: 1, outputPadding: 1 })],
  maxPool1d: ["LA-01", nn.maxPool1d(3, { stride: 2, padding: 1 })],
  maxPool2d: ["LA-01", nn.maxPool2d(2)],
  avgPool1d: ["LA-01", nn.avgPool1d(3, { stride: 2 })],
  avgPool2d: ["LA-01", nn.avgPool2d([2, 3], { stride: [2, 1], padding: [1, 1] })],
  "upsample nearest": ["LA-01", nn.upsample({ scale: 2 })],
  "upsample bilinear": ["LA-01", nn.upsample({ scale: 2, mode: "bilinear" })],
  layerNorm: ["LA-03", nn.layerNorm(7)],
  groupNorm: ["LA-03", nn.groupNorm(2, 6)],
  rmsNorm: ["LA-03", nn.rmsNorm(7)],
  "batchNorm in training": ["LA-02", nn.batchNorm(4)],
  "batchNorm of images in training": ["LA-02", nn.batchNorm(2)],
  lstm: ["LA-06", nn.lstm(3, 4)],
  "lstm of two layers, both ways": ["LA-06", nn.lstm(3, 2, { layers: 2, bidirectional: true })],
  gru: ["LA-06", nn.gru(3, 4)],
  simpleRnn: ["LA-06", nn.simpleRnn(3, 4)],
  embedding: ["LA-04", nn.embedding(5, 3)],
  multiHeadAttention: ["LA-05", nn.multiHeadAttention(8, 2)],
  "causal multiHeadAttention": ["LA-05", nn.multiHeadAttention(8, 4, { causal: true })],
  relu: ["LA-03", nn.relu()],
  leakyRelu: ["LA-03", nn.leakyRelu({ negativeSlope: 0.2 })],
  elu: ["LA-03", nn.elu({ alpha: 0.7 })],
  selu: ["LA-03", nn.selu()],
  silu: ["LA-03", nn.silu()],
  mish: ["LA-03", nn.mish()],
  hardSwish: ["LA-03", nn.hardSwish()],
  gelu: ["LA-03", nn.gelu()],
  "gelu by tanh": ["LA-03", nn.gelu({ approximate: "tanh" })],
  sigmoid: ["LA-03", nn.sigmoid()],
  logSigmoid: ["LA-03", nn.logSigmoid()],
  softplus: ["LA-03", nn.softplus()],
  tanh: ["LA-03", nn.tanh()],
};

const { layers } = torchCases();

describe("layers beside PyTorch's", () => {
  test("every case of PyTorch is one of these layers", () => {
    expect(layers.map(({ name }) => name)).toEqual(Object.keys(LAYERS));
  });

  for (const { name, shape, x, parameters, outputShape, output, gradients, inputGradient } of layers) {
    const [row, layer] = LAYERS[name] ?? [];
    gpuTest(`${row} ${name} has PyTorch's output and gradients`, async (gpu) => {
      if (layer === undefined) throw new Error(`${name} is no layer of the list`);
      const dtype = inputGradient === undefined ? "i32" : "f32";
      const shapes = Object.fromEntries(Object.entries(parameters).map(([own, { shape }]) => [own, shape]));
      expect(shapesOf(layer, shape, dtype)).toEqual({ output: outputShape, parameters: shapes });
      const values = Object.fromEntries(Object.entries(parameters).map(([own, { values }]) => [own, values]));
      const factors = output.map((_, at) => Math.fround(Math.cos(at + 1)));
      const isTraining = name.endsWith("in training");
      const run = await runLayer(gpu, { layer, shape, dtype, outputShape, isTraining }, x, values, factors);
      expectNear(run.output, output);
      expectNear(run.inputs, inputGradient ?? []);
      for (const [own, gradient] of Object.entries(gradients)) {
        expectNear(run.gradients[own] ?? [], gradient);
      }
    });
  }
});

/** Of f32: to 1e-5 of a number and of the largest one beside it, since sums cancel. */
function expectNear(found: readonly number[], expected: readonly number[]): void {
  const largest = Math.max(...expected.map(Math.abs), 0.5);
  expectClose(found, expected, { absolute: 1e-5 * largest, relative: 1e-5 });
}
