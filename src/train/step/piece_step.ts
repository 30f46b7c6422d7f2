import type { Batch } from "../../data/batch_source.ts";
import type { BufferRange } from "../../gpu/buffer_range.ts";
import { Executable } from "../../graph/executable.ts";
import type { Program, Update, UpdateBinding } from "../../graph/program.ts";
import { reachable } from "../../graph/value.ts";
import { accumulate } from "../../kernels/optimizer/accumulate.ts";
import type { StepScalars } from "../../kernels/step_scalars.ts";
import { type SlabRange, slabRanges } from "../../tensor/slab_ranges.ts";
import { batchTerms, labelsOf, sumOfWeights } from "../measure/batch_loss.ts";
import { type BatchPiece, PieceMemory, pieceOf, WHOLE_BATCH, wholeWeight } from "./batch_pieces.ts";
import { copyBuffers, updatedBuffers } from "./buffer_updates.ts";
import { type StepMemory, stepProgram, type StepProgramParts } from "./step_program.ts";
import { type StepDefinition, type StepValues, stepValues } from "./step_values.ts";

/** What is compiled for pieces of one size. */
interface PiecePrograms {
  /** Adds up the weights of the examples; none where each weighs 1. */
  readonly weighing: Executable | undefined;
  readonly weighed: readonly ("inputs" | "labels")[];
  /** Forward, backward and adding up; then, after the last piece, what every step does with its gradients. */
  readonly step: Executable;
  /** How many of its updates add up. */
  readonly additions: number;
}

/** What a step in pieces is made of. */
export interface PieceStepDefinition
  extends Omit<StepDefinition, "size" | "rules">, Omit<StepProgramParts, "values" | "pieces"> {
  readonly memory: StepMemory;
}

/**
 * A training step that computes its batch piece by piece, in a submit each, in one tick. Gradients, the loss and what
 * else is kept are sums over all pieces, divided by the weights of the whole batch: the step of the whole batch, but
 * for rounding.
 */
export class PieceStep {
  readonly #programs: ReadonlyMap<number, PiecePrograms>;
  readonly #memory: PieceMemory;

  private constructor(programs: ReadonlyMap<number, PiecePrograms>, memory: PieceMemory) {
    this.#programs = programs;
    this.#memory = memory;
  }

  /** @param sizes Of pieces. */
  static async compile(definition: PieceStepDefinition, sizes: readonly number[]): Promise<PieceStep> {
    const { model, memory: shared } = definition;
    const values = sizes.map((size) =>
      [size, stepValues({ ...definition, size, whole: WHOLE_BATCH })] as const
    );
    const [first] = values;
    if (first === undefined) throw new RangeError("A step in pieces has pieces of at least one size");
    const numbers = ["loss", ...first[1].kept.keys()];
    const memory = new PieceMemory(model, shared.gradients, numbers, first[1].labelRanges.length);
    const programs = new Map<number, PiecePrograms>();
    try {
      for (const [size, each] of values) {
        programs.set(size, await programsFor(definition, size, each, memory));
      }
      return new PieceStep(programs, memory);
    } catch (error) {
      closeAll(programs.values(), memory);
      throw error;
    }
  }

  /** Submits a step on `batch`, of `size` examples. */
  run(batch: Batch, size: number, pieces: readonly BatchPiece[], scalars: StepScalars): void {
    this.#memory.begin(size, pieces.length);
    const each = pieces.map((piece) => {
      const programs = this.#programs.get(piece.size);
      if (programs === undefined) throw new RangeError(`There is no program for ${piece.size} examples`);
      const { inputs, labels } = pieceOf(batch, size, piece);
      return { programs, inputs, labels, scalars: { ...scalars, firstExample: piece.first } };
    });
    for (const { programs: { weighing, weighed }, scalars, ...given } of each) {
      weighing?.run(Object.fromEntries(weighed.map((name) => [name, given[name]])), scalars);
    }
    each.forEach(({ programs: { step, additions }, scalars, inputs, labels }, index) => {
      step.run({ inputs, labels }, scalars, [], index < pieces.length - 1 ? additions : undefined);
    });
  }

  close(): void {
    closeAll(this.#programs.values(), this.#memory);
  }
}

function closeAll(programs: Iterable<PiecePrograms>, memory: PieceMemory): void {
  for (const { weighing, step } of programs) {
    weighing?.close();
    step.close();
  }
  memory.close();
}

async function programsFor(
  definition: PieceStepDefinition,
  size: number,
  values: StepValues,
  memory: PieceMemory,
): Promise<PiecePrograms> {
  const { gpu, variants } = definition.model.store;
  const additions = additionsOf(definition.memory, memory, values);
  const program = stepProgram({ ...definition, values, pieces: { memory, additions } });
  const weighing = weighingProgram(definition, size, memory);
  const compiled = weighing &&
    await Executable.compile(gpu, weighing, { variants, label: "weights of a piece" });
  try {
    return {
      weighing: compiled,
      weighed: (weighing?.inputs ?? []).map(({ attributes: { name } }) =>
        name === "labels" ? "labels" : "inputs"
      ),
      step: await Executable.compile(gpu, program, { variants, label: "train step of a piece" }),
      additions: additions.length,
    };
  } catch (error) {
    compiled?.close();
    throw error;
  }
}

/** Adds gradients and numbers of a piece to those of the pieces before, and leaves its buffers to the next. */
function additionsOf(
  { gradients, nextBuffers }: StepMemory,
  memory: PieceMemory,
  values: StepValues,
): Update[] {
  const sums = slabRanges(gradients.tensors);
  const ofGradients = slabRanges(memory.gradients.tensors).flatMap((piece, index): Update[] => {
    const sum = sums[index];
    return sum === undefined ? [] : [addition(rangeOf(piece), rangeOf(sum))];
  });
  return [
    ...ofGradients,
    ...["loss", ...values.kept.keys()].map((name) => addition({ output: name }, memory.sumOf(name))),
    ...copyBuffers(updatedBuffers(values.bufferUpdates, nextBuffers), (name) => memory.bufferOf(name)),
  ];
}

/** Adds up the weights of a piece's examples; `undefined` where each weighs 1. It reads only what they depend on. */
function weighingProgram(
  { model, data, loss }: PieceStepDefinition,
  size: number,
  memory: PieceMemory,
): Program | undefined {
  const trace = model.trace(size, true);
  const labels = labelsOf(data, size);
  const weights = batchTerms(loss, trace.output, labels, size).flatMap((term, index) => {
    const sum = sumOfWeights(term);
    return typeof sum === "number" ? [] : [[wholeWeight(index), sum] as const];
  });
  if (weights.length === 0) return undefined;
  const needed = new Set(reachable(weights.map(([, sum]) => sum)));
  return {
    inputs: [trace.input, labels].filter((input) => needed.has(input)),
    outputs: Object.fromEntries(weights),
    updates: weights.map(([name]) => addition({ output: name }, memory.wholeOf(name))),
    parameters: (name) => memory.locate(name),
  };
}

function addition(piece: UpdateBinding, sum: BufferRange): Update {
  return accumulate<UpdateBinding>({ piece, sum, scalars: "scalars" }, { count: sum.size / 4 });
}

function rangeOf({ buffer, offset, byteLength }: SlabRange): BufferRange {
  return { buffer, offset, size: byteLength };
}
