import { CairnError } from "../base/errors.ts";
import { requireAwaited } from "../base/options/kind_of.ts";
import { checkOptions, type OptionNames } from "../base/options/options.ts";
import { type Work, WORK_OPTIONS } from "../base/work.ts";
import {
  type GenerateOptions,
  type GenerateSettings,
  generateSettings,
} from "../generate/generate_options.ts";
import type { Generations } from "../generate/generations.ts";
import { tokensOf, tokensOfOne } from "../generate/prompts.ts";
import type { GeneratedToken } from "../generate/write_texts.ts";
import type { GpuDevice } from "../gpu/gpu_device.ts";
import { type Named, namedOf, partsOf } from "../base/parts/named.ts";
import type { Value } from "../graph/value.ts";
import type { Values } from "../graph/values.ts";
import { isTensorLike, type TensorLike } from "../tensor/tensor_like.ts";
import type { Layer } from "../nn/layer.ts";
import { Model, type ModelInput } from "../nn/model.ts";
import { HostTensor } from "../tensor/host_tensor.ts";
import { TensorStore } from "../tensor/tensor_store.ts";
import {
  isBatchSource,
  PREDICT_OPTIONS,
  type Predicted,
  type PredictInputs,
  type PredictOptions,
} from "../train/measure/prediction_source.ts";
import { Predictions } from "../train/measure/predictions.ts";
import { loadWeights, mismatch, type WeightNames } from "./load_weights.ts";
import { openWeights } from "./weights_file.ts";

/** Options of {@link Predictor.open}. Its progress is in weights. */
export interface PredictorOptions extends WeightNames, Work {
  /**
   * What one example is, without the batch axis: then the weights are compared with the model at once. Otherwise that
   * is done by the first inputs. Of several inputs each by its name.
   */
  readonly input?: Named<ModelInput> | undefined;
  /** Examples that are computed at once, unless a call says otherwise. Default 32; for one at a time, 1. */
  readonly batchSize?: number | undefined;
  /**
   * Whether averages are taken in place of weights of which the optimiser kept some, as the trainer does. Default true.
   */
  readonly averaged?: boolean | undefined;
  /** Which of several models in a checkpoint: the name of the `TrainStep` that trained it. */
  readonly name?: string | undefined;
  /** The device to compute on, which stays open. Default: one of its own, as `TensorStore.open()` finds it. */
  readonly gpu?: GpuDevice | undefined;
}

/** Every option of {@link PredictorOptions}. */
export const PREDICTOR_OPTIONS: OptionNames<PredictorOptions> = {
  ...WORK_OPTIONS,
  input: true,
  batchSize: true,
  averaged: true,
  name: true,
  gpu: true,
  exclude: true,
  rename: true,
};

const DEFAULT_BATCH_SIZE = 32;

/**
 * A model with its weights and nothing else: no optimiser, no data. It computes as `Trainer.predict` does, in
 * evaluation mode.
 *
 * One program serves any number of examples: batches have one size, and the last is filled up with its last example,
 * whose further outputs are dropped. So an example's outputs may not depend on the others of its batch, as those of no
 * layer of `nn` do in evaluation mode.
 *
 * @example
 * ```ts
 * const model = nn.sequential(nn.linear(784, 128), nn.relu(), nn.linear(128, 10));
 * const predictor = await Predictor.open(model, "checkpoints/digits.cairn");
 * const logits = await predictor.predict(HostTensor.from(new Float32Array(3 * 784), [3, 784]));
 * await predictor.close();
 * ```
 */
export class Predictor<In extends Values = Value, Out extends Values = Value> {
  readonly #store: TensorStore;
  readonly #layer: Layer<never, Values>;
  readonly #path: string;
  readonly #batchSize: number;
  #generations: Generations | undefined;
  #predictions: { readonly model: Model; readonly run: Predictions } | undefined;
  #isClosed = false;

  private constructor(
    store: TensorStore,
    layer: Layer<In, Out>,
    path: string,
    batchSize: number,
  ) {
    this.#store = store;
    this.#layer = layer;
    this.#path = path;
    this.#batchSize = batchSize;
  }

  /**
   * Loads the weights of `layer` from a checkpoint, a file of exported weights, or safetensors (an index too). Weights
   * of PyTorch's `state_dict` fit layers of the same architecture once `rename` gives them the model's names.
   *
   * @param path Of the file; of a safetensors file also an http(s) URL, which is read by ranges.
   * @throws CairnError `not_found`; `state_mismatch` for weights that are not the model's, where `input` is given;
   * `checksum_mismatch` for a damaged file; `no_webgpu` or `no_adapter`.
   */
  static async open<In extends Values = Value, Out extends Values = Value>(
    layer: Layer<In, Out>,
    path: string | URL,
    options: PredictorOptions = {},
  ): Promise<Predictor<In, Out>> {
    checkOptions("Predictor.open()", options, PREDICTOR_OPTIONS, "{ batchSize: 1 }");
    const { averaged = true, name, batchSize = DEFAULT_BATCH_SIZE, input, gpu, signal } = options;
    if (gpu !== undefined) requireAwaited("The device", gpu, "GpuDevice.open()");
    if (!Number.isSafeInteger(batchSize) || batchSize < 1) {
      throw new RangeError(`batchSize is an integer from 1, found ${batchSize}`);
    }
    const file = await openWeights(path, { averaged, name, signal });
    try {
      const store = gpu === undefined ? await TensorStore.open() : TensorStore.on(gpu);
      try {
        await loadWeights(store, file.weights, options);
        const predictor = new Predictor<In, Out>(store, layer, String(path), batchSize);
        if (input !== undefined) predictor.#modelFor(input);
        return predictor;
      } catch (error) {
        await store.close();
        throw error;
      }
    } finally {
      await file.close();
    }
  }

  /**
   * What the model gives for `inputs`, in their order: `[examples, …]`, of several outputs each by its name.
   *
   * @param inputs A tensor or nested arrays of numbers `[examples, …]`, or a data source; of several inputs each by its
   * name.
   * @throws CairnError `state_mismatch` where the weights are not the model's; `shape_mismatch` or `dtype_mismatch` for
   * other examples than before; RangeError for an index that the model does not take; `signal.reason`.
   */
  async predict(inputs: PredictInputs<In>, options: PredictOptions = {}): Promise<Predicted<Out>> {
    checkOptions("predict()", options, PREDICT_OPTIONS, "{ batchSize: 256 }");
    if (this.#isClosed) throw new CairnError("closed", "Cannot predict: the predictor was closed");
    const { run } = this.#predictions ?? this.#modelFor(exampleOf(inputs));
    const context = { key: { seed: 0 }, batchSize: this.#batchSize, fills: true };
    return await run.run(inputs, context, options) as Predicted<Out>;
  }

  /**
   * What a text goes on with, token by token, by a model that gives a score for each token that may be next: f32
   * `[batch, positions, tokens]` for token numbers `[batch, positions]`, or `[batch, tokens]` for the last. Each
   * position is computed once: what those that follow need of it, keys and values of attention and states of
   * recurrent layers, stays on the GPU. Two iterations may be under way at once; each has its own.
   *
   * The iteration may be left at any time. It throws TypeError for a model that looks at other positions in a way that
   * no cache knows of, naming the layer; RangeError for a prompt that is empty or too long, or has a token that the
   * model does not take; CairnError `state_mismatch` as `predict`, `non_finite` for scores that are NaN, `closed`;
   * `signal.reason`.
   *
   * @param prompt The tokens that the text begins with. They are not given back.
   * @throws TypeError or RangeError for options that it cannot have.
   *
   * @example
   * ```ts
   * const tokens = nn.embedding(96, 64);
   * const model = nn.sequential(tokens, nn.transformerBlock(64, 4, { causal: true, rotary: true }), tokens.attend);
   * const predictor = await Predictor.open(model, "checkpoints/language.cairn");
   * for await (const token of predictor.generate([7, 3], { maxTokens: 100, temperature: 0.8, topK: 40, seed: 1 })) {
   *   console.log(token);
   * }
   * await predictor.close();
   * ```
   */
  generate(prompt: ArrayLike<number>, options: GenerateOptions = {}): AsyncGenerator<number, void> {
    const settings = generateSettings("generate()", options);
    return tokensOfOne(this.#generate([tokensOf(prompt)], settings));
  }

  /**
   * As {@link Predictor.generate}, for several prompts at once, of any lengths: their tokens as they are made. Each
   * prompt draws random numbers of its own.
   */
  generateMany(
    prompts: readonly ArrayLike<number>[],
    options: GenerateOptions = {},
  ): AsyncGenerator<GeneratedToken, void> {
    const settings = generateSettings("generateMany()", options);
    return this.#generate(prompts.map(tokensOf), settings);
  }

  /** Frees the weights and what was compiled. Safe to call twice. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#predictions?.run.free();
    this.#generations?.free();
    await this.#store.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async *#generate(
    prompts: readonly (readonly number[])[],
    settings: GenerateSettings,
  ): AsyncGenerator<GeneratedToken, void> {
    if (this.#isClosed) throw new CairnError("closed", "Cannot generate: the predictor was closed");
    // Imported when it is needed, so that a bundle that only predicts is without it.
    const { Generations } = await import("../generate/generations.ts");
    this.#generations ??= new Generations((positions) =>
      this.#checked(
        Model.over(this.#store, this.#layer as Layer<Value, Value>, {
          dtype: "u32",
          shape: [positions],
        }),
      )
    );
    yield* this.#generations.run(prompts, settings);
  }

  #checked<M extends Model>(model: M): M {
    const unmet = model.unmet();
    if (unmet.length > 0) throw mismatch(this.#path, unmet);
    return model;
  }

  #modelFor(input: Named<ModelInput>): { readonly model: Model; readonly run: Predictions } {
    const model = this.#checked(Model.over(this.#store, this.#layer as Layer<Values, Values>, input));
    return this.#predictions = { model, run: new Predictions(model) };
  }
}

/** What one example of `inputs` is. */
function exampleOf(inputs: PredictInputs<Values>): Named<ModelInput> {
  if (isBatchSource(inputs)) return inputs.inputs;
  const tensors = Object.entries(partsOf<TensorLike>("inputs", inputs, isTensorLike));
  return namedOf(
    "inputs",
    Object.fromEntries(tensors.map(([part, each]) => {
      const { dtype, shape } = each instanceof HostTensor ? each : HostTensor.from(each);
      return [part, { dtype, shape: shape.slice(1) }];
    })),
  );
}
