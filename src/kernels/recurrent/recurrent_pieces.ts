import { UNIFORM_BYTES } from "../kernel_steps.ts";
import type { KernelMemory } from "../kernel_steps.ts";
import {
  blocksOf,
  bytesOfBlocks,
  type RecurrentBlocks,
  type RecurrentSizes,
  type RecurrentTile,
  type RecurrentVariant,
  stateBlockBytes,
  weightBlockBytes,
} from "./recurrent_sizes.ts";
import { pieceWords, type RecurrentPiece } from "./recurrent_wgsl.ts";

/** A pass over the sequence: what multiplies what, and in which order. */
export interface RecurrentPass {
  readonly sizes: RecurrentSizes;
  readonly variant: RecurrentVariant;
  readonly tile: RecurrentTile;
  /** Blocks of the state that are multiplied, by their number among those of a block of rows. */
  readonly stateBlocks: number;
  /** The gates of the weights that the block of the state meets. */
  readonly gatesOf: (stateBlock: number) => readonly number[];
  /** Pairs that a dispatch may multiply: uniform buffers are at most 12. */
  readonly mostPairs: number;
  readonly isBackward: boolean;
  /** Whether the carry of the last step is 0 rather than given. */
  readonly beginsAtZero: boolean;
}

/** How many pairs the kernel of a pass multiplies, and whether sums take several dispatches. */
export function pairsOf({ stateBlocks, mostPairs }: RecurrentPass): { pairs: number; isCut: boolean } {
  return { pairs: Math.min(stateBlocks, mostPairs), isCut: stateBlocks > mostPairs };
}

/** A piece with what it binds: for each pair the number of a block of the state, and of blocks of the weights. */
export interface PlacedPiece {
  readonly piece: RecurrentPiece;
  readonly pairs: readonly { readonly state: number; readonly weights: readonly number[] }[];
}

/** All pieces of a pass, step by step; those of the same sums follow one another. */
export function piecesOf(pass: RecurrentPass): PlacedPiece[] {
  const { sizes: { time }, isBackward } = pass;
  const blocks = blocksOf(pass.sizes, pass.variant);
  const steps = Array.from({ length: time }, (_, step) => isBackward ? time - 1 - step : step);
  return steps.flatMap((now, index) => piecesOfStep(pass, blocks, now, index === 0));
}

function piecesOfStep(
  pass: RecurrentPass,
  blocks: RecurrentBlocks,
  now: number,
  isFirst: boolean,
): PlacedPiece[] {
  const { sizes: { batch, hidden, time }, tile, stateBlocks, isBackward } = pass;
  const { pairs } = pairsOf(pass);
  const pieces: PlacedPiece[] = [];
  for (let rowBlock = 0; rowBlock < blocks.rowBlocks; rowBlock++) {
    for (let unitBlock = 0; unitBlock < blocks.unitBlocks; unitBlock++) {
      const [firstRow, firstUnit] = [rowBlock * blocks.rows, unitBlock * blocks.units];
      const rows = Math.min(blocks.rows, batch - firstRow);
      const units = Math.min(blocks.units, hidden - firstUnit);
      const rowTiles = Math.ceil(rows / tile.rows);
      const place = {
        rowTiles,
        tiles: rowTiles * Math.ceil(units / (4 * tile.vectors)),
        firstRow,
        rows,
        firstUnit,
        units,
        now,
        time,
        hidden,
        statePitch: blocks.rows / 4,
        weightPitch: blocks.units / 4,
        depth: blocks.depth,
        rowBlock,
        rowBlocks: blocks.rowBlocks,
        depthBlocks: blocks.depthBlocks,
        begins: isFirst && pass.beginsAtZero ? 1 : 0,
      } as const;
      for (let first = 0; first < stateBlocks; first += pairs) {
        const numbers = Array.from({ length: pairs }, (_, pair) => first + pair);
        pieces.push({
          piece: {
            ...place,
            goesOn: first === 0 ? 0 : 1,
            isComplete: first + pairs >= stateBlocks ? 1 : 0,
            // On the way back there is nothing behind the last step.
            steps: numbers.map((number) => isBackward && isFirst ? 0 : stepsOf(pass, blocks, number)),
          },
          // Beyond the last pair any will do, as none of its steps is taken.
          pairs: numbers.map((number) => Math.min(number, stateBlocks - 1)).map((number) => ({
            state: number * blocks.rowBlocks + rowBlock,
            weights: pass.gatesOf(number).map((gate) =>
              (gate * blocks.depthBlocks + number % blocks.depthBlocks) * blocks.unitBlocks + unitBlock
            ),
          })),
        });
      }
    }
  }
  return pieces;
}

/** Steps of k in a block of the state; none in one that is not there. */
function stepsOf(
  { sizes, stateBlocks }: RecurrentPass,
  { depth, depthBlocks }: RecurrentBlocks,
  number: number,
): number {
  if (number >= stateBlocks) return 0;
  return Math.min(depth, sizes.hidden - number % depthBlocks * depth);
}

/** Memory of a pass: two states that take turns, and the weights. */
export interface PassMemory<B> {
  readonly states: readonly [B, B];
  readonly weights: B;
  /** The numbers of each piece. */
  readonly numbers: (index: number) => B;
  /** What a pair of blocks binds, of the state with this number and the weights. */
  readonly operands: (state: B, pairs: PlacedPiece["pairs"]) => B[];
  /** Sums between two dispatches. */
  readonly partials: B | undefined;
}

/** Asks for the memory of a pass. */
export function passMemory<B>(
  pass: RecurrentPass,
  gates: number,
  pieces: readonly PlacedPiece[],
  memory: KernelMemory<B>,
): PassMemory<B> {
  const { sizes, variant, tile, stateBlocks } = pass;
  const blocks = blocksOf(sizes, variant);
  const [stateBytes, weightBytes] = [stateBlockBytes(blocks), weightBlockBytes(blocks)];
  const stateOf = (turn: string) =>
    memory.scratch(
      `state of ${turn} steps`,
      bytesOfBlocks(stateBlocks * blocks.rowBlocks, stateBytes, variant),
    );
  const weightBlocks = gates * blocks.depthBlocks * blocks.unitBlocks;
  const weights = memory.scratch("blocks of weights", bytesOfBlocks(weightBlocks, weightBytes, variant));
  const { pairs, isCut } = pairsOf(pass);
  const mostTiles = Math.max(...pieces.map(({ piece }) => piece.tiles));
  const sums = tile.rows * tile.vectors * pass.gatesOf(0).length;
  return {
    states: [stateOf("even"), stateOf("odd")],
    weights,
    numbers: numbersOf(memory, pieces, pairs),
    operands: (state, given) =>
      variant === "storage" ? [state, weights] : given.flatMap((pair) => [
        memory.slice(state, pair.state * stateBytes, UNIFORM_BYTES),
        ...pair.weights.map((index) => memory.slice(weights, index * weightBytes, UNIFORM_BYTES)),
      ]),
    partials: isCut ? memory.scratch("sums of products", mostTiles * sums * 16) : undefined,
  };
}

/** What every adapter takes as the offset of a binding, in words. */
const ALIGNED_WORDS = 64;

function numbersOf<B>(
  memory: KernelMemory<B>,
  pieces: readonly PlacedPiece[],
  pairs: number,
): (index: number) => B {
  const words = new Uint32Array(pieces.length * ALIGNED_WORDS);
  pieces.forEach(({ piece }, index) => words.set(pieceWords(piece), index * ALIGNED_WORDS));
  const all = memory.constant(`numbers of ${pieces.length} pieces of ${pairs} pairs`, words);
  return (index) => memory.slice(all, index * ALIGNED_WORDS * 4, ALIGNED_WORDS * 4);
}
