import { BINDING_ALIGNMENT, bindingStart } from "../../gpu/binding_parts.ts";
import { type KernelMemory, type KernelStep, UNIFORM_BYTES } from "../kernel_steps.ts";
import { blockBytes, blockCounts, blockWords, type OperandBlocks, packOperand } from "./pack_operand.ts";

/** A part of an operand: blocks of neighbours along what its rows in memory are. */
interface OperandPart {
  /** How the part is cut, as an operand by itself. */
  readonly blocks: OperandBlocks;
  /** What is bound of the operand, in bytes, and the element of that which the part begins with. */
  readonly offset: number;
  readonly byteLength: number;
  readonly first: number;
}

/**
 * Cuts an operand so that each part, and its blocks, can be bound: one part where the whole can. `isAlongSteps` says
 * that its rows in memory are lines, and not steps.
 */
function operandParts(blocks: OperandBlocks, isAlongSteps: boolean, most: number): OperandPart[] {
  const { lines, steps, blockLines, blockSteps } = blocks;
  const [rows, blockRows, rowBytes] = isAlongSteps
    ? [lines, blockLines, 4 * steps]
    : [steps, blockSteps, 4 * lines];
  const part = (row: number, count: number): OperandPart => {
    const [start, end] = [row * rowBytes, (row + count) * rowBytes];
    const offset = bindingStart(start);
    const own = { ...blocks, ...isAlongSteps ? { lines: count } : { steps: count } };
    return { blocks: own, offset, byteLength: end - offset, first: (start - offset) / 4 };
  };
  const whole = part(0, rows);
  if (whole.byteLength <= most && packedBytes(blocks) <= most) return [whole];
  let each = Math.floor((most - BINDING_ALIGNMENT) / rowBytes / blockRows) * blockRows;
  while (each > 0 && packedBytes(part(0, each).blocks) > most) each -= blockRows;
  if (each <= 0) return [whole];
  const parts: OperandPart[] = [];
  for (let first = 0; first < rows; first += each) parts.push(part(first, Math.min(each, rows - first)));
  return parts;
}

/** The last block is bound with as many bytes as all others. */
function packedBytes(blocks: OperandBlocks): number {
  const [alongLines, alongSteps] = blockCounts(blocks);
  return (alongLines * alongSteps - 1) * blockBytes(blocks) + UNIFORM_BYTES;
}

/** An operand as it is multiplied: its parts, each copied into blocks. */
export class PackedOperand<B> {
  readonly #operand: B;
  readonly #whole: OperandBlocks;
  readonly #isAlongSteps: boolean;
  readonly #parts: readonly (OperandPart & { readonly packed: B })[];
  readonly #memory: KernelMemory<B>;

  /** @param isAlongSteps As of {@link operandParts}. */
  constructor(
    label: string,
    operand: B,
    whole: OperandBlocks,
    isAlongSteps: boolean,
    memory: KernelMemory<B>,
  ) {
    this.#operand = operand;
    this.#whole = whole;
    this.#isAlongSteps = isAlongSteps;
    this.#memory = memory;
    this.#parts = operandParts(whole, isAlongSteps, memory.bindingBytes).map((part) => {
      return { ...part, packed: memory.scratch(label, packedBytes(part.blocks)) };
    });
  }

  /** The numbers that the copying kernels bind, one record for each part. */
  get numbers(): number[][] {
    return this.#parts.map(({ blocks, first }) => blockWords(blocks, this.#isAlongSteps, first));
  }

  /** What copies the operand. */
  steps(numbersOf: (part: number) => B): KernelStep<B>[] {
    return this.#parts.map(({ blocks, offset, byteLength, packed }, index) => {
      const operand = this.#parts.length === 1
        ? this.#operand
        : this.#memory.slice(this.#operand, offset, byteLength);
      const bindings = { operand, numbers: numbersOf(index), out: packed };
      return { dispatch: packOperand(bindings, blocks, this.#isAlongSteps), writes: [packed] };
    });
  }

  /** The block of lines number `line`, of steps number `depth`. */
  block(line: number, depth: number): B {
    const { blockLines, blockSteps } = this.#whole;
    let first = 0;
    for (const { blocks, packed } of this.#parts) {
      const [lineBlocks, depths] = blockCounts(blocks);
      const own = this.#isAlongSteps ? line - first : depth - first;
      if (own < (this.#isAlongSteps ? lineBlocks : depths)) {
        const index = this.#isAlongSteps ? depth * lineBlocks + own : own * lineBlocks + line;
        return this.#memory.slice(packed, index * blockBytes(blocks), UNIFORM_BYTES);
      }
      first += this.#isAlongSteps ? lineBlocks : depths;
    }
    throw new RangeError(
      `There is no block ${line}, ${depth} of ${blockLines} lines and ${blockSteps} steps`,
    );
  }
}
