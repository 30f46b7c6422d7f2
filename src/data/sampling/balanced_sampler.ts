import { crc32 } from "../../base/crc32/crc32.ts";
import { checkOptions } from "../../base/options/options.ts";
import type { OrderedEpoch, Sampler } from "../example_order.ts";
import { partOfSeed } from "../keyed_words.ts";
import { Permutation } from "../permutation.ts";
import type { Seed } from "../seed.ts";
import { requireDraws, SAMPLER_OPTIONS, type SamplerOptions } from "./sampler_options.ts";

/** Keep the words of rounds and of classes apart from those of other uses of the same seed: "roun", "clas". */
const [ROUNDS, CLASSES] = [0x726f_756e, 0x636c_6173];

/**
 * Draws every class equally often, however rare it is: one example of each class a round, in an order of the round's
 * own. The examples of a class come in shuffled turns, each once before any of them comes again. Each draw is a
 * function of (seed, epoch, place) and costs O(1).
 *
 * @param labels The class of each example: any numbers, of which equal ones are a class.
 * @throws RangeError without examples, and for a label that is not finite.
 */
export function balancedSampler(labels: ArrayLike<number>, options: SamplerOptions = {}): Sampler {
  const { drawCount = labels.length } = checkOptions(
    "balancedSampler()",
    options,
    SAMPLER_OPTIONS,
    "{ drawCount: 1000 }",
  );
  requireDraws("balancedSampler()", labels.length, drawCount);
  const own = Float64Array.from(labels);
  const classes = examplesByClass(own);
  const checksum = crc32(new Uint8Array(own.buffer));
  const rounds = new LastPermutation();
  const turns = classes.map(() => new LastPermutation());
  return {
    exampleCount: own.length,
    drawCount,
    at(place: number, epoch: OrderedEpoch): number {
      const round = Math.floor(place / classes.length);
      const chosen = rounds.of(classes.length, epoch, [round, ROUNDS]).at(place % classes.length);
      const members = classes[chosen] ?? [];
      const turn = Math.floor(round / members.length);
      const order = turns[chosen]?.of(members.length, epoch, [turn, (CLASSES + chosen) >>> 0]);
      return members[order?.at(round % members.length) ?? 0] ?? 0;
    },
    describe: () => ({ name: "balancedSampler", labels: checksum, drawCount }),
  };
}

/** Places of the examples of each class, classes in ascending order. */
function examplesByClass(labels: Float64Array): number[][] {
  const byClass = new Map<number, number[]>();
  for (const [index, label] of labels.entries()) {
    if (!Number.isFinite(label)) {
      throw new RangeError(`A label is a finite number, found ${label} of example ${index}`);
    }
    const members = byClass.get(label);
    if (members === undefined) byClass.set(label, [index]);
    else members.push(index);
  }
  return [...byClass].sort(([a], [b]) => a - b).map(([, members]) => members);
}

/** The permutation that was asked for last: neighbours in an epoch ask for the same. */
class LastPermutation {
  #key = "";
  #permutation: Permutation | undefined;

  of(
    length: number,
    { seed, epoch, orderVersion }: OrderedEpoch,
    [part, use]: [number, number],
  ): Permutation {
    const key = `${seed}/${epoch}/${orderVersion}/${part}`;
    if (this.#key !== key || this.#permutation === undefined) {
      this.#permutation = new Permutation(length, seedOf(seed, part, use), epoch, orderVersion);
      this.#key = key;
    }
    return this.#permutation;
  }
}

function seedOf(seed: Seed, part: number, use: number): bigint {
  return partOfSeed(seed, [part >>> 0, Math.floor(part / 2 ** 32), use]);
}
