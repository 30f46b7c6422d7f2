import { throwIfAborted } from "../../base/abort.ts";
import { allocate } from "../../base/allocate.ts";
import { byteSizeOf } from "../../base/dtype.ts";
import { nextTurn } from "../../base/event_loop.ts";
import { type Named, namedOf, type Parts, partsIn, partText } from "../../base/parts/named.ts";
import { withFeed } from "../../data/batch_feed.ts";
import {
  type BatchReader,
  type BatchRequest,
  type BatchSource,
  evaluationBatches,
  type OrderKey,
  sizeOfBatch,
} from "../../data/batch_source.ts";
import { fetchBatch } from "../../data/fetch_batch.ts";
import type { BufferRange } from "../../gpu/buffer_range.ts";
import { Executable } from "../../graph/executable.ts";
import { indexLimits } from "../../graph/index_limits.ts";
import type { Value } from "../../graph/value.ts";
import { valueParts } from "../../graph/values.ts";
import type { Values } from "../../graph/values.ts";
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
  run(
    inputs: PredictInputs<Values>,
    context: PredictionContext,
    options: PredictOptions,
  ): Promise<Named<HostTensor>> {
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
    inputs: PredictInputs<Values>,
    { key, batchSize, fills = false }: PredictionContext,
    options: PredictOptions,
  ): Promise<Named<HostTensor>> {
    const source = predictionSource(inputs, this.#model.input, options, batchSize);
    const total = source?.exampleCount ?? 0;
    // Of one example, as not every layer is defined for none.
    const outputs = outputsOf(this.#model.trace(1, false).output, 1);
    const all = Object.entries(outputs).map(([part, { dtype, shape: [, ...shape] }]) => {
      const rowBytes = elementCount(shape) * byteSizeOf(dtype);
      return { part, dtype, shape, rowBytes, rows: new OutputRows(total, rowBytes) };
    });
    const predictAll = async (source: BatchSource, from: Pick<BatchReader, "batchAt">): Promise<void> => {
      for (let position = 0; position < evaluationBatches(source); position++) {
        throwIfAborted(options.signal);
        const request = { ...key, epoch: 0, position };
        const size = sizeOfBatch(source, position);
        const computed = fills ? source.batchSize : size;
        const read = await this.#outputsOf(programs, source, request, Object.keys(outputs), computed, from);
        const [first, places] = [position * source.batchSize, source.indicesAt?.(request)];
        for (const [index, { rows, rowBytes }] of all.entries()) {
          const { bytes } = read[index] ?? { bytes: new Uint8Array(0) };
          rows.put(bytes.subarray(0, size * rowBytes), first, places);
        }
        options.onProgress?.({ done: Math.min(total, first + source.batchSize), total });
        await nextTurn();
      }
    };
    if (source !== undefined) {
      await withFeed(source, key, (from) => predictAll(source, from), options.signal);
    }
    return namedOf(
      "output",
      Object.fromEntries(all.map(({ part, dtype, shape, rows }) => {
        return [part, HostTensor.fromBytes(rows.bytes, dtype, [total, ...shape])];
      })),
    );
  }

  /** The outputs of one batch, by the program for `computed` examples. */
  async #outputsOf(
    programs: ProgramsBySize<PredictionProgram>,
    source: BatchSource,
    request: BatchRequest,
    outputs: readonly string[],
    computed: number,
    from: Pick<BatchReader, "batchAt">,
  ): Promise<HostTensor[]> {
    const size = sizeOfBatch(source, request.position);
    const inputs = partsIn("inputs", await fetchBatch(source, request, size, from));
    const { executable, ranges } = await programs.get(
      computed,
      source.batchSize,
      () => this.#compile(computed),
    );
    requireBatchInRange(ranges, source, inputs, request);
    executable.run(filled(inputs, size, computed), { seed: request.seed, step: 0, values: [] });
    return await executable.read(...outputs);
  }

  async #compile(size: number): Promise<PredictionProgram> {
    const { store } = this.#model;
    const { input, output } = this.#model.trace(size, false);
    const outputs = outputsOf(output, size);
    const inputs = valueParts("inputs", input);
    const executable = await Executable.compile(
      store.gpu,
      { inputs: Object.values(inputs), outputs, parameters: this.#weights },
      { variants: store.variants, label: "prediction" },
    );
    const limits = indexLimits(Object.values(outputs));
    return { executable, ranges: inputRanges(limits, [], Object.keys(inputs)) };
  }
}

/** Of each part `size` examples and the last of them again, until there are `wanted`. */
function filled(inputs: Parts<ArrayBufferView>, size: number, wanted: number): Parts<ArrayBufferView> {
  if (size === wanted) return inputs;
  return Object.fromEntries(
    Object.entries(inputs).map(([part, array]) => [part, filledPart(array, size, wanted)]),
  );
}

function filledPart(inputs: ArrayBufferView, size: number, wanted: number): ArrayBufferView {
  const bytes = new Uint8Array(inputs.buffer, inputs.byteOffset, inputs.byteLength);
  const exampleBytes = bytes.byteLength / size;
  const all = allocate(wanted * exampleBytes);
  all.set(bytes);
  for (let at = bytes.byteLength; at < all.byteLength; at += exampleBytes) {
    all.copyWithin(at, bytes.byteLength - exampleBytes, bytes.byteLength);
  }
  return all;
}

/** What a model gives, by part, where the first axis of each counts `size` examples. */
function outputsOf(output: Values, size: number): Parts<Value> {
  const parts = valueParts("output", output);
  for (const [part, { dtype, shape }] of Object.entries(parts)) {
    if (shape[0] === size) continue;
    throw new TypeError(
      `predict() needs a model whose ${partText(part)} counts the examples with its first axis, found ` +
        `${dtype} ${formatShape(shape)} for ${size} of them`,
    );
  }
  return parts;
}
