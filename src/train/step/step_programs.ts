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
import type { Seed } from "../../data/seed.ts";
import type { StoredTensor } from "../../tensor/tensor_group.ts";
import { type InputRanges, inputRanges } from "../measure/index_check.ts";
import { piecesOf } from "./batch_pieces.ts";
import { lossScaleAt } from "./loss_scale.ts";
import type { ParameterRules } from "./parameter_rules.ts";
import { PieceStep } from "./piece_step.ts";
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
  readonly pieces: PieceStep | undefined;
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
  readonly #pieces: PieceStep | undefined;
  readonly #memory: StepMemory;
  readonly #model: Model;
  readonly #state: StepState;
  readonly #optimizer: Optimizer;
  readonly #microBatchSize: number | undefined;
  readonly #rateScale: () => Schedule | undefined;

  private constructor(
    { programs, pieces, memory }: CompiledStep,
    { model, optimizer, microBatchSize, state, rateScale = () => undefined }: StepProgramsDefinition,
    { inputs, loss, unreached, labelRanges }: StepValues,
  ) {
    this.unreached = unreached;
    const parts = inputs.map(({ attributes: { name } }) => String(name));
    this.ranges = inputRanges(indexLimits([loss]), labelRanges, parts);
    this.#programs = programs;
    this.#pieces = pieces;
    this.#memory = memory;
    this.#model = model;
    this.#state = state;
    this.#optimizer = optimizer;
    this.#microBatchSize = microBatchSize;
    this.#rateScale = rateScale;
  }

  /**
   * Throws what the loss throws for a model that does not fit, and a `TypeError` when the loss is not one f32
   * an example, or reaches no parameter.
   */
  static async compile(definition: StepProgramsDefinition): Promise<StepPrograms> {
    const { model, sizes, microBatchSize } = definition;
    const { gpu, variants } = model.store;
    const cuts = sizes.map((size) => piecesOf(size, microBatchSize));
    const whole = sizes.filter((_, index) => cuts[index]?.length === 1);
    const pieceSizes = new Set(
      cuts.flatMap((pieces) => pieces.length === 1 ? [] : pieces.map(({ size }) => size)),
    );
    const [size] = [...whole, ...pieceSizes];
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
    const compilePieces = (): Promise<PieceStep> =>
      PieceStep.compile({ ...definition, memory, onCompile: listener() }, [...pieceSizes]);
    try {
      const made = await allOrNone<WholeProgram | PieceStep>(
        [...whole.map(compileWhole), ...pieceSizes.size === 0 ? [] : [compilePieces()]],
        (each) => (each instanceof PieceStep ? each : each.executable).close(),
      );
      const pieces = made.find((each) => each instanceof PieceStep);
      const programs = made.flatMap((each) => each instanceof PieceStep ? [] : [[each.size, each] as const]);
      return new StepPrograms({ programs: new Map(programs), pieces, memory }, definition, values);
    } catch (error) {
      memory.close();
      throw error;
    }
  }

  /** Submits a step on `batch`. Waits for nothing. */
  run(batch: Parts<ArrayBufferView>, { nonFinite, ...request }: StepRequest): void {
    const { size } = request;
    const scalars = { ...this.#scalarsOf(request), policy: POLICY_NUMBERS[nonFinite] };
    const pieces = piecesOf(size, this.#microBatchSize);
    if (pieces.length > 1) return this.#pieces?.run(batch, size, pieces, scalars);
    this.#programFor(size).executable.run(batch, scalars);
  }

  /** The values of the step on `batch`, a piece after the other, for programs that compute some of them. */
  partsOf(batch: Parts<ArrayBufferView>, request: Omit<StepRequest, "nonFinite">): StepPart[] {
    const { size } = request;
    const scalars = this.#scalarsOf(request);
    const pieces = piecesOf(size, this.#microBatchSize);
    const located = (locate: (name: string) => BufferRange) => (name: string): BufferRange =>
      lossScaleAt(name, this.#state) ?? locate(name);
    if (pieces.length > 1) {
      const parts = this.#pieces?.parts(batch, size, pieces, scalars) ?? [];
      return parts.map((part) => ({ ...part, parameters: located(part.parameters) }));
    }
    const parameters = located((name) => this.#model.rangeOf(name));
    return [{ values: this.#programFor(size).values, batch, scalars, parameters }];
  }

  /** Bytes of the gradients, and of what their check leaves. */
  get gradientBytes(): number {
    const { gradients, partials, verdict } = this.#memory;
    return gradients.byteLength + partials.size + verdict.size + (this.#pieces?.gradientBytes ?? 0);
  }

  /** Every program of the step, that of the usual batch first, taken apart. */
  explain(): ProgramExplanation[] {
    const whole = [...this.#programs.values()].map((program) => explainWhole(program));
    return [...whole, ...this.#pieces?.explain() ?? []];
  }

  /**
   * The program that a step on `batch` runs, taken apart, with the time of each of its kernels on the GPU. Runs the
   * step, or the first of its pieces.
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
    const pieces = piecesOf(size, this.#microBatchSize);
    if (this.#pieces !== undefined && pieces.length > 1) {
      return await this.#pieces.explainTimed(batch, size, pieces, scalars, unchanged);
    }
    const program = this.#programFor(size);
    return explainWhole(program, await program.executable.time(batch, scalars, unchanged));
  }

  #scalarsOf({ seed, step }: Pick<StepRequest, "seed" | "step">): StepScalars {
    return { seed, step, values: this.#optimizer.scalars(step, this.#rateScale()) };
  }

  #programFor(size: number): WholeProgram {
    const program = this.#programs.get(size);
    if (program !== undefined) return program;
    throw new RangeError(`There is no program for a batch of ${size} examples`);
  }

  /** Where the gradients of the last step are, by the names of their parameters: before they are clipped. */
  get gradients(): ReadonlyMap<string, StoredTensor> {
    return new Map(this.#memory.gradients.tensors.map((tensor) => [nameOf(tensor), tensor]));
  }

  /** Frees the workspaces and the gradients. */
  close(): void {
    for (const { executable } of this.#programs.values()) executable.close();
    this.#pieces?.close();
    this.#memory.close();
  }
}

function explainWhole(
  { size, values, executable }: WholeProgram,
  ms?: readonly number[],
): ProgramExplanation {
  return { ...executable.explain(forwardOf(values), ms), label: `train step of ${size} examples` };
}
