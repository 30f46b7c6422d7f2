import type { BufferRange } from "../gpu/buffer_range.ts";
import { BufferUsage } from "../gpu/constants.ts";
import type { GpuDevice } from "../gpu/gpu_device.ts";
import { gradients } from "../graph/autodiff.ts";
import { Executable } from "../graph/executable.ts";
import { mean } from "../graph/ops/reduce.ts";
import type { Program } from "../graph/program.ts";
import { input, type Value } from "../graph/value.ts";
import type { Dispatch } from "../kernels/dispatch.ts";
import type { Loss } from "../nn/losses.ts";
import type { Model } from "../nn/model.ts";
import { requireValue } from "../nn/layer.ts";
import type { Optimizer } from "../nn/optim/optimizer.ts";
import { formatShape } from "../tensor/shape.ts";
import type { TensorGroup } from "../tensor/tensor_group.ts";
import type { Batch, BatchSource } from "./batch_source.ts";
import type { Seed } from "./seed.ts";

/** What one training step is made of. */
export interface TrainStepParts {
  readonly model: Model;
  readonly loss: Loss;
  readonly optimizer: Optimizer;
  /** The optimiser's tensors, one group a slot. */
  readonly slots: readonly TensorGroup[];
  readonly data: BatchSource;
}

/**
 * One optimiser update as one submit: forward, backward, and the optimiser over whole slabs.
 *
 * Gradients are no part of the run's state, so they are not in the store; their slabs mirror those of the
 * parameters, which is what makes the optimiser one dispatch a slab.
 */
export class TrainStep {
  readonly executable: Executable;
  readonly #gpu: GpuDevice;
  readonly #gradientSlabs: readonly GPUBuffer[];
  readonly #optimizer: Optimizer;

  private constructor(
    gpu: GpuDevice,
    executable: Executable,
    gradientSlabs: readonly GPUBuffer[],
    optimizer: Optimizer,
  ) {
    this.#gpu = gpu;
    this.executable = executable;
    this.#gradientSlabs = gradientSlabs;
    this.#optimizer = optimizer;
  }

  /**
   * Throws what the loss throws for a model that does not fit, and a `TypeError` when the loss is not one f32
   * an example.
   */
  static async compile(parts: TrainStepParts): Promise<TrainStep> {
    const { model, optimizer } = parts;
    const { gpu, variants } = model.store;
    const gradientSlabs: GPUBuffer[] = [];
    try {
      for (const { byteLength } of model.group.slabs) {
        const usage = BufferUsage.STORAGE | BufferUsage.COPY_SRC | BufferUsage.COPY_DST;
        gradientSlabs.push(gpu.createBuffer(`gradient slab ${gradientSlabs.length}`, byteLength, usage));
      }
      const program = buildProgram(parts, gradientSlabs);
      const executable = await Executable.compile(gpu, program, { variants, label: "train step" });
      return new TrainStep(gpu, executable, gradientSlabs, optimizer);
    } catch (error) {
      for (const slab of gradientSlabs) gpu.destroyBuffer(slab);
      throw error;
    }
  }

  /** Submits update `step` on `batch` and has its mean loss copied to `lossInto`. Waits for nothing. */
  run(batch: Batch, step: number, seed: Seed, lossInto: BufferRange): void {
    const scalars = { seed, step, values: this.#optimizer.scalars(step) };
    this.executable.run(
      { inputs: batch.inputs, labels: batch.labels },
      scalars,
      [{ output: "loss", into: lossInto }],
    );
  }

  /** Frees the workspace and the gradients. */
  close(): void {
    this.executable.close();
    for (const slab of this.#gradientSlabs) this.#gpu.destroyBuffer(slab);
  }
}

/** The labels of a batch as a graph value, named "labels". */
export function labelsOf(source: BatchSource): Value {
  return input("labels", source.labels.dtype, [source.batchSize, ...source.labels.shape]);
}

/** `value`, or a `TypeError` unless it is one f32 for each of `batchSize` examples. */
export function requirePerExample(what: string, value: Value, batchSize: number): Value {
  requireValue(what, value);
  if (value.dtype === "f32" && value.shape.length === 1 && value.shape[0] === batchSize) return value;
  throw new TypeError(
    `${what} gives ${value.dtype} of shape ${formatShape(value.shape)}, expected one f32 for each example ` +
      `of the batch, shape [${batchSize}]; leave the mean over the batch to the trainer`,
  );
}

function buildProgram(parts: TrainStepParts, gradientSlabs: readonly GPUBuffer[]): Program {
  const { model, data } = parts;
  const trace = model.trace(data.batchSize, true);
  const labels = labelsOf(data);
  const losses = requirePerExample("The loss", parts.loss(trace.output, labels), data.batchSize);
  const loss = mean(losses);
  const found = gradients(loss, trace.parameters.map(({ value }) => value));
  const stores = trace.parameters.flatMap(({ name }, index) => {
    const value = found[index];
    const { range, slab } = model.tensorOf(name);
    const buffer = gradientSlabs[slab];
    return value === undefined || buffer === undefined ? [] : [{ value, into: { ...range, buffer } }];
  });
  return {
    inputs: [trace.input, labels],
    outputs: { loss },
    stores,
    updates: updatesOf(parts, gradientSlabs),
    parameters: (name) => model.rangeOf(name),
  };
}

function updatesOf(
  { model, optimizer, slots }: TrainStepParts,
  gradientSlabs: readonly GPUBuffer[],
): Dispatch<BufferRange | "scalars">[] {
  return model.group.slabs.flatMap(({ buffer, byteLength }, index) => {
    const gradient = gradientSlabs[index];
    if (gradient === undefined || byteLength === 0) return [];
    const whole = (slab: GPUBuffer): BufferRange => ({ buffer: slab, offset: 0, size: byteLength });
    return [optimizer.update<BufferRange | "scalars">({
      parameter: whole(buffer),
      gradient: whole(gradient),
      slots: slots.map((group) => whole(group.slabs[index]?.buffer ?? missingSlab(group, index))),
      scalars: "scalars",
    }, byteLength / 4)];
  });
}

function missingSlab(group: TensorGroup, index: number): never {
  throw new RangeError(`Group "${group.name}" has no slab ${index}; it has to mirror the parameters`);
}
