/**
 * For those who extend a training: a training step for loops of their own, data from a source of their own, progress
 * shown in their own way, names of checkpoints, and the types of what a `Trainer` takes and reports.
 *
 * @example
 * ```ts
 * import { type Batch, type BatchSource, nn, optim, TensorStore, Trainer } from "@cairn-ml/cairn";
 * import { type BatchRequest, NameTemplate } from "@cairn-ml/cairn/train";
 *
 * // Examples that are made as they are asked for: x, and whether it is above 1/2.
 * const data: BatchSource = {
 *   batchSize: 8,
 *   exampleCount: 64,
 *   inputs: { dtype: "f32", shape: [1] },
 *   labels: { dtype: "u32", shape: [] },
 *   batchAt({ position }: BatchRequest): Batch {
 *     const inputs = Float32Array.from({ length: 8 }, (_, i) => ((position * 8 + i) * 0.618) % 1);
 *     return { inputs, labels: Uint32Array.from(inputs, (x) => (x > 0.5 ? 1 : 0)) };
 *   },
 * };
 * const store = await TensorStore.open();
 * const trainer = new Trainer(store, {
 *   model: nn.linear(1, 2),
 *   loss: nn.crossEntropy(),
 *   optimizer: optim.sgd({ learningRate: 0.5 }),
 *   data,
 * });
 * await trainer.train({ epochs: 2 });
 * const name = NameTemplate.parse("epoch-{epoch:02d}").expand({ epoch: trainer.history.epochs.length }, () => {});
 * console.log(name); // "epoch-02"
 * await trainer.close();
 * await store.close();
 * ```
 *
 * @module
 */
export type { DescribedValue, Description } from "../base/description.ts";
export type { BatchRequest, ExampleSpec, OrderKey } from "../data/batch_source.ts";
export type { LoadedBatch, LoaderState } from "../data/data_loader.ts";
export type { Like, Named } from "../base/parts/named.ts";
export type { Values } from "../graph/values.ts";
export type { Seed } from "../data/seed.ts";
export type { Padding } from "../graph/ops/movement/pad.ts";
export type {
  Conv1dOptions,
  Conv2dOptions,
  ConvolutionPadding,
  ConvTranspose2dOptions,
} from "../graph/ops/spatial/convolution_options.ts";
export type { RotaryEmbeddingOptions } from "../graph/ops/norm/rotary_embedding.ts";
export type { RowsColumns } from "../graph/ops/spatial/window.ts";
export type { OnDeviceLost } from "../train/device_losses.ts";
export type { InterruptSignal } from "../train/interrupts.ts";
export type { TerminalProgressOptions } from "../train/log/progress.ts";
export type { TextStream } from "../train/log/text_stream.ts";
export type {
  CallbackEvent,
  CallbackRun,
  EndEvent,
  EpochEvent,
  LossesEvent,
  SaveEvent,
  StartEvent,
} from "../train/callbacks/callback.ts";
export type { EarlyStoppingOptions } from "../train/callbacks/early_stopping.ts";
export type { ReduceOnPlateauOptions } from "../train/callbacks/reduce_on_plateau.ts";
export type { RankedMetric } from "../checkpoint/keep/retention/metric_direction.ts";
export type { StopRequest } from "../train/callbacks/callback_session.ts";
export type { AutoSaverState, BestSave } from "../train/loop/auto_saver_state.ts";
export type { NonFiniteResult } from "../train/loop/find_non_finite.ts";
export type { NonFiniteBatch, NonFinitePolicy } from "../train/loop/non_finite.ts";
export type { WeightNames } from "../predict/load_weights.ts";
export type { GenerateOptions } from "../generate/generate_options.ts";
export type { GeneratedToken } from "../generate/write_texts.ts";
export type { Predicted, PredictInputs, PredictOptions } from "../train/measure/prediction_source.ts";
export type { RunDifference, RunSetting } from "../train/loop/run_identity.ts";
export type { RunOptions } from "../train/loop/run_options.ts";
export { assertResumeExact, type AssertResumeExactOptions } from "../train/assert_resume_exact.ts";
export {
  firstDifference,
  type FirstDifferenceOptions,
  type RunDivergence,
} from "../train/first_difference.ts";
export type { TensorDifference } from "../train/tensor_difference.ts";
export { TrainStep } from "../train/loop/train_step.ts";
export type { TrainStepOptions } from "../train/loop/train_step_options.ts";
export type { Printable } from "../base/printable.ts";
export type { KernelExplanation, ProgramExplanation } from "../graph/explain_program.ts";
export type { ExplainOptions, StepExplanation, StepMemoryExplanation } from "../train/step/explain_step.ts";
export type { LayerSummary, ModelSummary } from "../train/step/summarize_model.ts";
export type { CloseOptions } from "../train/step/close_options.ts";
export type { Precision } from "../train/step/precision.ts";
export type { ClipGradientsOptions } from "../train/step/clip_gradients.ts";
export type { DataParallelOptions } from "../parallel/data_parallel_options.ts";
export type { GotoOptions, GotoReport } from "../train/goto_options.ts";
export type { RollbackOptions } from "../train/past/rollback_options.ts";
export type { RecoverRunOptions } from "../train/restore_options.ts";
export type { AutoSaveSettings, KeepSettings } from "../train/saves/auto_save_options.ts";
export type { FailedSave } from "../train/saves/scheduled_saves.ts";
export { NameTemplate } from "../train/saves/name_template.ts";
export type { FanMode, Initializer, KaimingOptions, Nonlinearity } from "../nn/initializers.ts";
export type { VarianceScalingOptions } from "../nn/initializers/variance_scaling.ts";
export type { Layer } from "../nn/layer.ts";
export type { BatchNormOptions } from "../nn/layers/batch_norm.ts";
export type { Conv1dLayerOptions, Conv2dLayerOptions } from "../nn/layers/conv.ts";
export type { ConvTranspose2dLayerOptions } from "../nn/layers/conv_transpose.ts";
export type { FromImagesOptions } from "../nn/layers/from_images.ts";
export type { GroupNormOptions } from "../nn/layers/group_norm.ts";
export type { LinearOptions } from "../nn/layers/linear.ts";
export type {
  AttentionCallOptions,
  AttentionLayer,
  MultiHeadAttentionOptions,
} from "../nn/layers/multi_head_attention.ts";
export type { FrozenOptions } from "../nn/layers/compose/frozen.ts";
export type { LoraOptions } from "../nn/layers/compose/lora.ts";
export type { ParallelOptions } from "../nn/layers/compose/parallel.ts";
export type { LstmState, RecurrentLayer, RecurrentState } from "../nn/layers/recurrent/recurrent_layer.ts";
export type { RecurrentOptions } from "../nn/layers/recurrent/recurrent_options.ts";
export type { SimpleRnnOptions } from "../nn/layers/recurrent/simple_rnn.ts";
export type { RmsNormOptions } from "../nn/layers/rms_norm.ts";
export type { DepthwiseConv2dOptions } from "../nn/layers/separable_conv.ts";
export type { TransformerBlockOptions } from "../nn/layers/transformer_block.ts";
export type { BinaryCrossEntropyOptions } from "../nn/losses/binary_cross_entropy.ts";
export type { CombineLossesOptions } from "../nn/losses/combine_losses.ts";
export type { CrossEntropyLossOptions } from "../nn/losses/cross_entropy.ts";
export type { HuberOptions } from "../nn/losses/huber.ts";
export type { KlDivergenceOptions } from "../nn/losses/kl_divergence.ts";
export type { ExampleLoss, ExampleLosses, LabelRange, Loss, LossTerms } from "../nn/losses/loss.ts";
export type { NllOptions } from "../nn/losses/nll.ts";
export type { PenaltyOptions, Regularizer } from "../nn/losses/regularizers.ts";
export type { ClassMetricOptions } from "../nn/metrics/classes.ts";
export type { PerplexityOptions } from "../nn/metrics/perplexity.ts";
export type { AveragedMetricOptions, ClassAverage } from "../nn/metrics/precision_recall.ts";
export type { TopKMetricOptions } from "../nn/metrics/top_k.ts";
export type { Metric, SetMetric, Table, Totals } from "../nn/metrics/metric.ts";
export type {
  Optimizer,
  UpdateBindings,
  UpdatedElements,
  UpdatedParameter,
  UpdateRule,
} from "../nn/optim/optimizer.ts";
export type { UpdateTensors } from "../nn/optim/update_tensors.ts";
export type { OptimizerOptions, ParameterGroup } from "../nn/optim/optimizer_options.ts";
export type { Schedule } from "../nn/optim/schedules/schedule.ts";
export type { Model, ModelInput, ModelTrace } from "../nn/model.ts";
export type { BufferDType, BufferOptions, ModelBuffer, Parameter, Scope, ScopeOptions } from "../nn/scope.ts";
