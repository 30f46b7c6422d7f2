import { throwIfAborted } from "../../base/abort.ts";
import { allocate } from "../../base/allocate.ts";
import { byteSizeOf } from "../../base/dtype.ts";
import { nextTurn } from "../../base/event_loop.ts";
import { withFeed } from "../../data/batch_feed.ts";
import {
  type BatchReader,
  type BatchRequest,
  type BatchSource,
  evaluationBatches,
  fetchBatch,
  type OrderKey,
  sizeOfBatch,
} from "../../data/batch_source.ts";
import type { BufferRange } from "../../gpu/buffer_range.ts";
import { Executable } from "../../graph/executable.ts";
import { indexLimits } from "../../graph/index_limits.ts";
import type { Value } from "../../graph/value.ts";
import type { Model } from "../../nn/model.ts";
import { HostTensor } from "../../tensor/host_tensor.ts";
import { elementCount, formatShape } from "../../tensor/shape.ts";
import { type InputRanges, inputRanges, requireBatchInRange } from "./index_check.ts";
import { OutputRows } from "./output_rows.ts";
import { type PredictInputs, predictionSource, type PredictOptions } from "./prediction_source.ts";
import { ProgramsBySize } from "./programs_by_size.ts";

/** The model, compiled for batches of one size. */
interface PredictionProgram {
  readonly executable: Executable;
  readonly ranges: InputRanges;
}

/** What a run gives a prediction. */
export interface PredictionContext {
  readonly key: OrderKey;
  /** Examples of a batch unless given. */
  readonly batchSize: number;
  /**
   * Whether the last batch is filled up by its last example, so that one program serves any number of them. Otherwise
   * it has a program of its size. Default false.
   */
  readonly fills?: boolean | undefined;
}

/** What a model gives for any number of examples, in evaluation mode. */
export class Predictions {
  readonly #model: Model;
  readonly #weights: (name: string) => BufferRange;
  #programs = new ProgramsBySize<PredictionProgram>("the prediction");
  #running: Promise<unknown> = Promise.resolve();

  /** @param weights Where the weights are, by their names in the model. Default: where the model has them. */
  constructor(model: Model, weights: (name: string) => BufferRange = (name) => model.rangeOf(name)) {
    this.#model = model;
    this.#weights = weights;
  }

  /** The outputs `[examples, …]`, in the order of `inputs`. Throws what `Trainer.predict` throws. */
  run(inputs: PredictInputs, context: PredictionContext, options: PredictOptions): Promise<HostTensor> {
    // One after the other, as they share the memory of the programs.
    const programs = this.#programs;
    const outputs = this.#running.then(() => this.#run(programs, inputs, context, options));
    this.#running = outputs.catch(() => undefined);
    return outputs;
  }

  /** Frees the programs. Those that were begun end at their next batch with `closed`; the next compiles anew. */
  free(): void {
    this.#programs.close();
    this.#programs = new ProgramsBySize("the prediction");
  }

  async #run(
    programs: ProgramsBySize<PredictionProgram>,
    inputs: PredictInputs,
    { key, batchSize, fills = false }: PredictionContext,
    options: PredictOptions,
  ): Promise<HostTensor> {
    const source = predictionSource(inputs, this.#model.input, options, batchSize);
    const total = source?.exampleCount ?? 0;
    // Of one example, as not every layer is defined for none.
    const { dtype, shape: [, ...shape] } = requireBatch(this.#model.trace(1, false).output, 1);
    const rowBytes = elementCount(shape) * byteSizeOf(dtype);
    const rows = new OutputRows(total, rowBytes);
    const predictAll = async (source: BatchSource, from: Pick<BatchReader, "batchAt">): Promise<void> => {
      for (let position = 0; position < evaluationBatches(source); position++) {
        throwIfAborted(options.signal);
        const request = { ...key, epoch: 0, position };
        const size = sizeOfBatch(source, position);
        const computed = fills ? source.batchSize : size;
        const { bytes } = await this.#outputsOf(programs, source, request, computed, from);
        const first = position * source.batchSize;
        rows.put(bytes.subarray(0, size * rowBytes), first, source.indicesAt?.(request));
        options.onProgress?.({ done: Math.min(total, first + source.batchSize), total });
        await nextTurn();
      }
    };
    if (source !== undefined) await withFeed(source, key, (from) => predictAll(source, from));
    return HostTensor.fromBytes(rows.bytes, dtype, [total, ...shape]);
  }

  /** The outputs of one batch, by the program for `computed` examples. */
  async #outputsOf(
    programs: ProgramsBySize<PredictionProgram>,
    source: BatchSource,
    request: BatchRequest,
    computed: number,
    from: Pick<BatchReader, "batchAt">,
  ): Promise<HostTensor> {
    const size = sizeOfBatch(source, request.position);
    const { inputs } = await fetchBatch(source, request, size, from);
    const { executable, ranges } = await programs.get(
      computed,
      source.batchSize,
      () => this.#compile(computed),
    );
    requireBatchInRange(ranges, source, { inputs, labels: new Uint8Array(0) }, request);
    executable.run({ inputs: filled(inputs, size, computed) }, { seed: request.seed, step: 0, values: [] });
    const [outputs] = await executable.read("output");
    if (outputs === undefined) throw new RangeError("Nothing was read of what the model gives");
    return outputs;
  }

  async #compile(size: number): Promise<PredictionProgram> {
    const { store } = this.#model;
    const { input, output } = this.#model.trace(size, false);
    requireBatch(output, size);
    const executable = await Executable.compile(
      store.gpu,
      { inputs: [input], outputs: { output }, parameters: this.#weights },
      { variants: store.variants, label: "prediction" },
    );
    return { executable, ranges: inputRanges(indexLimits([output]), []) };
  }
}

/** `size` examples and the last of them again, until there are `wanted`. */
function filled(inputs: ArrayBufferView, size: number, wanted: number): ArrayBufferView {
  if (size === wanted) return inputs;
  const bytes = new Uint8Array(inputs.buffer, inputs.byteOffset, inputs.byteLength);
  const exampleBytes = bytes.byteLength / size;
  const all = allocate(wanted * exampleBytes);
  all.set(bytes);
  for (let at = bytes.byteLength; at < all.byteLength; at += exampleBytes) {
    all.copyWithin(at, bytes.byteLength - exampleBytes, bytes.byteLength);
  }
  return all;
}

/** `output`, where its first axis counts `size` examples. */
function requireBatch(output: Value, size: number): Value {
  if (output.shape[0] === size) return output;
  throw new TypeError(
    `predict() needs a model whose output counts the examples with its first axis, found ` +
      `${output.dtype} ${formatShape(output.shape)} for ${size} of them`,
  );
}
