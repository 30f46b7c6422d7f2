import { describe, expect, test } from "bun:test";
import { DataLoader } from "../../../src/data/data_loader.ts";
import type { Sampler } from "../../../src/data/example_order.ts";
import { MapLoader } from "../../../src/data/map_loader.ts";
import { balancedSampler } from "../../../src/data/sampling/balanced_sampler.ts";
import { weightedSampler } from "../../../src/data/sampling/weighted_sampler.ts";
import { uniformity } from "../../helpers/chi_square.ts";
import { thrownBy } from "../../helpers/thrown.ts";

function epochOf(sampler: Sampler, epoch = 0, seed = 3): number[] {
  return Array.from({ length: sampler.drawCount }, (_, place) => sampler.at(place, { seed, epoch }));
}

function countsOf(draws: readonly number[], length: number): number[] {
  const counts = new Array<number>(length).fill(0);
  for (const draw of draws) counts[draw] = (counts[draw] ?? 0) + 1;
  return counts;
}

describe("weightedSampler", () => {
  test("DA-04 draws in proportion to the weights, and never what has none", () => {
    const weights = [5, 0, 1, 0.5, 3.5, 0, 10];
    const draws = epochOf(weightedSampler(weights, { drawCount: 40_000 }));
    const counts = countsOf(draws, weights.length);
    expect([counts[1], counts[5]]).toEqual([0, 0]);
    const drawn = weights.flatMap((weight, index) => weight === 0 ? [] : [(counts[index] ?? 0) / weight]);
    // Each count divided by its weight is about the same: 2,000.
    expect(drawn.every((each) => Math.abs(each / 2000 - 1) < 0.08)).toBe(true);
    const even = countsOf(epochOf(weightedSampler(new Float32Array(16).fill(2), { drawCount: 16_000 })), 16);
    expect(uniformity(even)).toBeGreaterThan(1e-4);
  });

  test("DA-04 a draw follows from seed, epoch and place", () => {
    const sampler = weightedSampler([1, 2, 3, 4], { drawCount: 200 });
    expect(epochOf(sampler, 1)).toEqual(
      epochOf(weightedSampler([1, 2, 3, 4], { drawCount: 50 }), 1).concat(
        Array.from({ length: 150 }, (_, place) => sampler.at(50 + place, { seed: 3, epoch: 1 })),
      ),
    );
    expect(epochOf(sampler, 1)).not.toEqual(epochOf(sampler, 2));
    expect(epochOf(sampler, 1)).not.toEqual(epochOf(sampler, 1, 4));
  });

  test("DA-04 weights that are none are refused with their example", () => {
    expect(() => weightedSampler([1, -1])).toThrow("found -1 of example 1");
    expect(() => weightedSampler([NaN])).toThrow("found NaN of example 0");
    expect(() => weightedSampler([0, 0])).toThrow("above 0, found 0");
    expect(() => weightedSampler([])).toThrow("found none");
    expect(() => weightedSampler([1], { drawCount: 0 })).toThrow("an integer from 1, found 0");
  });
});

describe("balancedSampler", () => {
  // Class 0 has 80 examples, class 1 has 15, class 2 has 5.
  const labels = Uint8Array.from({ length: 100 }, (_, index) => index < 80 ? 0 : index < 95 ? 1 : 2);

  test("DA-04 draws one example of every class a round, in rounds of different orders", () => {
    const draws = epochOf(balancedSampler(labels, { drawCount: 300 })).map((index) => labels[index] ?? NaN);
    const rounds = Array.from({ length: 100 }, (_, round) => draws.slice(3 * round, 3 * round + 3));
    expect(rounds.every((round) => [...round].sort().join() === "0,1,2")).toBe(true);
    expect(new Set(rounds.map((round) => round.join())).size).toBe(6);
  });

  test("DA-04 every example of a class comes once before any of them comes again", () => {
    const counts = countsOf(epochOf(balancedSampler(labels, { drawCount: 90 })), 100);
    expect(counts.slice(80, 95)).toEqual(new Array(15).fill(2));
    expect(counts.slice(95)).toEqual(new Array(5).fill(6));
    expect(counts.slice(0, 80).filter((count) => count === 1).length).toBe(30);
    const other = countsOf(epochOf(balancedSampler(labels, { drawCount: 90 }), 1), 100);
    expect(other.slice(0, 80)).not.toEqual(counts.slice(0, 80));
  });

  test("DA-04 a label that is no number is refused", () => {
    expect(() => balancedSampler([0, NaN])).toThrow("found NaN of example 1");
  });
});

describe("a loader with a sampler", () => {
  const inputs = Float32Array.from({ length: 10 }, (_, index) => index);
  const labels = [0, 0, 0, 0, 0, 0, 0, 0, 1, 1];
  const sampler = balancedSampler(labels, { drawCount: 16 });

  test("DA-04 has as many examples as are drawn, and the same ones from tensors and from a map", async () => {
    const loader = DataLoader.from({ inputs, labels }, { batchSize: 6, sampler });
    expect(loader.exampleCount).toBe(16);
    const map = await MapLoader.open({
      length: 10,
      get: (index) => ({ inputs: index, labels: labels[index] ?? NaN }),
    }, { batchSize: 6, sampler });
    for (const position of [0, 1, 2]) {
      const request = { seed: 5, epoch: 1, position };
      expect(await map.batchAt(request)).toEqual(loader.batchAt(request));
      expect(map.indicesAt(request)).toEqual(loader.indicesAt(request));
    }
  });

  test("DA-04 draws of one example in an epoch are not changed at random in the same way", async () => {
    const map = await MapLoader.open({ length: 1, get: () => ({ inputs: 0, labels: 0 }) }, {
      batchSize: 8,
      sampler: weightedSampler([1], { drawCount: 8 }),
      transform: (example, random) => ({ ...example, inputs: random.uniform() }),
    });
    const { inputs } = await map.batchAt({ seed: 1, epoch: 0, position: 0 });
    expect(new Set(inputs as Float32Array).size).toBe(8);
  });

  test("DA-04 the sampler is described, and one that does not fit is refused", async () => {
    const loader = DataLoader.from({ inputs, labels }, { batchSize: 6, sampler });
    expect(await loader.describe()).toMatchObject({ sampler: { name: "balancedSampler", drawCount: 16 } });
    const other = weightedSampler([1, 2]);
    expect(
      (await thrownBy(() => DataLoader.from({ inputs, labels }, { batchSize: 2, sampler: other }))).message,
    )
      .toContain("draws from 2 examples, and there are 10");
    expect(() => DataLoader.from({ inputs, labels }, { batchSize: 2, sampler, shuffle: true })).toThrow(
      "give sampler or shuffle: true, not both",
    );
  });
});
