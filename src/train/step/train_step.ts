import { Executable } from "../../graph/executable.ts";
import { indexLimits } from "../../graph/index_limits.ts";
import type { NonFinitePolicy } from "../../kernels/optimizer/step_verdict.ts";
import { POLICY_NUMBERS } from "../../kernels/optimizer/step_verdict.ts";
import type { Optimizer } from "../../nn/optim/optimizer.ts";
import type { Batch } from "../../data/batch_source.ts";
import type { Seed } from "../../data/seed.ts";
import { type InputRanges, inputRanges } from "../measure/index_check.ts";
import { piecesOf } from "./batch_pieces.ts";
import type { ParameterRules } from "./parameter_rules.ts";
import { PieceStep } from "./piece_step.ts";
import { StepMemory, stepProgram, type StepState } from "./step_program.ts";
import { type StepDefinition, type StepValues, stepValues } from "./step_values.ts";

/** What one training step is made of. */
export interface TrainStepDefinition extends Omit<StepDefinition, "size"> {
  readonly optimizer: Optimizer;
  readonly rules: ParameterRules;
  readonly state: StepState;
  /** How many examples batches have: a smaller last one is a program of its own. */
  readonly sizes: readonly number[];
  /** The most examples that are computed at once. Default: all of a batch. */
  readonly microBatchSize?: number | undefined;
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

interface CompiledStep {
  readonly programs: ReadonlyMap<number, Executable>;
  readonly pieces: PieceStep | undefined;
  readonly memory: StepMemory;
}

/**
 * One training step as one submit: forward, backward, a look at every gradient, and the optimiser over ranges of
 * slabs. A step whose loss or gradients are not finite changes no weight and no moment; see `stepVerdict` for what it
 * does change.
 */
export class TrainStep {
  /** Names of parameters that the loss does not reach. They keep their bits. */
  readonly unreached: readonly string[];
  /** What a batch has to hold, by the name of its part. */
  readonly ranges: InputRanges;
  /** By the size of the batch, where it is computed at once. */
  readonly #programs: ReadonlyMap<number, Executable>;
  /** For all others. */
  readonly #pieces: PieceStep | undefined;
  readonly #memory: StepMemory;
  readonly #optimizer: Optimizer;
  readonly #microBatchSize: number | undefined;

  private constructor(
    { programs, pieces, memory }: CompiledStep,
    { optimizer, microBatchSize }: Pick<TrainStepDefinition, "optimizer" | "microBatchSize">,
    { loss, unreached, labelRanges }: StepValues,
  ) {
    this.unreached = unreached;
    this.ranges = inputRanges(indexLimits([loss]), labelRanges);
    this.#programs = programs;
    this.#pieces = pieces;
    this.#memory = memory;
    this.#optimizer = optimizer;
    this.#microBatchSize = microBatchSize;
  }

  /**
   * Throws what the loss throws for a model that does not fit, and a `TypeError` when the loss is not one f32
   * an example, or reaches no parameter.
   */
  static async compile(definition: TrainStepDefinition): Promise<TrainStep> {
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
    const programs = new Map<number, Executable>();
    try {
      for (const each of whole) {
        const ofSize = each === size ? values : stepValues({ ...definition, size: each });
        const program = stepProgram({ ...definition, values: ofSize, memory });
        programs.set(each, await Executable.compile(gpu, program, { variants, label: "train step" }));
      }
      const pieces = pieceSizes.size === 0
        ? undefined
        : await PieceStep.compile({ ...definition, memory }, [...pieceSizes]);
      return new TrainStep({ programs, pieces, memory }, definition, values);
    } catch (error) {
      for (const executable of programs.values()) executable.close();
      memory.close();
      throw error;
    }
  }

  /** Submits a step on `batch`. Waits for nothing. */
  run(batch: Batch, { step, seed, nonFinite, size }: StepRequest): void {
    const policy = POLICY_NUMBERS[nonFinite];
    const scalars = { seed, step, policy, values: this.#optimizer.scalars(step) };
    const pieces = piecesOf(size, this.#microBatchSize);
    if (pieces.length > 1) return this.#pieces?.run(batch, size, pieces, scalars);
    const program = this.#programs.get(size);
    if (program === undefined) throw new RangeError(`There is no program for a batch of ${size} examples`);
    program.run({ inputs: batch.inputs, labels: batch.labels }, scalars);
  }

  /** Frees the workspaces and the gradients. */
  close(): void {
    for (const executable of this.#programs.values()) executable.close();
    this.#pieces?.close();
    this.#memory.close();
  }
}
