/**
 * Layers, losses, metrics and initialisers, each by itself: `nn` of the main entry has the same. A bundler keeps those
 * that a script uses, and no other.
 *
 * @example
 * ```ts
 * import * as nn from "@cairn-ml/cairn/nn";
 *
 * // For the `model` and the `loss` of a Trainer.
 * const model = nn.sequential(nn.linear(784, 128), nn.relu(), nn.dropout(0.1), nn.linear(128, 10));
 * const loss = nn.crossEntropy({ labelSmoothing: 0.1 });
 * console.log(model, loss);
 * ```
 *
 * @module
 */
export {
  elu,
  gelu,
  hardSwish,
  leakyRelu,
  logSigmoid,
  mish,
  relu,
  selu,
  sigmoid,
  silu,
  softplus,
  tanh,
} from "./layers/activations.ts";
export { batchNorm, type BatchNormOptions } from "./layers/batch_norm.ts";
export { conv1d, type Conv1dLayerOptions, conv2d, type Conv2dLayerOptions } from "./layers/conv.ts";
export { convTranspose2d, type ConvTranspose2dLayerOptions } from "./layers/conv_transpose.ts";
export { dropout } from "./layers/dropout.ts";
export { embedding, type EmbeddingLayer, type EmbeddingLayerOptions } from "./layers/embedding/embedding.ts";
export { learnedPositions, type LearnedPositionsOptions } from "./layers/embedding/learned_positions.ts";
export { sinusoidalPositions } from "./layers/embedding/sinusoidal_positions.ts";
export { flatten } from "./layers/flatten.ts";
export { fromImages, type FromImagesOptions } from "./layers/from_images.ts";
export { groupNorm, type GroupNormOptions } from "./layers/group_norm.ts";
export {
  calculateGain,
  type FanMode,
  filled,
  type Initializer,
  kaimingNormal,
  type KaimingOptions,
  kaimingUniform,
  type Nonlinearity,
  normal,
  ones,
  uniform,
  xavierNormal,
  xavierUniform,
  zeros,
} from "./initializers.ts";
export { eye } from "./initializers/eye.ts";
export { orthogonal } from "./initializers/orthogonal.ts";
export { truncatedNormal } from "./initializers/truncated_normal.ts";
export { varianceScaling, type VarianceScalingOptions } from "./initializers/variance_scaling.ts";
export { type Layer, layer } from "./layer.ts";
export { layerNorm, type LayerNormOptions } from "./layers/layer_norm.ts";
export { linear, type LinearOptions } from "./layers/linear.ts";
export {
  type AttentionCallOptions,
  type AttentionLayer,
  multiHeadAttention,
  type MultiHeadAttentionOptions,
} from "./layers/multi_head_attention.ts";
export { frozen, type FrozenOptions } from "./layers/compose/frozen.ts";
export { lora, type LoraOptions } from "./layers/compose/lora.ts";
export { parallel, type ParallelOptions } from "./layers/compose/parallel.ts";
export { gru } from "./layers/recurrent/gru.ts";
export { lstm } from "./layers/recurrent/lstm.ts";
export type { LstmState, RecurrentLayer, RecurrentState } from "./layers/recurrent/recurrent_layer.ts";
export type { RecurrentOptions } from "./layers/recurrent/recurrent_options.ts";
export { simpleRnn, type SimpleRnnOptions } from "./layers/recurrent/simple_rnn.ts";
export { remat } from "./layers/compose/remat.ts";
export { residual } from "./layers/compose/residual.ts";
export { rmsNorm, type RmsNormOptions } from "./layers/rms_norm.ts";
export { transformerBlock, type TransformerBlockOptions } from "./layers/transformer_block.ts";
export { binaryCrossEntropy, type BinaryCrossEntropyOptions } from "./losses/binary_cross_entropy.ts";
export { lossByOutput } from "./losses/loss_by_output.ts";
export { metricsByOutput } from "./metrics/metrics_by_output.ts";
export { combineLosses, type CombineLossesOptions } from "./losses/combine_losses.ts";
export { crossEntropy, type CrossEntropyLossOptions } from "./losses/cross_entropy.ts";
export {
  type ExampleLoss,
  type ExampleLosses,
  type LabelRange,
  type Loss,
  type LossTerms,
} from "./losses/loss.ts";
export { l1Penalty, l2Penalty, type PenaltyOptions, type Regularizer } from "./losses/regularizers.ts";
export { cosineSimilarity } from "./losses/cosine_similarity.ts";
export { huber, type HuberOptions } from "./losses/huber.ts";
export { klDivergence, type KlDivergenceOptions } from "./losses/kl_divergence.ts";
export { logCosh } from "./losses/log_cosh.ts";
export { mae } from "./losses/mae.ts";
export { mse } from "./losses/mse.ts";
export { nll, type NllOptions } from "./losses/nll.ts";
export { accuracy } from "./metrics/accuracy.ts";
export type { ClassMetricOptions } from "./metrics/classes.ts";
export { confusionMatrix } from "./metrics/confusion_matrix.ts";
export { perplexity, type PerplexityOptions } from "./metrics/perplexity.ts";
export {
  type AveragedMetricOptions,
  type ClassAverage,
  f1,
  precision,
  recall,
} from "./metrics/precision_recall.ts";
export { r2, rmse } from "./metrics/regression.ts";
export { topK, type TopKMetricOptions } from "./metrics/top_k.ts";
export { type Metric, type SetMetric, type Table, type Totals } from "./metrics/metric.ts";
export { Model, type ModelTrace } from "./model.ts";
export {
  type BufferDType,
  type BufferOptions,
  type ModelBuffer,
  type Parameter,
  Scope,
  type ScopeOptions,
} from "./scope.ts";
export {
  avgPool1d,
  avgPool2d,
  globalAvgPool,
  globalMaxPool,
  maxPool1d,
  maxPool2d,
} from "./layers/pooling.ts";
export { depthwiseConv2d, type DepthwiseConv2dOptions, separableConv2d } from "./layers/separable_conv.ts";
export { sequential } from "./layers/sequential.ts";
export { upsample } from "./layers/upsample.ts";
