import { gradients } from "../../src/graph/autodiff.ts";
import { add } from "../../src/graph/ops/arithmetic.ts";
import { matmul } from "../../src/graph/ops/matmul.ts";
import { relu } from "../../src/graph/ops/piecewise.ts";
import { dropout } from "../../src/graph/ops/random.ts";
import { mean } from "../../src/graph/ops/reduce.ts";
import { softmaxCrossEntropy } from "../../src/graph/ops/softmax_cross_entropy.ts";
import type { Program } from "../../src/graph/program.ts";
import { input, parameter } from "../../src/graph/ops/sources.ts";
import type { Value } from "../../src/graph/value.ts";
import { numbers } from "./executable_helpers.ts";
import { noParameters } from "./run_values.ts";

/**
 * A classifier with dropout: every kind of op of a training step. All sizes are 12, so that few kernels are compiled.
 */
export function classifier(): {
  program: Program;
  parameters: Record<string, number[]>;
  loss: Value;
  grads: Value[];
} {
  const x = input("x", "f32", [12, 12]);
  const labels = input("labels", "u32", [12]);
  const weights = [
    parameter("w0", "f32", [12, 12]),
    parameter("b0", "f32", [12]),
    parameter("w1", "f32", [12, 12]),
    parameter("b1", "f32", [12]),
  ];
  const [w0, b0, w1, b1] = weights;
  if (!w0 || !b0 || !w1 || !b1) throw new Error("unreachable");
  const hidden = dropout(relu(add(matmul(x, w0, { transposeB: true }), b0)), { rate: 0.25, stream: 1 });
  const logits = add(matmul(hidden, w1, { transposeB: true }), b1);
  const loss = mean(softmaxCrossEntropy(logits, labels));
  const grads = gradients(loss, weights);
  const parameters = { w0: numbers(144, 1), b0: numbers(12, 2), w1: numbers(144, 3), b1: numbers(12, 4) };
  const outputs = { loss, ...Object.fromEntries(grads.map((grad, index) => [`grad${index}`, grad])) };
  return { program: { inputs: [x, labels], outputs, parameters: noParameters }, parameters, loss, grads };
}

/** What its inputs are in the tests. */
export const BATCH: { readonly x: Float32Array; readonly labels: Uint32Array } = {
  x: Float32Array.from(numbers(144, 5)),
  labels: Uint32Array.from({ length: 12 }, (_, index) => index * 5 % 12),
};
