import type { Parts } from "../../base/parts/named.ts";
import type { GpuDevice } from "../../gpu/gpu_device.ts";
import { type CompileOptions, Executable } from "../../graph/executable.ts";
import type { ProgramExplanation } from "../../graph/explain_program.ts";
import type { Program } from "../../graph/program.ts";
import { reachable, type Value } from "../../graph/value.ts";
import type { StepScalars } from "../../kernels/step_scalars.ts";
import type { Model } from "../../nn/model.ts";
import type { BatchSpec } from "../../data/batch_source.ts";
import { batchTerms, labelsOf, sumOfWeights } from "../measure/batch_loss.ts";
import type { AnyLoss } from "../measure/measures.ts";
import { wholeWeight } from "./batch_pieces.ts";
import { batchValues, type Objective } from "./step_values.ts";

/** What some examples of a batch weigh, before it is known what all of them do. */
export interface Weighing {
  /** Those parts of a batch that the weights depend on. */
  readonly inputs: readonly Value[];
  /** The sum of the weights of each term of the loss that has some, by its name. */
  readonly weights: readonly (readonly [name: string, sum: Value])[];
}

/** How `size` examples of a batch are weighed; `undefined` where each weighs 1. */
export function weighingOf(
  { model, data, loss }: Pick<Objective, "loss"> & { readonly model: Model; readonly data: BatchSpec },
  size: number,
): Weighing | undefined {
  const trace = model.trace(size, true);
  const labels = labelsOf(data, size);
  const weights = batchTerms(loss as AnyLoss, trace.output, labels, size).flatMap((term, index) => {
    const sum = sumOfWeights(term);
    return typeof sum === "number" ? [] : [[wholeWeight(index), sum] as const];
  });
  if (weights.length === 0) return undefined;
  const needed = new Set(reachable(weights.map(([, sum]) => sum)));
  return { inputs: batchValues(trace.input, labels).filter((input) => needed.has(input)), weights };
}

/** A compiled program that weighs some examples of a batch. */
export class WeighingProgram {
  readonly #executable: Executable;
  /** The parts of a batch that it reads. */
  readonly #read: ReadonlySet<string>;

  private constructor(executable: Executable, { inputs }: Program) {
    this.#executable = executable;
    this.#read = new Set(inputs.map(({ attributes: { name } }) => String(name)));
  }

  static async compile(gpu: GpuDevice, program: Program, options: CompileOptions): Promise<WeighingProgram> {
    return new WeighingProgram(await Executable.compile(gpu, program, options), program);
  }

  /** Weighs the examples of `batch`. Waits for nothing. */
  run(batch: Parts<ArrayBufferView>, scalars: StepScalars): void {
    const read = Object.entries(batch).filter(([part]) => this.#read.has(part));
    this.#executable.run(Object.fromEntries(read), scalars);
  }

  /** Taken apart, as that of `size` examples. */
  explain(size: number): ProgramExplanation {
    return { ...this.#executable.explain(), label: `weights of ${size} examples` };
  }

  close(): void {
    this.#executable.close();
  }
}
