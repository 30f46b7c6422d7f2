import type { RowsAndColumns } from "../sizes.ts";

/** What an invocation of the direct variant computes. */
export interface DirectTile {
  /** Rows and columns of the result. */
  readonly size: RowsAndColumns;
  /** Channels of the result, a multiple of 4. */
  readonly channels: number;
}

/** How a convolution moves along columns. */
export interface ColumnWindow {
  readonly kernelColumns: number;
  readonly strideColumns: number;
  readonly dilationColumns: number;
}

/** What a tile is chosen for. */
export interface TiledResult extends ColumnWindow {
  readonly size: RowsAndColumns;
  readonly channels: number;
}

/** Elements of a tile, of each channel. */
const MOST_ELEMENTS = 16;
const MOST_CHANNELS = 16;

/** Products of a step: all of them are written out. More take seconds to compile, and leave its instruction cache. */
const MOST_PRODUCTS = 768;

/**
 * Nanoseconds on a CPU adapter of 8 lanes (lavapipe 25.0.7): to multiply and add, to keep a sum from one step to the
 * next, to load a weight from a uniform buffer, and an element of a vector from storage.
 */
const COST = { product: 0.3, sum: 0.15, weight: 5, element: 14 } as const;

/** The tile that takes least time. `undefined` where the kernel's rows are too long for any. */
export function chooseTile(result: TiledResult): DirectTile | undefined {
  const { size, channels, kernelColumns } = result;
  let best: DirectTile | undefined;
  let least = Infinity;
  for (let each = 4; each <= MOST_CHANNELS; each += 4) {
    for (let rows = 1; rows <= Math.min(size[0], MOST_ELEMENTS); rows++) {
      for (let columns = 1; columns <= Math.min(size[1], MOST_ELEMENTS / rows); columns++) {
        if (rows * columns * each * kernelColumns > MOST_PRODUCTS) break;
        const tile: DirectTile = { size: [rows, columns], channels: each };
        const tiles = Math.ceil(channels / each) * Math.ceil(size[0] / rows) * Math.ceil(size[1] / columns);
        const cost = tiles * stepCost(tile, result);
        if (cost < least) [best, least] = [tile, cost];
      }
    }
  }
  return best;
}

/** A step is one row of the kernel, with one channel of the input. */
function stepCost({ size, channels }: DirectTile, result: TiledResult): number {
  const sums = size[0] * size[1] * channels;
  return sums * (COST.product * result.kernelColumns + COST.sum) +
    channels * result.kernelColumns * COST.weight +
    size[0] * vectorsOfTile(size[1], result).length * 4 * COST.element;
}

/** Which vectors of four columns of the input a row of a tile needs, the first column being that of its first place. */
export function vectorsOfTile(
  columns: number,
  { kernelColumns, strideColumns, dilationColumns }: ColumnWindow,
): number[] {
  const vectors = new Set<number>();
  for (let x = 0; x < columns; x++) {
    for (let kx = 0; kx < kernelColumns; kx++) {
      vectors.add(Math.floor((x * strideColumns + kx * dilationColumns) / 4));
    }
  }
  return [...vectors].sort((a, b) => a - b);
}
