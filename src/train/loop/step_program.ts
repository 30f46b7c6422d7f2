import { alignUp, TENSOR_ALIGNMENT } from "../../base/checked.ts";
import type { BufferRange } from "../../gpu/buffer_range.ts";
import { BufferUsage } from "../../gpu/constants.ts";
import type { GpuDevice } from "../../gpu/gpu_device.ts";
import type { Program, Store, UpdateBinding } from "../../graph/program.ts";
import type { Dispatch } from "../../gpu/dispatch.ts";
import {
  foldedPartials,
  foldPartials,
  gradientCheck,
  gradientCheckPartials,
  PARTIAL_BYTES,
} from "../../kernels/optimizer/gradient_check.ts";
import { recordTerm } from "../../kernels/optimizer/record_term.ts";
import { STEP_VERDICT_BYTES, stepVerdict } from "../../kernels/optimizer/step_verdict.ts";
import type { Model } from "../../nn/model.ts";
import type { Optimizer } from "../../nn/optim/optimizer.ts";
import { type SlabRange, slabRanges } from "../../tensor/slab_ranges.ts";
import type { TensorGroup } from "../../tensor/tensor_group.ts";
import type { StepValues } from "./step_values.ts";

/** What a step changes besides the parameters. */
export interface StepState {
  /** The optimiser's tensors, one group a slot, each laid out as the parameters. */
  readonly slots: readonly TensorGroup[];
  /** The run's control, and the losses of its last steps. */
  readonly control: BufferRange;
  readonly losses: BufferRange;
  /** What else is kept of the last steps, by its name; as many of each as losses. */
  readonly columns: ReadonlyMap<string, BufferRange>;
}

/** Partial results that one invocation adds up at the end; more are folded first. */
const MOST_PARTIALS = 1024;
const STORAGE = BufferUsage.STORAGE | BufferUsage.COPY_SRC | BufferUsage.COPY_DST;

/**
 * The memory of a step that is no part of the run's state: gradients in slabs that mirror those of the parameters,
 * and what the check of them leaves.
 */
export class StepMemory {
  readonly gradientSlabs: readonly GPUBuffer[];
  /** What the check of each range leaves, one after the other, and what they are folded into. */
  readonly partials: GPUBuffer;
  readonly verdict: GPUBuffer;
  readonly #gpu: GpuDevice;

  /** Allocates for `ranges` of `group`. After an error nothing is left allocated. */
  constructor(gpu: GpuDevice, group: TensorGroup, ranges: readonly SlabRange[]) {
    this.#gpu = gpu;
    const made: GPUBuffer[] = [];
    const create = (label: string, byteLength: number, usage: number): GPUBuffer => {
      const buffer = gpu.createBuffer(label, byteLength, usage);
      made.push(buffer);
      return buffer;
    };
    try {
      this.gradientSlabs = group.slabs.map(({ byteLength }, index) =>
        create(`gradient slab ${index}`, byteLength, STORAGE)
      );
      this.partials = create("gradient check", 2 * PARTIAL_BYTES * partialCount(ranges), STORAGE);
      this.verdict = create("step verdict", STEP_VERDICT_BYTES, STORAGE | BufferUsage.UNIFORM);
    } catch (error) {
      for (const buffer of made) gpu.destroyBuffer(buffer);
      throw error;
    }
  }

  close(): void {
    for (const buffer of [...this.gradientSlabs, this.partials, this.verdict]) {
      this.#gpu.destroyBuffer(buffer);
    }
  }
}

/**
 * The ranges of slabs that a step updates: parameters that the loss reaches, neighbours together. What is in none of
 * them keeps its bits, and so do its moments.
 */
export function updatedRanges(model: Model, { gradients }: StepValues): SlabRange[] {
  const { name: group, tensors } = model.group;
  const reached = new Set<string>();
  for (const { name, aliasOf } of tensors) {
    if (gradients.has(name.slice(group.length + 1))) reached.add(aliasOf ?? name);
  }
  return slabRanges(tensors.filter(({ name }) => reached.has(name)));
}

/**
 * A step as one program: forward and backward, the check of every gradient, and the updates of the ranges, which the
 * verdict of the check lets through or not.
 */
export function stepProgram(
  { model, optimizer, values, ranges, memory, state }: {
    readonly model: Model;
    readonly optimizer: Optimizer;
    readonly values: StepValues;
    readonly ranges: readonly SlabRange[];
    readonly memory: StepMemory;
    readonly state: StepState;
  },
): Program {
  const stores = [...values.gradients].map(([name, value]): Store => {
    const { range, slab } = model.tensorOf(name);
    return { value, into: { ...range, buffer: slabOf(memory.gradientSlabs, slab) } };
  });
  return {
    inputs: values.inputs,
    outputs: { loss: values.loss, ...Object.fromEntries(values.kept) },
    stores,
    updates: [
      ...checks(ranges, memory, optimizer, state),
      ...records(values, memory, state),
      ...ranges.map((range) => updateOf(range, memory, optimizer, state)),
    ],
    parameters: (name) => model.rangeOf(name),
  };
}

function updateOf(
  range: SlabRange,
  { gradientSlabs, verdict }: StepMemory,
  optimizer: Optimizer,
  { slots }: StepState,
): Dispatch<UpdateBinding> {
  const { slab, offset, byteLength } = range;
  const within = (buffer: GPUBuffer): BufferRange => ({ buffer, offset, size: byteLength });
  const bindings = {
    parameter: within(range.buffer),
    gradient: within(slabOf(gradientSlabs, slab)),
    slots: slots.map((group) => within(slabOf(group.slabs.map(({ buffer }) => buffer), slab))),
    scalars: "scalars" as const,
    verdict: { buffer: verdict, offset: 0, size: STEP_VERDICT_BYTES },
  };
  const update = optimizer.update<UpdateBinding>(bindings, byteLength / 4);
  if (update.bindings.includes(bindings.verdict)) return update;
  throw new TypeError(
    `The update of the optimizer "${optimizer.name}" does not bind the verdict, so that a step that is not finite ` +
      "would change the weights; bind it, and return where it says 0",
  );
}

/** Looks at all gradients and the loss, and leaves the verdict. */
function checks(
  ranges: readonly SlabRange[],
  { gradientSlabs, partials, verdict }: StepMemory,
  { decays }: Optimizer,
  { control, losses }: StepState,
): Dispatch<UpdateBinding>[] {
  let count = 0;
  const dispatches = ranges.map(({ slab, offset, byteLength }): Dispatch<UpdateBinding> => {
    const own = gradientCheckPartials(byteLength / 4);
    const into = partialRange(partials, count, own);
    count += own;
    const gradient = { buffer: slabOf(gradientSlabs, slab), offset, size: byteLength };
    return gradientCheck<UpdateBinding>({ gradient, partials: into }, { count: byteLength / 4 });
  });
  let from = 0;
  while (count > MOST_PARTIALS) {
    const into = alignUp(from + count, PARTIALS_ALIGNMENT);
    const whole = { buffer: partials, offset: 0, size: partials.size };
    dispatches.push(foldPartials<UpdateBinding>({ partials: whole }, { from, count, into }));
    from = into;
    count = foldedPartials(count);
  }
  const bindings = {
    partials: partialRange(partials, from, count),
    loss: { output: "loss" },
    scalars: "scalars" as const,
    control,
    losses,
    verdict: { buffer: verdict, offset: 0, size: STEP_VERDICT_BYTES },
  };
  const lossCount = losses.size / 4;
  return [...dispatches, stepVerdict<UpdateBinding>(bindings, { partialCount: count, lossCount, decays })];
}

/** Keeps the numbers of the step beside its loss, under the verdict. */
function records(
  { kept }: StepValues,
  { verdict }: StepMemory,
  { control, columns }: StepState,
): Dispatch<UpdateBinding>[] {
  return [...kept.keys()].map((name) => {
    const ring = columns.get(name);
    if (ring === undefined) throw new RangeError(`There is no place for "${name}" of a step`);
    const bindings = {
      term: { output: name },
      scalars: "scalars" as const,
      control,
      verdict: { buffer: verdict, offset: 0, size: STEP_VERDICT_BYTES },
      ring,
    };
    return recordTerm<UpdateBinding>(bindings, { ringCount: ring.size / 4 });
  });
}

/** Every adapter can bind partial results from a multiple of this many on. */
const PARTIALS_ALIGNMENT = TENSOR_ALIGNMENT / PARTIAL_BYTES;

function partialRange(buffer: GPUBuffer, first: number, count: number): BufferRange {
  return { buffer, offset: first * PARTIAL_BYTES, size: count * PARTIAL_BYTES };
}

function partialCount(ranges: readonly SlabRange[]): number {
  return ranges.reduce((sum, { byteLength }) => sum + gradientCheckPartials(byteLength / 4), 0);
}

function slabOf(slabs: readonly GPUBuffer[], index: number): GPUBuffer {
  const slab = slabs[index];
  if (slab !== undefined) return slab;
  throw new RangeError(
    `There is no slab ${index}; gradients and the optimizer's tensors have to mirror the parameters`,
  );
}
