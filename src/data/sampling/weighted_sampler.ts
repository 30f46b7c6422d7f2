import { crc32 } from "../../base/crc32/crc32.ts";
import { checkOptions } from "../../base/options/options.ts";
import type { OrderedEpoch, Sampler } from "../example_order.ts";
import { KeyedWords, partOfSeed } from "../keyed_words.ts";
import { requireDraws, SAMPLER_OPTIONS, type SamplerOptions } from "./sampler_options.ts";

/** Keeps the words of draws apart from those of other uses of the same seed: "draw". */
const DRAWS = 0x6472_6177;

/**
 * Draws each example with a probability in proportion to its weight, whatever was drawn before it, as PyTorch's
 * `WeightedRandomSampler` does. Each draw is a function of (seed, epoch, place) and costs O(1) (Walker's alias method,
 * 1977, with the tables of Vose, 1991). An example may come several times in an epoch, or not at all.
 *
 * @param weights One for each example: finite, from 0, and one of them above 0.
 * @throws RangeError for other weights, with the example.
 */
export function weightedSampler(weights: ArrayLike<number>, options: SamplerOptions = {}): Sampler {
  const { drawCount = weights.length } = checkOptions(
    "weightedSampler()",
    options,
    SAMPLER_OPTIONS,
    "{ drawCount: 1000 }",
  );
  requireDraws("weightedSampler()", weights.length, drawCount);
  const own = Float64Array.from(weights);
  const { aliases, thresholds } = aliasTable(own);
  const checksum = crc32(new Uint8Array(own.buffer));
  return {
    exampleCount: own.length,
    drawCount,
    at(place: number, { seed, epoch }: OrderedEpoch): number {
      const ofEpoch = partOfSeed(seed, [epoch >>> 0, Math.floor(epoch / 2 ** 32), DRAWS]);
      const words = new KeyedWords(ofEpoch, [place >>> 0, Math.floor(place / 2 ** 32), DRAWS]);
      const column = words.below(own.length);
      return words.next() < (thresholds[column] ?? 0) ? column : aliases[column] ?? column;
    },
    describe: () => ({ name: "weightedSampler", weights: checksum, drawCount }),
  };
}

/**
 * Each column is one example below its threshold, of 2^32, and the alias above it.
 */
function aliasTable(weights: Float64Array): { aliases: Uint32Array; thresholds: Float64Array } {
  const wrong = weights.findIndex((weight) => !(weight >= 0 && weight < Infinity));
  if (wrong >= 0) {
    throw new RangeError(
      `A weight is a finite number from 0, found ${weights[wrong]} of example ${wrong}`,
    );
  }
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  if (!(total > 0 && total < Infinity)) {
    throw new RangeError(`The sum of all weights is finite and above 0, found ${total}`);
  }
  const share = weights.map((weight) => weight / total * weights.length);
  const aliases = Uint32Array.from(weights, (_, index) => index);
  const thresholds = new Float64Array(weights.length).fill(2 ** 32);
  const below: number[] = [];
  const above: number[] = [];
  share.forEach((part, index) => (part < 1 ? below : above).push(index));
  for (let small = below.pop(); small !== undefined; small = below.pop()) {
    const large = above.at(-1);
    // What rounding leaves of a column is filled by its own example.
    if (large === undefined) break;
    thresholds[small] = Math.floor((share[small] ?? 0) * 2 ** 32);
    aliases[small] = large;
    share[large] = (share[large] ?? 0) + (share[small] ?? 0) - 1;
    if ((share[large] ?? 0) < 1) {
      above.pop();
      below.push(large);
    }
  }
  return { aliases, thresholds };
}
