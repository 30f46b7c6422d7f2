import { Executable } from "../../graph/executable.ts";
import { indexLimits, type InputLimit } from "../../graph/index_limits.ts";
import type { NonFinitePolicy } from "../../kernels/optimizer/step_verdict.ts";
import { POLICY_NUMBERS } from "../../kernels/optimizer/step_verdict.ts";
import type { Optimizer } from "../../nn/optim/optimizer.ts";
import type { Batch } from "../../data/batch_source.ts";
import type { Seed } from "../../data/seed.ts";
import { StepMemory, stepProgram, type StepState, updatedRanges } from "./step_program.ts";
import { type StepDefinition, type StepValues, stepValues } from "./step_values.ts";

/** What one training step is made of. */
export interface TrainStepDefinition extends StepDefinition {
  readonly optimizer: Optimizer;
  readonly state: StepState;
}

/** Which step, and how. */
export interface StepRequest {
  /** From 0; a batch that was skipped counts. */
  readonly step: number;
  readonly seed: Seed;
  readonly nonFinite: NonFinitePolicy;
}

/**
 * One training step as one submit: forward, backward, a look at every gradient, and the optimiser over ranges of
 * slabs. A step whose loss or gradients are not finite changes no weight and no moment; see `stepVerdict` for what it
 * does change.
 */
export class TrainStep {
  readonly executable: Executable;
  /** Names of parameters that the loss does not reach. They keep their bits. */
  readonly unreached: readonly string[];
  /** What a batch has to hold, by the name of its part. */
  readonly indexLimits: ReadonlyMap<string, InputLimit>;
  readonly #memory: StepMemory;
  readonly #optimizer: Optimizer;

  private constructor(
    executable: Executable,
    memory: StepMemory,
    optimizer: Optimizer,
    { loss, unreached }: StepValues,
  ) {
    this.executable = executable;
    this.unreached = unreached;
    this.indexLimits = indexLimits([loss]);
    this.#memory = memory;
    this.#optimizer = optimizer;
  }

  /**
   * Throws what the loss throws for a model that does not fit, and a `TypeError` when the loss is not one f32
   * an example, or reaches no parameter.
   */
  static async compile(definition: TrainStepDefinition): Promise<TrainStep> {
    const { model, optimizer, state } = definition;
    const { gpu, variants } = model.store;
    const values = stepValues(definition);
    const ranges = updatedRanges(model, values);
    const memory = new StepMemory(gpu, model.group, ranges);
    try {
      const program = stepProgram({ model, optimizer, values, ranges, memory, state });
      const executable = await Executable.compile(gpu, program, { variants, label: "train step" });
      return new TrainStep(executable, memory, optimizer, values);
    } catch (error) {
      memory.close();
      throw error;
    }
  }

  /** Submits a step on `batch`. Waits for nothing. */
  run(batch: Batch, { step, seed, nonFinite }: StepRequest): void {
    const policy = POLICY_NUMBERS[nonFinite];
    const scalars = { seed, step, policy, values: this.#optimizer.scalars(step) };
    this.executable.run({ inputs: batch.inputs, labels: batch.labels }, scalars);
  }

  /** Frees the workspace and the gradients. */
  close(): void {
    this.executable.close();
    this.#memory.close();
  }
}
