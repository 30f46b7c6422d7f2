import type { Parts } from "../../base/parts/named.ts";
import { allOrNone } from "./all_or_none.ts";
import { type CompileListener, sharedListener } from "../../gpu/compile_pipelines.ts";
import { mostBindingBytes } from "../../gpu/binding_parts.ts";
import type { BufferRange } from "../../gpu/buffer_range.ts";
import { Executable } from "../../graph/executable.ts";
import type { ProgramExplanation } from "../../graph/explain_program.ts";
import type { Program, Update, UpdateBinding } from "../../graph/program.ts";
import { accumulate } from "../../kernels/optimizer/accumulate.ts";
import type { StepScalars } from "../../kernels/step_scalars.ts";
import { type SlabRange, slabRanges } from "../../tensor/slab_ranges.ts";
import { PieceMemory, pieceOf, piecesOf, WHOLE_BATCH } from "./batch_pieces.ts";
import { copyBuffers, updatedBuffers } from "./buffer_updates.ts";
import type { StepInParts } from "./step_in_parts.ts";
import { type StepMemory, stepProgram, type StepProgramParts } from "./step_program.ts";
import { forwardOf, type StepDefinition, type StepPart, type StepValues, stepValues } from "./step_values.ts";
import { weighingOf, WeighingProgram } from "./weighing.ts";

/** What is compiled for pieces of one size. */
interface PiecePrograms {
  readonly size: number;
  readonly values: StepValues;
  /** Adds up the weights of the examples; none where each weighs 1. */
  readonly weighing: WeighingProgram | undefined;
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
  /** The most examples of a piece. */
  readonly microBatchSize: number;
  readonly onCompile?: CompileListener | undefined;
}

/**
 * A training step that computes its batch piece by piece, in a submit each, in one tick. Gradients, the loss and what
 * else is kept are sums over all pieces, divided by the weights of the whole batch: the step of the whole batch, but
 * for rounding.
 */
export class PieceStep implements StepInParts {
  readonly #programs: ReadonlyMap<number, PiecePrograms>;
  readonly #memory: PieceMemory;
  readonly #microBatchSize: number;

  private constructor(
    programs: ReadonlyMap<number, PiecePrograms>,
    memory: PieceMemory,
    microBatchSize: number,
  ) {
    this.#programs = programs;
    this.#memory = memory;
    this.#microBatchSize = microBatchSize;
  }

  /** @param sizes Of batches. */
  static async compile(definition: PieceStepDefinition, sizes: readonly number[]): Promise<PieceStep> {
    const { model, memory: shared, microBatchSize } = definition;
    const ofPieces = new Set(
      sizes.flatMap((size) => piecesOf(size, microBatchSize)).map(({ size }) => size),
    );
    const values = [...ofPieces].map((size) =>
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
      return new PieceStep(new Map(programs), memory, microBatchSize);
    } catch (error) {
      memory.close();
      throw error;
    }
  }

  run(batch: Parts<ArrayBufferView>, size: number, scalars: StepScalars): void {
    const pieces = this.#weigh(batch, size, scalars);
    pieces.forEach(({ programs: { step, additions }, scalars, piece }, index) => {
      step.run(piece, scalars, [], index < pieces.length - 1 ? additions : undefined);
    });
  }

  /** Submits what tells the pieces how much the whole batch weighs. */
  parts(batch: Parts<ArrayBufferView>, size: number, scalars: StepScalars): StepPart[] {
    return this.#weigh(batch, size, scalars).map(({ programs, scalars, piece }) => {
      const parameters = (name: string): BufferRange => this.#memory.locate(name);
      return { values: programs.values, batch: piece, scalars, parameters };
    });
  }

  get gradientBytes(): number {
    return this.#memory.gradients.byteLength;
  }

  explain(): ProgramExplanation[] {
    return [...this.#programs.values()].flatMap((programs) => {
      const { size, weighing } = programs;
      return [explainPiece(programs), ...weighing === undefined ? [] : [weighing.explain(size)]];
    });
  }

  async explainTimed(
    batch: Parts<ArrayBufferView>,
    size: number,
    scalars: StepScalars,
    unchanged: readonly BufferRange[],
  ): Promise<ProgramExplanation> {
    const [first] = this.#weigh(batch, size, scalars);
    if (first === undefined) throw new RangeError("A step in pieces has at least one piece");
    const { programs, piece } = first;
    return explainPiece(programs, await programs.step.time(piece, first.scalars, unchanged));
  }

  /** Adds up the weights of the whole batch, and gives its pieces. */
  #weigh(batch: Parts<ArrayBufferView>, size: number, scalars: StepScalars): WeighedPiece[] {
    const pieces = piecesOf(size, this.#microBatchSize);
    this.#memory.begin(size, pieces.length);
    const each = pieces.map((piece) => {
      const programs = this.#programs.get(piece.size);
      if (programs === undefined) throw new RangeError(`There is no program for ${piece.size} examples`);
      const scalarsOfPiece = { ...scalars, firstExample: piece.first };
      return { programs, piece: pieceOf(batch, size, piece), scalars: scalarsOfPiece };
    });
    for (const { programs: { weighing }, scalars, piece } of each) weighing?.run(piece, scalars);
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
  const additions = additionsOf(definition.memory, memory, values, mostBindingBytes(gpu));
  const program = stepProgram({ ...definition, values, pieces: { memory, additions } });
  const weighing = weighingProgram(definition, size, memory);
  const options = (label: string) => ({ variants, label, onCompile: listener() });
  const made = await allOrNone<Executable | WeighingProgram>([
    Executable.compile(gpu, program, options("train step of a piece")),
    ...weighing === undefined ? [] : [WeighingProgram.compile(gpu, weighing, options("weights of a piece"))],
  ], (each) => each.close());
  const step = made.find((each) => each instanceof Executable);
  if (step === undefined) throw new RangeError("A step of a piece was not compiled");
  return {
    size,
    values,
    weighing: made.find((each) => each instanceof WeighingProgram),
    step,
    additions: additions.length,
  };
}

/** Adds gradients and numbers of a piece to those of the pieces before, and leaves its buffers to the next. */
function additionsOf(
  { gradients, nextBuffers }: StepMemory,
  memory: PieceMemory,
  values: StepValues,
  bindingBytes: number,
): Update[] {
  const sums = slabRanges(gradients.tensors, bindingBytes);
  const ofGradients = slabRanges(memory.gradients.tensors, bindingBytes).flatMap((piece, index): Update[] => {
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
  definition: PieceStepDefinition,
  size: number,
  memory: PieceMemory,
): Program | undefined {
  const weighing = weighingOf(definition, size);
  if (weighing === undefined) return undefined;
  const { inputs, weights } = weighing;
  return {
    inputs,
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
