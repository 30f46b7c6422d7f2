import type { Parts } from "../../base/parts/named.ts";
import { allOrNone } from "./all_or_none.ts";
import { type CompileListener, sharedListener } from "../../gpu/compile_pipelines.ts";
import type { BufferRange } from "../../gpu/buffer_range.ts";
import { Executable } from "../../graph/executable.ts";
import type { ProgramExplanation } from "../../graph/explain_program.ts";
import type { Program, Update, UpdateBinding } from "../../graph/program.ts";
import { reachable } from "../../graph/value.ts";
import { accumulate } from "../../kernels/optimizer/accumulate.ts";
import type { StepScalars } from "../../kernels/step_scalars.ts";
import { type SlabRange, slabRanges } from "../../tensor/slab_ranges.ts";
import { batchTerms, labelsOf, sumOfWeights } from "../measure/batch_loss.ts";
import type { AnyLoss } from "../measure/measures.ts";
import { type BatchPiece, PieceMemory, pieceOf, WHOLE_BATCH, wholeWeight } from "./batch_pieces.ts";
import { copyBuffers, updatedBuffers } from "./buffer_updates.ts";
import { type StepMemory, stepProgram, type StepProgramParts } from "./step_program.ts";
import {
  batchValues,
  forwardOf,
  type StepDefinition,
  type StepPart,
  type StepValues,
  stepValues,
} from "./step_values.ts";

/** What is compiled for pieces of one size. */
interface PiecePrograms {
  readonly size: number;
  readonly values: StepValues;
  /** Adds up the weights of the examples; none where each weighs 1. */
  readonly weighing: Executable | undefined;
  /** The parts of a batch that it reads. */
  readonly weighed: readonly string[];
  /** Forward, backward and adding up; then, after the last piece, what every step does with its gradients. */
  readonly step: Executable;
  /** How many of its updates add up. */
  readonly additions: number;
}

/** A piece of a batch, and what computes it. */
interface WeighedPiece {
  readonly piece: Parts<ArrayBufferView>;
  readonly programs: PiecePrograms;
  readonly scalars: StepScalars;
}

/** What a step in pieces is made of. */
export interface PieceStepDefinition
  extends Omit<StepDefinition, "size" | "rules">, Omit<StepProgramParts, "values" | "pieces"> {
  readonly memory: StepMemory;
  readonly onCompile?: CompileListener | undefined;
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
    const listener = sharedListener(definition.onCompile);
    try {
      const programs = await allOrNone(
        values.map(async ([size, each]) =>
          [size, await programsFor(definition, size, each, memory, listener)] as const
        ),
        ([, compiled]) => closePrograms(compiled),
      );
      return new PieceStep(new Map(programs), memory);
    } catch (error) {
      memory.close();
      throw error;
    }
  }

  /** Submits a step on `batch`, of `size` examples. */
  run(
    batch: Parts<ArrayBufferView>,
    size: number,
    pieces: readonly BatchPiece[],
    scalars: StepScalars,
  ): void {
    const each = this.#weigh(batch, size, pieces, scalars);
    each.forEach(({ programs: { step, additions }, scalars, piece }, index) => {
      step.run(piece, scalars, [], index < pieces.length - 1 ? additions : undefined);
    });
  }

  /**
   * The values of each piece of a step on `batch`, as {@link PieceStep.run} computes them, for programs of other
   * outputs. Submits what tells them how much the whole batch weighs.
   */
  parts(
    batch: Parts<ArrayBufferView>,
    size: number,
    pieces: readonly BatchPiece[],
    scalars: StepScalars,
  ): StepPart[] {
    return this.#weigh(batch, size, pieces, scalars).map(({ programs, scalars, piece }) => {
      const parameters = (name: string): BufferRange => this.#memory.locate(name);
      return { values: programs.values, batch: piece, scalars, parameters };
    });
  }

  /** Bytes of the gradients of a piece. */
  get gradientBytes(): number {
    return this.#memory.gradients.byteLength;
  }

  /** The programs of every size of pieces, taken apart. */
  explain(): ProgramExplanation[] {
    return [...this.#programs.values()].flatMap((programs) => {
      const { size, weighing } = programs;
      return [
        explainPiece(programs),
        ...weighing === undefined ? [] : [{ ...weighing.explain(), label: `weights of ${size} examples` }],
      ];
    });
  }

  /** The program of the first piece, with the times of its kernels. What is `unchanged` gets its bytes back. */
  async explainTimed(
    batch: Parts<ArrayBufferView>,
    size: number,
    pieces: readonly BatchPiece[],
    scalars: StepScalars,
    unchanged: readonly BufferRange[],
  ): Promise<ProgramExplanation> {
    const [first] = this.#weigh(batch, size, pieces, scalars);
    if (first === undefined) throw new RangeError("A step in pieces has at least one piece");
    const { programs, piece } = first;
    return explainPiece(programs, await programs.step.time(piece, first.scalars, unchanged));
  }

  /** Adds up the weights of the whole batch, and gives its pieces. */
  #weigh(
    batch: Parts<ArrayBufferView>,
    size: number,
    pieces: readonly BatchPiece[],
    scalars: StepScalars,
  ): WeighedPiece[] {
    this.#memory.begin(size, pieces.length);
    const each = pieces.map((piece) => {
      const programs = this.#programs.get(piece.size);
      if (programs === undefined) throw new RangeError(`There is no program for ${piece.size} examples`);
      const scalarsOfPiece = { ...scalars, firstExample: piece.first };
      return { programs, piece: pieceOf(batch, size, piece), scalars: scalarsOfPiece };
    });
    for (const { programs: { weighing, weighed }, scalars, piece } of each) {
      const read = Object.entries(piece).filter(([part]) => weighed.includes(part));
      weighing?.run(Object.fromEntries(read), scalars);
    }
    return each;
  }

  close(): void {
    for (const programs of this.#programs.values()) closePrograms(programs);
    this.#memory.close();
  }
}

function explainPiece({ size, values, step }: PiecePrograms, ms?: readonly number[]): ProgramExplanation {
  return { ...step.explain(forwardOf(values), ms), label: `train step of a piece of ${size} examples` };
}

function closePrograms({ weighing, step }: PiecePrograms): void {
  weighing?.close();
  step.close();
}

async function programsFor(
  definition: PieceStepDefinition,
  size: number,
  values: StepValues,
  memory: PieceMemory,
  listener: () => CompileListener | undefined,
): Promise<PiecePrograms> {
  const { gpu, variants } = definition.model.store;
  const additions = additionsOf(definition.memory, memory, values);
  const program = stepProgram({ ...definition, values, pieces: { memory, additions } });
  const weighing = weighingProgram(definition, size, memory);
  const compiling = [
    Executable.compile(gpu, program, { variants, label: "train step of a piece", onCompile: listener() }),
    ...weighing === undefined
      ? []
      : [Executable.compile(gpu, weighing, { variants, label: "weights of a piece", onCompile: listener() })],
  ];
  const [step, compiled] = await allOrNone(compiling, (each) => each.close());
  if (step === undefined) throw new RangeError("A step of a piece was not compiled");
  return {
    size,
    values,
    weighing: compiled,
    weighed: (weighing?.inputs ?? []).map(({ attributes: { name } }) => String(name)),
    step,
    additions: additions.length,
  };
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
  const weights = batchTerms(loss as AnyLoss, trace.output, labels, size).flatMap((term, index) => {
    const sum = sumOfWeights(term);
    return typeof sum === "number" ? [] : [[wholeWeight(index), sum] as const];
  });
  if (weights.length === 0) return undefined;
  const needed = new Set(reachable(weights.map(([, sum]) => sum)));
  return {
    inputs: batchValues(trace.input, labels).filter((input) => needed.has(input)),
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
