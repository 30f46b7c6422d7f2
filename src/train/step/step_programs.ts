import { allOrNone } from "./all_or_none.ts";
import { type CompileListener, sharedListener } from "../../gpu/compile_pipelines.ts";
import type { BufferRange } from "../../gpu/buffer_range.ts";
import type { StepScalars } from "../../kernels/step_scalars.ts";
import type { Model } from "../../nn/model.ts";
import { Executable } from "../../graph/executable.ts";
import type { ProgramExplanation } from "../../graph/explain_program.ts";
import { indexLimits } from "../../graph/index_limits.ts";
import { type NonFinitePolicy, POLICY_NUMBERS } from "../../kernels/optimizer/step_verdict.ts";
import type { Optimizer } from "../../nn/optim/optimizer.ts";
import type { Schedule } from "../../nn/optim/schedules/schedule.ts";
import type { Parts } from "../../base/parts/named.ts";
import type { DataParallelOptions } from "../../parallel/data_parallel_options.ts";
import type { Seed } from "../../data/seed.ts";
import type { StoredTensor } from "../../tensor/tensor_group.ts";
import { type InputRanges, inputRanges } from "../measure/index_check.ts";
import { lossScaleAt } from "./loss_scale.ts";
import type { ParameterRules } from "./parameter_rules.ts";
import { PieceStep } from "./piece_step.ts";
import type { StepInParts } from "./step_in_parts.ts";
import { StepMemory, stepProgram, type StepState } from "./step_program.ts";
import { forwardOf, type StepDefinition, type StepPart, type StepValues, stepValues } from "./step_values.ts";
import { nameOf } from "./update_ranges.ts";

/** What the programs of a training step are made of. */
export interface StepProgramsDefinition extends Omit<StepDefinition, "size"> {
  readonly optimizer: Optimizer;
  readonly rules: ParameterRules;
  readonly state: StepState;
  /** How many examples batches have: a smaller last one is a program of its own. */
  readonly sizes: readonly number[];
  /** By what learning rates are multiplied, at the time of a step. Default: nothing. */
  readonly rateScale?: (() => Schedule | undefined) | undefined;
  /** The most examples that are computed at once. Default: all of a batch. */
  readonly microBatchSize?: number | undefined;
  /** How batches are shared out. Default: this process computes them whole. */
  readonly parallel?: DataParallelOptions | undefined;
  /** Told of all kernels of all programs. */
  readonly onCompile?: CompileListener | undefined;
}

/** Which step, and how. */
export interface StepRequest {
  /** From 0; a batch that was skipped counts. */
  readonly step: number;
  readonly seed: Seed;
  readonly nonFinite: NonFinitePolicy;
  /** How many examples the batch has. */
  readonly size: number;
}

/** The program of batches of one size that are computed at once. */
interface WholeProgram {
  readonly size: number;
  readonly values: StepValues;
  readonly executable: Executable;
}

interface CompiledStep {
  readonly programs: ReadonlyMap<number, WholeProgram>;
  /** For batches that are computed one part after the other. */
  readonly parts: StepInParts | undefined;
  readonly memory: StepMemory;
}

/**
 * The programs of a training step, which is one submit: forward, backward, a look at every gradient, and the optimiser
 * over ranges of slabs. A step whose loss or gradients are not finite changes no weight and no moment; see
 * `stepVerdict` for what it does change.
 */
export class StepPrograms {
  /** Names of parameters that the loss does not reach. They keep their bits. */
  readonly unreached: readonly string[];
  /** What a batch has to hold, by the name of its part. */
  readonly ranges: InputRanges;
  /** By the size of the batch, where it is computed at once. */
  readonly #programs: ReadonlyMap<number, WholeProgram>;
  /** For all others. */
  readonly #parts: StepInParts | undefined;
  readonly #memory: StepMemory;
  readonly #model: Model;
  readonly #state: StepState;
  readonly #optimizer: Optimizer;
  readonly #rateScale: () => Schedule | undefined;

  private constructor(
    { programs, parts, memory }: CompiledStep,
    { model, optimizer, state, rateScale = () => undefined }: StepProgramsDefinition,
    { inputs, loss, unreached, labelRanges }: StepValues,
  ) {
    this.unreached = unreached;
    const names = inputs.map(({ attributes: { name } }) => String(name));
    this.ranges = inputRanges(indexLimits([loss]), labelRanges, names);
    this.#programs = programs;
    this.#parts = parts;
    this.#memory = memory;
    this.#model = model;
    this.#state = state;
    this.#optimizer = optimizer;
    this.#rateScale = rateScale;
  }

  /**
   * Throws what the loss throws for a model that does not fit, and a `TypeError` when the loss is not one f32
   * an example, or reaches no parameter.
   */
  static async compile(definition: StepProgramsDefinition): Promise<StepPrograms> {
    const { model, sizes, microBatchSize = Infinity, parallel } = definition;
    const { gpu, variants } = model.store;
    const isWhole = (size: number): boolean => parallel === undefined && size <= microBatchSize;
    const [whole, inParts] = [sizes.filter(isWhole), sizes.filter((size) => !isWhole(size))];
    const [size] = [...whole, ...inParts];
    if (size === undefined) throw new RangeError("A step has batches of at least one size");
    const values = stepValues({ ...definition, size });
    const memory = new StepMemory(model, values);
    const listener = sharedListener(definition.onCompile);
    const compileWhole = async (each: number): Promise<WholeProgram> => {
      const ofSize = each === size ? values : stepValues({ ...definition, size: each });
      const program = stepProgram({ ...definition, values: ofSize, memory });
      const options = { variants, label: "train step", onCompile: listener() };
      return { size: each, values: ofSize, executable: await Executable.compile(gpu, program, options) };
    };
    const compileParts = (): Promise<StepInParts> =>
      compiledParts({ ...definition, memory, onCompile: listener() }, inParts);
    try {
      const made = await allOrNone<WholeProgram | StepInParts>(
        [...whole.map(compileWhole), ...inParts.length === 0 ? [] : [compileParts()]],
        (each) => ("executable" in each ? each.executable : each).close(),
      );
      const programs = made.flatMap((each) => "executable" in each ? [[each.size, each] as const] : []);
      const parts = made.find((each): each is StepInParts => !("executable" in each));
      return new StepPrograms({ programs: new Map(programs), parts, memory }, definition, values);
    } catch (error) {
      memory.close();
      throw error;
    }
  }

  /**
   * Adds up what all that compute parts of `batch` have of it, before {@link StepPrograms.run} where a batch is shared
   * out. Changes nothing of the run.
   *
   * @param message What this process tells the others, which tell as much each.
   * @returns What each of them says, this one included.
   */
  async reduce(
    batch: Parts<ArrayBufferView>,
    request: Omit<StepRequest, "nonFinite">,
    message: Uint8Array,
  ): Promise<Uint8Array[]> {
    return await this.#parts?.reduce?.(batch, request.size, this.#scalarsOf(request), message) ?? [message];
  }

  /** Submits a step on `batch`. Waits for nothing. */
  run(batch: Parts<ArrayBufferView>, { nonFinite, ...request }: StepRequest): void {
    const { size } = request;
    const scalars = { ...this.#scalarsOf(request), policy: POLICY_NUMBERS[nonFinite] };
    const whole = this.#programs.get(size);
    if (whole === undefined) this.#inParts(size).run(batch, size, scalars);
    else whole.executable.run(batch, scalars);
  }

  /** What follows {@link StepPrograms.run} where each rank updates some parameters; see {@link StepInParts.gather}. */
  get gather(): (() => Promise<() => void>) | undefined {
    return this.#parts?.gather;
  }

  /** The values of the step on `batch`, a piece after the other, for programs that compute some of them. */
  partsOf(batch: Parts<ArrayBufferView>, request: Omit<StepRequest, "nonFinite">): StepPart[] {
    const { size } = request;
    const scalars = this.#scalarsOf(request);
    const whole = this.#programs.get(size);
    const located = (locate: (name: string) => BufferRange) => (name: string): BufferRange =>
      lossScaleAt(name, this.#state) ?? locate(name);
    if (whole === undefined) {
      const parts = this.#inParts(size).parts(batch, size, scalars);
      return parts.map((part) => ({ ...part, parameters: located(part.parameters) }));
    }
    const parameters = located((name) => this.#model.rangeOf(name));
    return [{ values: whole.values, batch, scalars, parameters }];
  }

  /** Bytes of the gradients, and of what their check leaves. */
  get gradientBytes(): number {
    const { gradients, partials, verdict } = this.#memory;
    return gradients.byteLength + partials.size + verdict.size + (this.#parts?.gradientBytes ?? 0);
  }

  /** Every program of the step, that of the usual batch first, taken apart. */
  explain(): ProgramExplanation[] {
    const whole = [...this.#programs.values()].map((program) => explainWhole(program));
    return [...whole, ...this.#parts?.explain() ?? []];
  }

  /**
   * The program that a step on `batch` runs, taken apart, with the time of each of its kernels on the GPU. Runs the
   * step, or the first of its parts.
   *
   * @param unchanged What gets its bytes back: the state of the run.
   */
  async explainTimed(
    batch: Parts<ArrayBufferView>,
    { nonFinite, ...request }: StepRequest,
    unchanged: readonly BufferRange[],
  ): Promise<ProgramExplanation> {
    const { size } = request;
    const scalars = { ...this.#scalarsOf(request), policy: POLICY_NUMBERS[nonFinite] };
    const whole = this.#programs.get(size);
    if (whole === undefined) return await this.#inParts(size).explainTimed(batch, size, scalars, unchanged);
    return explainWhole(whole, await whole.executable.time(batch, scalars, unchanged));
  }

  #scalarsOf({ seed, step }: Pick<StepRequest, "seed" | "step">): StepScalars {
    return { seed, step, values: this.#optimizer.scalars(step, this.#rateScale()) };
  }

  #inParts(size: number): StepInParts {
    if (this.#parts !== undefined) return this.#parts;
    throw new RangeError(`There is no program for a batch of ${size} examples`);
  }

  /** Where the gradients of the last step are, by the names of their parameters: before they are clipped. */
  get gradients(): ReadonlyMap<string, StoredTensor> {
    return new Map(this.#memory.gradients.tensors.map((tensor) => [nameOf(tensor), tensor]));
  }

  /** Frees the workspaces and the gradients. */
  close(): void {
    for (const { executable } of this.#programs.values()) executable.close();
    this.#parts?.close();
    this.#memory.close();
  }
}

function explainWhole(
  { size, values, executable }: WholeProgram,
  ms?: readonly number[],
): ProgramExplanation {
  return { ...executable.explain(forwardOf(values), ms), label: `train step of ${size} examples` };
}

/** What computes batches of `sizes` examples part by part. */
async function compiledParts(
  { parallel, microBatchSize = Infinity, ...definition }: StepProgramsDefinition & {
    readonly memory: StepMemory;
  },
  sizes: readonly number[],
): Promise<StepInParts> {
  if (parallel === undefined) return await PieceStep.compile({ ...definition, microBatchSize }, sizes);
  const { ShardStep } = await import("./shard_step.ts");
  return await ShardStep.compile({ ...definition, parallel }, sizes);
}
