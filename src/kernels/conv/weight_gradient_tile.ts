/** What an invocation of the weights' gradient sums: some output channels with some input channels, all taps. */
export interface WeightGradientTile {
  /** Channels of the output, a multiple of 4. */
  readonly outChannels: number;
  readonly inChannels: number;
  /** Whether the output's gradient, and the input, are read from copies that have channels innermost. */
  readonly packedOut: boolean;
  readonly packedIn: boolean;
}

/** What a tile is chosen for. */
export interface TiledWeights {
  readonly inChannels: number;
  readonly outChannels: number;
  readonly taps: number;
  /** Elements of the input, of each channel, that one element of the output needs and its neighbour did not. */
  readonly newElements: number;
}

/** Products of a step: all of them are written out. More take seconds to compile, and leave its instruction cache. */
const MOST_PRODUCTS = 600;
const MOST_OUT = 32;
const MOST_IN = 32;

/**
 * Nanoseconds on a CPU adapter of 8 lanes (lavapipe 25.0.7): to multiply and add, and keep the sum until the next step;
 * to load an element and a vector of four from storage; to pack an element.
 */
const COST = { product: 0.45, element: 27, vector: 56, packed: 26 } as const;

/** The tile that takes least time. `undefined` where the kernel is too large for any. */
export function chooseTile(weights: TiledWeights): WeightGradientTile | undefined {
  const { inChannels, outChannels, taps } = weights;
  let best: WeightGradientTile | undefined;
  let least = Infinity;
  for (let outs = 4; outs <= MOST_OUT; outs += 4) {
    for (let ins = 1; ins <= MOST_IN && outs * ins * taps <= MOST_PRODUCTS; ins += ins < 4 ? 1 : 4) {
      for (const packedOut of [false, true]) {
        const tile = { outChannels: outs, inChannels: ins, packedOut, packedIn: ins % 4 === 0 };
        const tiles = Math.ceil(outChannels / outs) * Math.ceil(inChannels / ins);
        const cost = tiles * stepCost(tile, weights) + (packedOut ? outChannels * COST.packed : 0);
        if (cost < least) [best, least] = [tile, cost];
      }
    }
  }
  return best;
}

/** A step is an element of the output. */
function stepCost(
  { outChannels, inChannels, packedOut, packedIn }: WeightGradientTile,
  { taps, newElements }: TiledWeights,
): number {
  return outChannels * inChannels * taps * COST.product +
    (packedOut ? outChannels / 4 * COST.vector : outChannels * COST.element) +
    newElements * (packedIn ? inChannels / 4 * COST.vector : inChannels * COST.element);
}
