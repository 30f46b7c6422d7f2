import { Executable } from "../../graph/executable.ts";
import { indexLimits } from "../../graph/index_limits.ts";
import type { NonFinitePolicy } from "../../kernels/optimizer/step_verdict.ts";
import { POLICY_NUMBERS } from "../../kernels/optimizer/step_verdict.ts";
import type { Optimizer } from "../../nn/optim/optimizer.ts";
import type { Batch } from "../../data/batch_source.ts";
import type { Seed } from "../../data/seed.ts";
import { type InputRanges, inputRanges } from "../measure/index_check.ts";
import type { ParameterRules } from "./parameter_rules.ts";
import { StepMemory, stepProgram, type StepState } from "./step_program.ts";
import { type StepDefinition, type StepValues, stepValues } from "./step_values.ts";

/** What one training step is made of. */
export interface TrainStepDefinition extends Omit<StepDefinition, "size"> {
  readonly optimizer: Optimizer;
  readonly rules: ParameterRules;
  readonly state: StepState;
  /** How many examples batches have: a smaller last one is a program of its own. */
  readonly sizes: readonly number[];
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
  readonly #programs: ReadonlyMap<number, Executable>;
  readonly #memory: StepMemory;
  readonly #optimizer: Optimizer;

  private constructor(
    programs: ReadonlyMap<number, Executable>,
    memory: StepMemory,
    optimizer: Optimizer,
    { loss, unreached, labelRanges }: StepValues,
  ) {
    this.unreached = unreached;
    this.ranges = inputRanges(indexLimits([loss]), labelRanges);
    this.#programs = programs;
    this.#memory = memory;
    this.#optimizer = optimizer;
  }

  /**
   * Throws what the loss throws for a model that does not fit, and a `TypeError` when the loss is not one f32
   * an example, or reaches no parameter.
   */
  static async compile({ sizes, ...definition }: TrainStepDefinition): Promise<TrainStep> {
    const { model, optimizer, clipGradients, rules, state } = definition;
    const { gpu, variants } = model.store;
    const [values, ...others] = sizes.map((size) => stepValues({ ...definition, size }));
    if (values === undefined) throw new RangeError("A step has batches of at least one size");
    const memory = new StepMemory(model, values);
    const programs = new Map<number, Executable>();
    try {
      for (const [index, each] of [values, ...others].entries()) {
        const program = stepProgram({ model, optimizer, clipGradients, rules, values: each, memory, state });
        const executable = await Executable.compile(gpu, program, { variants, label: "train step" });
        programs.set(sizes[index] ?? 0, executable);
      }
      return new TrainStep(programs, memory, optimizer, values);
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
    const program = this.#programs.get(size);
    if (program === undefined) throw new RangeError(`There is no program for a batch of ${size} examples`);
    program.run({ inputs: batch.inputs, labels: batch.labels }, scalars);
  }

  /** Frees the workspaces and the gradients. */
  close(): void {
    for (const executable of this.#programs.values()) executable.close();
    this.#memory.close();
  }
}
