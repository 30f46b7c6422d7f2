import { readFileSync } from "node:fs";
import { describe, expect, test } from "bun:test";
import * as nn from "../../src/nn/nn.ts";

/**
 * What `nn` has, by the test in which a reference stands for it: float64 that knows nothing of the graph, or PyTorch's
 * numbers. Of layers output, gradients and 20 steps of training; of losses and metrics the value of a set; of
 * initialisers what their numbers are like.
 */
const REFERENCES: Readonly<Record<string, string>> = {
  "layers/norms_and_activations_test.ts":
    "elu gelu groupNorm hardSwish layerNorm leakyRelu logSigmoid mish rmsNorm selu sigmoid silu softplus tanh",
  "layers/batch_norm_test.ts": "batchNorm",
  "layers/from_images_test.ts": "fromImages",
  "layers/layers_gpu_test.ts": "dropout",
  "layers/layers_test.ts": "flatten",
  "torch/torch_layers_test.ts": "linear relu",
  "layers/convolution_layers_test.ts": "conv1d conv2d convTranspose2d depthwiseConv2d separableConv2d",
  "layers/pooling_layers_test.ts":
    "avgPool1d avgPool2d globalAvgPool globalMaxPool maxPool1d maxPool2d upsample",
  "layers/attention_layers_test.ts": "multiHeadAttention transformerBlock",
  "layers/recurrent/recurrent_layers_test.ts": "gru lstm simpleRnn",
  "layers/embedding/embedding_test.ts": "embedding",
  "layers/embedding/positions_test.ts": "learnedPositions sinusoidalPositions",
  "layers/compose/compose_layers_test.ts": "frozen lora parallel remat residual",
  "losses/cross_entropy_test.ts": "crossEntropy",
  "losses/element_losses_test.ts":
    "binaryCrossEntropy cosineSimilarity huber klDivergence logCosh mae mse nll",
  "../train/loss_terms_test.ts": "combineLosses l1Penalty l2Penalty",
  "../train/several/two_inputs_twin.ts": "lossByOutput metricsByOutput",
  "metrics/metrics_test.ts": "accuracy confusionMatrix f1 perplexity precision r2 recall rmse topK",
  "initializers_test.ts":
    "calculateGain eye filled kaimingNormal kaimingUniform normal ones orthogonal truncatedNormal uniform " +
    "varianceScaling xavierNormal xavierUniform zeros",
};

/** What computes nothing by itself. */
const FRAME = ["Model", "Scope", "layer", "sequential"];

describe("references", () => {
  test("everything that nn exports has one", () => {
    const known = Object.values(REFERENCES).flatMap((names) => names.split(" "));
    expect([...known, ...FRAME].sort()).toEqual(Object.keys(nn).sort());
  });

  for (const [file, names] of Object.entries(REFERENCES)) {
    test(`${file} calls what it is the reference of`, () => {
      const text = readFileSync(new URL(file, import.meta.url), "utf8");
      expect(names.split(" ").filter((name) => !new RegExp(`\\b${name}\\(`).test(text))).toEqual([]);
    });
  }
});
