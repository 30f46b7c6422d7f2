import { alignUp } from "../../base/checked.ts";
import { BINDING_ALIGNMENT, bindingStart } from "../../gpu/binding_parts.ts";
import { gridFor } from "../../gpu/dispatch.ts";
import { type KernelMemory, type KernelStep, numberRecords, UNIFORM_BYTES } from "../kernel_steps.ts";
import { labelOf, type MatmulBindings, type MatmulSizes } from "./matmul.ts";
import { blockCounts, type OperandBlocks } from "./pack_operand.ts";
import { PackedOperand } from "./packed_operand.ts";
import { INVOCATIONS, type MatmulPiece, packedMatmulWgsl, pieceWords, TILE } from "./packed_wgsl.ts";

/** Steps of k that a block has at most. Longer blocks have fewer lines, and a dispatch then works on fewer threads. */
const MOST_STEPS = 128;

/**
 * Pairs of blocks that a dispatch multiplies: uniform buffers are at most 12. It is the same where k has fewer blocks,
 * as a loop without steps costs nothing, and a second pipeline half a second of a compiler.
 */
const PAIRS = 4;

/**
 * The packed variant: the operands are copied into blocks that uniform buffers hold, and pairs of them are multiplied.
 * An operand that is larger than a binding is copied part by part, and of such a result each dispatch binds the rows
 * that it writes.
 *
 * An element is the sum of parts of up to 512 terms, in the order of k; each part is summed from 0 in that order. So
 * the sizes decide the bits, and the bound of `matmul` holds.
 */
export function packedMatmul<B>(
  bindings: MatmulBindings<B>,
  sizes: MatmulSizes,
  memory: KernelMemory<B>,
): KernelStep<B>[] {
  const { m, n, k, transposeA = false, transposeB = false } = sizes;
  const { a, b, out } = bindings;
  const rows = new ResultRows(m, n, memory.bindingBytes);
  const mostA = Math.min(rows.mostAtOnce, mostLines(m, k, !transposeA, memory.bindingBytes));
  const blocksA = blocksOf(m, k, mostA);
  const blocksB = blocksOf(n, k, mostLines(n, k, transposeB, memory.bindingBytes));
  const vectorOut = n % 4 === 0;
  const pieces = piecesOf(blocksA, blocksB, vectorOut ? 4 : 1, rows);
  const packedA = new PackedOperand("blocks of A", a, blocksA, !transposeA, memory);
  const packedB = new PackedOperand("blocks of B", b, blocksB, transposeB, memory);
  const copied = [...packedA.numbers, ...packedB.numbers];
  const numbers = numberRecords(memory, "numbers of blocks", [
    ...copied,
    ...pieces.map(({ piece }) => pieceWords(piece)),
  ]);
  const code = packedMatmulWgsl(PAIRS, vectorOut);
  const products = pieces.map(({ piece, blockPairs, row }, index): KernelStep<B> => ({
    dispatch: {
      label: labelOf(sizes, "packed"),
      code,
      constants: {},
      bindings: [
        ...blockPairs.flatMap(({ i, j, depth }) => [packedA.block(i, depth), packedB.block(j, depth)]),
        numbers(copied.length + index),
        rows.bound(out, row, piece.rows, memory),
      ],
      workgroups: gridFor(Math.ceil(piece.tiles / INVOCATIONS)),
    },
    writes: [out],
  }));
  return [
    ...packedA.steps(numbers),
    ...packedB.steps((part) => numbers(packedA.numbers.length + part)),
    ...products,
  ];
}

/** What is bound of a result: all of it, or some rows where it is larger than a binding. */
class ResultRows {
  /** Rows that a dispatch may write. */
  readonly mostAtOnce: number;
  readonly #n: number;

  constructor(m: number, n: number, bindingBytes: number) {
    this.#n = n;
    const most = Math.floor((bindingBytes - BINDING_ALIGNMENT) / 4 / n / TILE) * TILE;
    this.mostAtOnce = 4 * m * n <= bindingBytes || most === 0 ? Infinity : most;
  }

  /** The element that what is bound of the rows from `row` on begins with: where a binding may. */
  firstOf(row: number): number {
    return this.mostAtOnce === Infinity ? 0 : bindingStart(4 * row * this.#n) / 4;
  }

  bound<B>(out: B, row: number, rows: number, memory: KernelMemory<B>): B {
    if (this.mostAtOnce === Infinity) return out;
    const first = this.firstOf(row);
    return memory.slice(out, 4 * first, 4 * ((row + rows) * this.#n - first));
  }
}

/** Blocks of about equal size that a uniform binding holds. How many lines they have does not matter to the bits. */
function blocksOf(lines: number, k: number, mostLines: number): OperandBlocks {
  const blockSteps = evenly(k, MOST_STEPS, 4);
  const held = Math.floor(UNIFORM_BYTES / 4 / blockSteps / TILE) * TILE;
  return { lines, steps: k, blockLines: evenly(lines, Math.min(held, mostLines), TILE), blockSteps };
}

/** How many lines blocks may have for all blocks of a line, which are copied at once, to be bound. */
function mostLines(lines: number, k: number, isAlongSteps: boolean, bindingBytes: number): number {
  if (!isAlongSteps || 4 * lines * k <= bindingBytes) return Infinity;
  const bytes = 4 * alignUp(k, evenly(k, MOST_STEPS, 4));
  return Math.max(TILE, Math.floor((bindingBytes - UNIFORM_BYTES) / bytes / TILE) * TILE);
}

function evenly(size: number, most: number, unit: number): number {
  return alignUp(Math.ceil(size / Math.ceil(size / most)), unit);
}

/** A piece, with the first row that it writes, and the blocks of A and B that it multiplies. */
interface PieceOfBlocks {
  readonly piece: MatmulPiece;
  readonly row: number;
  readonly blockPairs: readonly { readonly i: number; readonly j: number; readonly depth: number }[];
}

/** All pieces; those of the same place in the result follow one another, in the order of k. */
function piecesOf(a: OperandBlocks, b: OperandBlocks, unit: number, bound: ResultRows): PieceOfBlocks[] {
  const [rowBlocks, depth] = blockCounts(a);
  const [columnBlocks] = blockCounts(b);
  const pieces: PieceOfBlocks[] = [];
  for (let j = 0; j < columnBlocks; j++) {
    for (let i = 0; i < rowBlocks; i++) {
      const row = i * a.blockLines;
      const rows = Math.min(a.blockLines, a.lines - row);
      const columns = Math.min(b.blockLines, b.lines - j * b.blockLines);
      const rowTiles = Math.ceil(rows / TILE);
      const place = {
        rowTiles,
        tiles: rowTiles * Math.ceil(columns / TILE),
        pitchA: a.blockLines / 4,
        pitchB: b.blockLines / 4,
        rows,
        columns: columns / unit,
        first: (row * b.lines + j * b.blockLines - bound.firstOf(row)) / unit,
        pitch: b.lines / unit,
      };
      for (let first = 0; first < depth; first += PAIRS) {
        const depths = Array.from({ length: PAIRS }, (_, pair) => first + pair);
        pieces.push({
          piece: {
            ...place,
            goesOn: first === 0 ? 0 : 1,
            steps: depths.map((at) => Math.max(0, Math.min(a.blockSteps, a.steps - at * a.blockSteps))),
          },
          row,
          // Beyond the last pair any will do, as none of its steps is taken.
          blockPairs: depths.map((at) => ({ i, j, depth: Math.min(at, depth - 1) })),
        });
      }
    }
  }
  return pieces;
}
