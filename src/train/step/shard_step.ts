import type { Parts } from "../../base/parts/named.ts";
import { type CompileListener, sharedListener } from "../../gpu/compile_pipelines.ts";
import type { BufferRange } from "../../gpu/buffer_range.ts";
import { Executable } from "../../graph/executable.ts";
import type { ProgramExplanation } from "../../graph/explain_program.ts";
import { div } from "../../graph/ops/arithmetic.ts";
import { equal, where } from "../../graph/ops/comparison.ts";
import { parameter } from "../../graph/ops/sources.ts";
import type { Program, Store } from "../../graph/program.ts";
import type { Value } from "../../graph/value.ts";
import type { StepScalars } from "../../kernels/step_scalars.ts";
import type { DataParallelOptions } from "../../parallel/data_parallel_options.ts";
import { copiesOf, mostOpenSums } from "../../parallel/open_sums.ts";
import { ownShards, type Slice, slicesOf } from "../../parallel/shards.ts";
import { type Message, ShardReduction } from "../../parallel/shard_reduction.ts";
import type { TensorGroup } from "../../tensor/tensor_group.ts";
import { allOrNone } from "./all_or_none.ts";
import { pieceOf, PIECES, rangeIn, WHOLE_BATCH } from "./batch_pieces.ts";
import { bufferStores, updatedBuffers } from "./buffer_updates.ts";
import { GatheredParameters } from "./gathered_parameters.ts";
import { lossScaleAt } from "./loss_scale.ts";
import { rangesOf, SHARD, ShardMemory, sumMemoryOf } from "./shard_memory.ts";
import type { StepInParts } from "./step_in_parts.ts";
import { finishingUpdates, gradientStores, type StepMemory, type StepProgramParts } from "./step_program.ts";
import { forwardOf, type StepDefinition, type StepPart, type StepValues, stepValues } from "./step_values.ts";
import { nameOf } from "./update_ranges.ts";
import { weighingOf, WeighingProgram } from "./weighing.ts";

/** What is compiled for shards of one size. */
interface ShardPrograms {
  readonly size: number;
  readonly values: StepValues;
  /** Forward and backward. */
  readonly step: Executable;
  /** Adds up the weights of the examples; none where each weighs 1. */
  readonly weighing: WeighingProgram | undefined;
}

/** What a step in shards is made of. */
export interface ShardStepDefinition
  extends Omit<StepDefinition, "size" | "rules">, Omit<StepProgramParts, "values" | "pieces"> {
  readonly memory: StepMemory;
  readonly parallel: DataParallelOptions;
  readonly onCompile?: CompileListener | undefined;
}

interface CompiledShards {
  readonly parallel: DataParallelOptions;
  readonly programs: ReadonlyMap<number, ShardPrograms>;
  /** The check of the sums, and the updates. */
  readonly update: Executable;
  readonly memory: ShardMemory;
  readonly reduction: ShardReduction;
  /** Of the weights; none where each example weighs 1. */
  readonly weights: ShardReduction | undefined;
  /** Where each rank updates some parameters. */
  readonly parameters: GatheredParameters | undefined;
}

/**
 * A training step that computes its batch in shards, those of this rank, and adds up what all shards give in the order
 * of a tree: the ranks of a group that have one shard or more each, and one process that has all, give the same bits.
 */
export class ShardStep implements StepInParts {
  readonly #compiled: CompiledShards;

  private constructor(compiled: CompiledShards) {
    this.#compiled = compiled;
  }

  /** @param sizes Of batches. */
  static async compile(definition: ShardStepDefinition, sizes: readonly number[]): Promise<ShardStep> {
    const { model, memory: shared, parallel } = definition;
    const { gpu } = model.store;
    const values = valuesOf(definition, sizes);
    const [first] = values.values();
    if (first === undefined) throw new RangeError("A step in shards has batches of at least one size");
    const memory = new ShardMemory(model, shared.gradients, {
      numbers: ["loss", ...first.kept.keys()],
      terms: first.labelRanges.length,
      slots: copiesOf(parallel) - 1,
      weightSlots: mostOpenSums(0, parallel.shards),
    });
    const listener = sharedListener(definition.onCompile);
    const made: { close(): void }[] = [memory];
    try {
      const programs = await allOrNone(
        [...values].map(([size, each]) => programsFor(definition, size, each, memory, listener)),
        closePrograms,
      );
      made.push(...programs.map((each) => ({ close: () => closePrograms(each) })));
      const { owners } = definition.rules;
      const parameters = owners && new GatheredParameters(model, memory.leaf.gradients, owners);
      const update = await compileUpdate(definition, first, memory, { listener, parameters });
      made.push(update);
      const sums = { leaf: sumMemoryOf(memory.leaf), slots: memory.slots.map(sumMemoryOf) };
      const reduction = await ShardReduction.compile(gpu, parallel, sums, { listener });
      made.push(reduction);
      const isWeighed = programs.some(({ weighing }) => weighing !== undefined);
      const weights = isWeighed
        ? await ShardReduction.compile(gpu, parallel, weightsOf(memory), { listener })
        : undefined;
      const bySize = new Map(programs.map((each) => [each.size, each]));
      return new ShardStep({ parallel, programs: bySize, update, memory, reduction, weights, parameters });
    } catch (error) {
      for (const each of made) each.close();
      throw error;
    }
  }

  /** Computes the shards of this rank and adds up those of all. Nothing of the run is changed yet. */
  async reduce(
    batch: Parts<ArrayBufferView>,
    size: number,
    scalars: StepScalars,
    message: Message,
  ): Promise<Message[]> {
    const { memory, reduction, weights, parallel } = this.#compiled;
    const shards = slicesOf(size, parallel.shards);
    const each = this.#own(shards).map((shard) => this.#shardOf(batch, size, shard, scalars));
    memory.begin(size, shards.length);
    if (weights !== undefined) {
      await weights.sum(shards.length, each, weigh, message);
    }
    return await reduction.sum(shards.length, each, (shard, index) => {
      memory.beginShard(index);
      shard.programs.step.run(shard.batch, shard.scalars);
    }, message);
  }

  /** Submits what changes the run, after {@link ShardStep.reduce}. */
  run(_batch: Parts<ArrayBufferView>, _size: number, scalars: StepScalars): void {
    this.#compiled.parameters?.begin();
    this.#compiled.update.run({}, scalars);
  }

  get gather(): (() => Promise<() => void>) | undefined {
    const { parameters } = this.#compiled;
    return parameters && (() => parameters.gather());
  }

  /** The values of each shard of a step on `batch`, also of those that other ranks compute. */
  parts(batch: Parts<ArrayBufferView>, size: number, scalars: StepScalars): StepPart[] {
    const { memory, parallel, weights } = this.#compiled;
    const shards = slicesOf(size, parallel.shards).map((shard) => this.#shardOf(batch, size, shard, scalars));
    memory.begin(size, shards.length);
    weights?.sumAlone(shards, weigh);
    return shards.map(({ programs: { values }, ...part }) => {
      return { values, ...part, parameters: (name) => memory.locate(name) };
    });
  }

  get gradientBytes(): number {
    return this.#compiled.memory.gradientBytes;
  }

  /** The programs of every size of shards, taken apart, and what changes the run. */
  explain(): ProgramExplanation[] {
    const { programs, update } = this.#compiled;
    return [
      ...[...programs.values()].flatMap(({ size, values, step, weighing }) => [
        { ...step.explain(forwardOf(values)), label: `train step of a shard of ${size} examples` },
        ...weighing === undefined ? [] : [weighing.explain(size)],
      ]),
      update.explain([]),
    ];
  }

  async explainTimed(
    batch: Parts<ArrayBufferView>,
    size: number,
    scalars: StepScalars,
    unchanged: readonly BufferRange[],
  ): Promise<ProgramExplanation> {
    const { memory, parallel } = this.#compiled;
    const shards = slicesOf(size, parallel.shards);
    const [first] = shards;
    if (first === undefined) throw new RangeError("A step in shards has at least one shard");
    const shard = this.#shardOf(batch, size, first, scalars);
    memory.begin(size, shards.length);
    const { step, values } = shard.programs;
    const ms = await step.time(shard.batch, shard.scalars, unchanged);
    return {
      ...step.explain(forwardOf(values), ms),
      label: `train step of a shard of ${first.size} examples`,
    };
  }

  close(): void {
    const { programs, update, memory, reduction, weights } = this.#compiled;
    for (const each of programs.values()) closePrograms(each);
    update.close();
    reduction.close();
    weights?.close();
    memory.close();
  }

  #own(shards: readonly Slice[]): Slice[] {
    const { from, to } = ownShards(this.#compiled.parallel);
    return shards.slice(from, to);
  }

  #shardOf(batch: Parts<ArrayBufferView>, size: number, shard: Slice, scalars: StepScalars): ShardOfBatch {
    const programs = this.#compiled.programs.get(shard.size);
    if (programs === undefined) throw new RangeError(`There is no program for ${shard.size} examples`);
    return {
      programs,
      batch: pieceOf(batch, size, shard),
      scalars: { ...scalars, firstExample: shard.first },
    };
  }
}

/** A shard, and what computes it. */
interface ShardOfBatch {
  readonly programs: ShardPrograms;
  readonly batch: Parts<ArrayBufferView>;
  readonly scalars: StepScalars;
}

function weigh({ programs: { weighing }, batch, scalars }: ShardOfBatch): void {
  weighing?.run(batch, scalars);
}

/** The values of a step on a shard, for every size that there is. */
function valuesOf(
  definition: ShardStepDefinition,
  sizes: readonly number[],
): ReadonlyMap<number, StepValues> {
  const { shards } = definition.parallel;
  const ofShards = new Set(sizes.flatMap((size) => slicesOf(size, shards).map((shard) => shard.size)));
  return new Map([...ofShards].map((size) => {
    const values = stepValues({ ...definition, size, whole: WHOLE_BATCH });
    const bufferUpdates = new Map([...values.bufferUpdates].map(([name, value]) => [name, shareOf(value)]));
    return [size, { ...values, bufferUpdates }];
  }));
}

/** What a shard adds to what a buffer becomes: its part of the mean, or of whole numbers what the first shard says. */
function shareOf(becoming: Value): Value {
  if (becoming.dtype === "f32") return div(becoming, parameter(PIECES, "f32", []));
  return where(equal(parameter(SHARD, "f32", []), 0), becoming, 0);
}

async function programsFor(
  definition: ShardStepDefinition,
  size: number,
  values: StepValues,
  memory: ShardMemory,
  listener: () => CompileListener | undefined,
): Promise<ShardPrograms> {
  const { gpu, variants } = definition.model.store;
  const { leaf, weights } = memory;
  const options = (label: string) => ({ variants, label, onCompile: listener() });
  const step: Program = {
    inputs: values.inputs,
    outputs: {},
    stores: [
      ...gradientStores(values, leaf.gradients),
      ...numberStores(new Map([["loss", values.loss], ...values.kept]), leaf.numbers),
      ...bufferStores(values.bufferUpdates, leaf.buffers),
    ],
    parameters: (name) => lossScaleAt(name, definition.state) ?? memory.locate(name),
  };
  const weighing = weighingOf(definition, size);
  const made = await allOrNone<Executable | WeighingProgram>([
    Executable.compile(gpu, step, options("train step of a shard")),
    ...weighing === undefined ? [] : [WeighingProgram.compile(gpu, {
      inputs: weighing.inputs,
      outputs: {},
      stores: numberStores(new Map(weighing.weights), weights.leaf),
      parameters: (name) => memory.locate(name),
    }, options("weights of a shard"))],
  ], (each) => each.close());
  const compiled = made.find((each) => each instanceof Executable);
  if (compiled === undefined) throw new RangeError("A step of a shard was not compiled");
  return { size, values, step: compiled, weighing: made.find((each) => each instanceof WeighingProgram) };
}

function numberStores(numbers: ReadonlyMap<string, Value>, into: TensorGroup): Store[] {
  return into.tensors.flatMap((tensor) => {
    const value = numbers.get(nameOf(tensor));
    return value === undefined ? [] : [{ value, into: tensor.range }];
  });
}

async function compileUpdate(
  definition: ShardStepDefinition,
  values: StepValues,
  memory: ShardMemory,
  { listener, parameters }: Pick<CompiledShards, "parameters"> & {
    readonly listener: () => CompileListener | undefined;
  },
): Promise<Executable> {
  const { model, state } = definition;
  const { gpu, variants } = model.store;
  const { numbers, buffers } = memory.sums;
  const updates = finishingUpdates({
    ...definition,
    kept: [...values.kept.keys()],
    numberOf: (name) => rangeIn(numbers, name),
    buffers: updatedBuffers(values.bufferUpdates, buffers),
    parameterOf: parameters && ((name) => parameters.of(name)),
  });
  const program: Program = {
    inputs: [],
    outputs: {},
    updates,
    parameters: (name) => lossScaleAt(name, state) ?? model.rangeOf(name),
  };
  return await Executable.compile(gpu, program, { variants, label: "train update", onCompile: listener() });
}

function weightsOf({ weights: { leaf, slots } }: ShardMemory) {
  return { leaf: rangesOf(leaf.tensors), slots: slots.map(({ tensors }) => rangesOf(tensors)) };
}

function closePrograms({ step, weighing }: ShardPrograms): void {
  weighing?.close();
  step.close();
}
