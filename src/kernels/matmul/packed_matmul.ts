import { alignUp } from "../../base/checked.ts";
import { gridFor } from "../../gpu/dispatch.ts";
import { type KernelMemory, type KernelStep, numberRecords, UNIFORM_BYTES } from "../kernel_steps.ts";
import type { MatmulBindings, MatmulSizes } from "./matmul.ts";
import { blockBytes, blockCounts, blockWords, type OperandBlocks, packOperand } from "./pack_operand.ts";
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
  const [blocksA, blocksB] = [blocksOf(m, k), blocksOf(n, k)];
  const vectorOut = n % 4 === 0;
  const pieces = piecesOf(blocksA, blocksB, vectorOut ? 4 : 1);
  const numbers = numberRecords(memory, "numbers of blocks", [
    ...[blocksA, blocksB].map(blockWords),
    ...pieces.map(({ piece }) => pieceWords(piece)),
  ]);
  const packedA = memory.scratch("blocks of A", bytesOf(blocksA));
  const packedB = memory.scratch("blocks of B", bytesOf(blocksB));
  const packA = packOperand({ operand: a, numbers: numbers(0), out: packedA }, blocksA, !transposeA);
  const packB = packOperand({ operand: b, numbers: numbers(1), out: packedB }, blocksB, transposeB);
  const block = (of: B, blocks: OperandBlocks, index: number) =>
    memory.slice(of, index * blockBytes(blocks), UNIFORM_BYTES);
  const code = packedMatmulWgsl(PAIRS, vectorOut);
  const products = pieces.map(({ piece, blockPairs }, index): KernelStep<B> => ({
    dispatch: {
      label: `matmul ${m}x${k}${transposeA ? "ᵀ" : ""} ${k}x${n}${transposeB ? "ᵀ" : ""} packed`,
      code,
      constants: {},
      bindings: [
        ...blockPairs.flatMap(([i, j]) => [block(packedA, blocksA, i), block(packedB, blocksB, j)]),
        numbers(index + 2),
        out,
      ],
      workgroups: gridFor(Math.ceil(piece.tiles / INVOCATIONS)),
    },
    writes: [out],
  }));
  return [{ dispatch: packA, writes: [packedA] }, { dispatch: packB, writes: [packedB] }, ...products];
}

/** Blocks of about equal size that a uniform binding holds. */
function blocksOf(lines: number, k: number): OperandBlocks {
  const even = (size: number, most: number, unit: number): number =>
    alignUp(Math.ceil(size / Math.ceil(size / most)), unit);
  const blockSteps = even(k, MOST_STEPS, 4);
  const mostLines = Math.floor(UNIFORM_BYTES / 4 / blockSteps / TILE) * TILE;
  return { lines, steps: k, blockLines: even(lines, mostLines, TILE), blockSteps };
}

/** The last block is bound with as many bytes as all others. */
function bytesOf(blocks: OperandBlocks): number {
  const [alongLines, alongSteps] = blockCounts(blocks);
  return (alongLines * alongSteps - 1) * blockBytes(blocks) + UNIFORM_BYTES;
}

/** A piece, with the numbers of its blocks of A and B. */
interface PieceOfBlocks {
  readonly piece: MatmulPiece;
  readonly blockPairs: readonly (readonly [number, number])[];
}

/** All pieces; those of the same place in the result follow one another, in the order of k. */
function piecesOf(a: OperandBlocks, b: OperandBlocks, unit: number): PieceOfBlocks[] {
  const [rowBlocks, depth] = blockCounts(a);
  const [columnBlocks] = blockCounts(b);
  const pieces: PieceOfBlocks[] = [];
  for (let j = 0; j < columnBlocks; j++) {
    for (let i = 0; i < rowBlocks; i++) {
      const rows = Math.min(a.blockLines, a.lines - i * a.blockLines);
      const columns = Math.min(b.blockLines, b.lines - j * b.blockLines);
      const rowTiles = Math.ceil(rows / TILE);
      const place = {
        rowTiles,
        tiles: rowTiles * Math.ceil(columns / TILE),
        pitchA: a.blockLines / 4,
        pitchB: b.blockLines / 4,
        rows,
        columns: columns / unit,
        first: (i * a.blockLines * b.lines + j * b.blockLines) / unit,
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
          // Beyond the last pair any will do, as none of its steps is taken.
          blockPairs: depths.map((at) => Math.min(at, depth - 1)).map((at) =>
            [at * rowBlocks + i, at * columnBlocks + j] as const
          ),
        });
      }
    }
  }
  return pieces;
}
