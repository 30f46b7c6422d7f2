import { alignUp, TENSOR_ALIGNMENT } from "../../base/checked.ts";
import { mostBindingBytes } from "../../gpu/binding_parts.ts";
import type { BufferRange } from "../../gpu/buffer_range.ts";
import { BufferUsage } from "../../gpu/constants.ts";
import type { GpuDevice } from "../../gpu/gpu_device.ts";
import type { Program, Store, Update, UpdateBinding } from "../../graph/program.ts";
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
import type { Optimizer, UpdateBindings } from "../../nn/optim/optimizer.ts";
import { type SlabRange, slabRanges } from "../../tensor/slab_ranges.ts";
import { type StoredTensor, TensorGroup } from "../../tensor/tensor_group.ts";
import type { PieceMemory } from "./batch_pieces.ts";
import { allocateBuffers, bufferStores, commitBuffers, updatedBuffers } from "./buffer_updates.ts";
import type { ClipGradientsOptions } from "./clip_gradients.ts";
import { GRADIENT_NORM } from "./kept_terms.ts";
import { lossScaleAt } from "./loss_scale.ts";
import type { ParameterRules } from "./parameter_rules.ts";
import type { StepValues } from "./step_values.ts";
import { nameOf, type UpdateRange, updateRanges } from "./update_ranges.ts";

/** What a step changes besides the parameters. */
export interface StepState {
  /** The optimiser's tensors, one group a slot. */
  readonly slots: ReadonlyMap<string, TensorGroup>;
  /** The run's control, and the losses of its last steps. */
  readonly control: BufferRange;
  readonly losses: BufferRange;
  /** What else is kept of the last steps, by its name; as many of each as losses. */
  readonly columns: ReadonlyMap<string, BufferRange>;
  /** By what the loss is multiplied, where it is. */
  readonly lossScale?: BufferRange | undefined;
}

/** Partial results that one invocation adds up at the end; more are folded first. */
const MOST_PARTIALS = 1024;
const STORAGE = BufferUsage.STORAGE | BufferUsage.COPY_SRC | BufferUsage.COPY_DST;

/**
 * The memory of a step that is no part of the run's state: gradients, which lie as their parameters do, and what the
 * check of them leaves.
 */
export class StepMemory {
  /** Of the parameters that the step trains, and of no others. */
  readonly gradients: TensorGroup;
  /** What the check of each range leaves, one after the other, and what they are folded into. */
  readonly partials: GPUBuffer;
  readonly verdict: GPUBuffer;
  /** What the buffers of the model become, if the step counts. */
  readonly nextBuffers: TensorGroup;
  readonly #gpu: GpuDevice;

  /** Allocates for the gradients of `values`. After an error nothing is left allocated. */
  constructor(model: Model, { gradients }: Pick<StepValues, "gradients">) {
    const { gpu, slabBytes } = model.store;
    this.#gpu = gpu;
    const specs = model.group.specs().filter(({ name }) => gradients.has(name));
    this.gradients = TensorGroup.allocate(gpu, "gradients", specs, slabBytes);
    const made = this.gradients.slabs.map(({ buffer }) => buffer);
    const create = (label: string, byteLength: number, usage: number): GPUBuffer => {
      const buffer = gpu.createBuffer(label, byteLength, usage);
      made.push(buffer);
      return buffer;
    };
    try {
      const partials = 2 * PARTIAL_BYTES *
        partialCount(slabRanges(this.gradients.tensors, mostBindingBytes(gpu)));
      this.partials = create("gradient check", partials, STORAGE);
      this.verdict = create("step verdict", STEP_VERDICT_BYTES, STORAGE | BufferUsage.UNIFORM);
      this.nextBuffers = allocateBuffers(model, "next buffers");
    } catch (error) {
      for (const buffer of made) gpu.destroyBuffer(buffer);
      throw error;
    }
  }

  /** Where the verdict is. */
  get verdictRange(): BufferRange {
    return { buffer: this.verdict, offset: 0, size: STEP_VERDICT_BYTES };
  }

  close(): void {
    const slabs = [...this.gradients.slabs, ...this.nextBuffers.slabs].map(({ buffer }) => buffer);
    for (const buffer of [...slabs, this.partials, this.verdict]) this.#gpu.destroyBuffer(buffer);
  }
}

/** What the program of a step is made of. */
export interface StepProgramParts {
  readonly model: Model;
  readonly optimizer: Optimizer;
  readonly clipGradients?: ClipGradientsOptions | undefined;
  readonly rules: ParameterRules;
  readonly values: StepValues;
  readonly memory: StepMemory;
  readonly state: StepState;
  /** Where the batch is computed in pieces: what adds them up, before the gradients are looked at. */
  readonly pieces?: { readonly memory: PieceMemory; readonly additions: readonly Update[] } | undefined;
}

/**
 * A step as one program: forward and backward, the check of every gradient, and the updates by the optimiser's rules,
 * which the verdict of the check lets through or not.
 */
export function stepProgram({ values, pieces, ...parts }: StepProgramParts): Program {
  const { model, memory, state } = parts;
  const { gradients } = pieces?.memory ?? memory;
  const updated = updatedBuffers(values.bufferUpdates, memory.nextBuffers);
  return {
    inputs: values.inputs,
    outputs: { loss: values.loss, ...Object.fromEntries(values.kept) },
    stores: [...gradientStores(values, gradients), ...bufferStores(values.bufferUpdates, memory.nextBuffers)],
    updates: [
      ...pieces?.additions ?? [],
      ...finishingUpdates({
        ...parts,
        kept: [...values.kept.keys()],
        numberOf: (name) => pieces?.memory.sumOf(name) ?? { output: name },
        buffers: pieces?.memory.buffers.tensors ?? updated,
      }),
    ],
    parameters: (name) => lossScaleAt(name, state) ?? pieces?.memory.locate(name) ?? model.rangeOf(name),
  };
}

/** Leaves the gradients of a step in `into`, each where its parameter's is. */
export function gradientStores({ gradients }: Pick<StepValues, "gradients">, into: TensorGroup): Store[] {
  return into.tensors.flatMap((tensor) => {
    const value = gradients.get(nameOf(tensor));
    return value === undefined ? [] : [{ value, into: tensor.range }];
  });
}

/** What a step does once its gradients are in {@link StepMemory}. */
export interface FinishingParts extends Omit<StepProgramParts, "values" | "pieces"> {
  /** Names of what is kept of the step beside its loss. */
  readonly kept: readonly string[];
  /** Where "loss" and each of these is. */
  readonly numberOf: (name: string) => UpdateBinding;
  /** What buffers of the model become, by their names there. */
  readonly buffers: readonly StoredTensor[];
  /** Where a parameter is while it is updated. Default: where the model has it. */
  readonly parameterOf?: ((name: string) => StoredTensor) | undefined;
}

/** The check of all gradients, and everything that waits for its verdict: the last part of every step. */
export function finishingUpdates(
  { model, optimizer, clipGradients = {}, rules, memory, state, kept, numberOf, buffers, parameterOf }:
    FinishingParts,
): Update[] {
  const ranges = updateRanges(model, rules, memory.gradients, state.slots, parameterOf);
  return [
    ...checks(memory, optimizer, state, clipGradients, numberOf("loss"), mostBindingBytes(model.store.gpu)),
    ...records(kept, memory, state, numberOf),
    ...ranges.flatMap((range) => updatesOf(range, memory, optimizer)),
    ...commitBuffers(buffers, model, memory.verdictRange),
  ];
}

function updatesOf(
  { rule, parameters, ...ranges }: UpdateRange,
  { verdictRange }: StepMemory,
  optimizer: Optimizer,
): readonly Update[] {
  const bindings: UpdateBindings = { ...ranges, scalars: "scalars", verdict: verdictRange };
  const updates = rule.update(bindings, { count: ranges.parameter.size / 4, parameters });
  const isGated = (update: Update): boolean => "values" in update || update.bindings.includes(verdictRange);
  if (updates.every(isGated)) return updates;
  throw new TypeError(
    `The update of the optimizer "${optimizer.name}" does not bind the verdict, so that a step that is not finite ` +
      "would change the weights; bind it, and return where it says 0",
  );
}

/** Looks at all gradients and the loss, and leaves the verdict. */
function checks(
  { gradients, partials, verdictRange: verdict }: StepMemory,
  { decays }: Optimizer,
  { control, losses, columns, lossScale }: StepState,
  { norm: clipNorm, value: clipValue }: ClipGradientsOptions,
  loss: UpdateBinding,
  bindingBytes: number,
): Dispatch<UpdateBinding>[] {
  let count = 0;
  const dispatches = slabRanges(gradients.tensors, bindingBytes).map(({ buffer, offset, byteLength }) => {
    const own = gradientCheckPartials(byteLength / 4);
    const into = partialRange(partials, count, own);
    count += own;
    const gradient = { buffer, offset, size: byteLength };
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
    loss,
    scalars: "scalars" as const,
    control,
    losses,
    verdict,
    norms: columns.get(GRADIENT_NORM),
    lossScale,
  };
  const lossCount = losses.size / 4;
  const options = { partialCount: count, lossCount, decays, clipNorm, clipValue };
  return [...dispatches, stepVerdict<UpdateBinding>(bindings, options)];
}

/** Keeps the numbers of the step beside its loss, under the verdict. */
function records(
  kept: readonly string[],
  { verdictRange: verdict }: StepMemory,
  { control, columns }: StepState,
  numberOf: (name: string) => UpdateBinding,
): Dispatch<UpdateBinding>[] {
  return kept.map((name) => {
    const ring = columns.get(name);
    if (ring === undefined) throw new RangeError(`There is no place for "${name}" of a step`);
    const bindings = {
      term: numberOf(name),
      scalars: "scalars" as const,
      control,
      verdict,
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
