import { describe, expect } from "bun:test";
import {
  drawInputs,
  drawKindOf,
  type DrawNumbers,
  drawToken,
  NO_TOKEN,
} from "../../src/generate/draw_token.ts";
import type { GpuDevice } from "../../src/gpu/gpu_device.ts";
import { Executable } from "../../src/graph/executable.ts";
import { input } from "../../src/graph/ops/sources.ts";
import { gpuTest } from "../helpers/gpu.ts";

const ALL: DrawNumbers = { temperature: 1, topK: Infinity, topP: 1 };
/** Probabilities 0.1, 0.4, 0.2, 0.3 by their logarithms. */
const SCORES = [0.1, 0.4, 0.2, 0.3].map(Math.log);
/** 1,000 shares, evenly spread. */
const SHARES = Array.from({ length: 1000 }, (_, at) => (at + 0.5) / 1000);

/** The token that each share falls on. */
async function drawn(
  gpu: GpuDevice,
  scores: readonly number[],
  options: Partial<DrawNumbers> = {},
  shares: readonly number[] = SHARES,
): Promise<number[]> {
  const numbers = { ...ALL, ...options };
  const kind = drawKindOf(numbers);
  const all = input("scores", "f32", [shares.length, scores.length]);
  const { token, inputs } = drawToken(all, kind);
  const executable = await Executable.compile(gpu, {
    inputs: [all, ...inputs],
    outputs: { token },
    parameters: (name) => {
      throw new TypeError(`There is no parameter ${name}`);
    },
  });
  try {
    const rows = Float32Array.from(shares.flatMap(() => scores));
    executable.run({ scores: rows, ...drawInputs(kind, numbers, shares) });
    const [tokens] = await executable.read("token");
    expect(tokens?.shape).toEqual([shares.length, 1]);
    return Array.from(tokens?.toArray() as Uint32Array);
  } finally {
    executable.close();
  }
}

/** How many of the shares fall on each token, within one of what is expected. */
async function expectCounts(
  gpu: GpuDevice,
  scores: readonly number[],
  options: Partial<DrawNumbers>,
  expected: readonly number[],
): Promise<void> {
  const tokens = await drawn(gpu, scores, options);
  const counts = scores.map((_, token) => tokens.filter((other) => other === token).length);
  expect(counts.reduce((sum, count) => sum + count, 0)).toBe(SHARES.length);
  // A share on the border of two falls on either.
  expect(counts.map((count, token) => Math.abs(count - (expected[token] ?? NaN)) <= 1 ? "near" : count))
    .toEqual(
      expected.map(() => "near"),
    );
  expect(counts.filter((count, token) => expected[token] === 0 && count !== 0)).toEqual([]);
}

describe("drawing a token", () => {
  gpuTest("IN-03 goes by the probabilities that scores say, sharper at a lower temperature", async (gpu) => {
    await expectCounts(gpu, SCORES, {}, [100, 400, 200, 300]);
    // Squares: 1, 16, 4 and 9 of 30.
    await expectCounts(gpu, SCORES, { temperature: 0.5 }, [33, 533, 133, 300]);
    await expectCounts(gpu, SCORES, { temperature: 1e-9 }, [0, 1000, 0, 0]);
  });

  gpuTest("IN-03 is greedy at temperature 0, and takes the first of equal scores", async (gpu) => {
    await expectCounts(gpu, SCORES, { temperature: 0 }, [0, 1000, 0, 0]);
    await expectCounts(gpu, [1, 2, 2, 0], { temperature: 0, topK: 3 }, [0, 1000, 0, 0]);
  });

  gpuTest("IN-03 draws from the k highest scores, of equal ones the first", async (gpu) => {
    await expectCounts(gpu, SCORES, { topK: 2 }, [0, 571, 0, 429]);
    await expectCounts(gpu, SCORES, { topK: 9 }, [100, 400, 200, 300]);
    await expectCounts(gpu, [1, 1, 1, 0], { topK: 2 }, [500, 500, 0, 0]);
  });

  gpuTest(
    "IN-03 draws from as many as have the share p together, the one that reaches it too",
    async (gpu) => {
      await expectCounts(gpu, SCORES, { topP: 0.69 }, [0, 571, 0, 429]);
      await expectCounts(gpu, SCORES, { topP: 0.71 }, [0, 444, 222, 333]);
      await expectCounts(gpu, SCORES, { topP: 1e-9 }, [0, 1000, 0, 0]);
      // Of the three highest, two thirds: 4 and 3 of 9.
      await expectCounts(gpu, SCORES, { topK: 3, topP: 0.66 }, [0, 571, 0, 429]);
    },
  );

  gpuTest("IN-03 never draws what has the score -Infinity, however near to 1 the share is", async (gpu) => {
    const scores = Array.from({ length: 301 }, (_, token) => token % 2 === 1 ? -Infinity : token / 300);
    for (const options of [{}, { topK: 250 }]) {
      const shares = [0, 2 ** -24, ...SHARES, 1 - 2 ** -24, 1 - 2 ** -53];
      const tokens = await drawn(gpu, scores, options, shares);
      expect(tokens.filter((token) => token % 2 === 1 || token > 300)).toEqual([]);
      expect(new Set(tokens).size).toBeGreaterThan(100);
    }
  });

  gpuTest("IN-03 gives no token for scores that are not finite", async (gpu) => {
    for (const scores of [[0, NaN, 1], [Infinity, 1, 2], [-Infinity, -Infinity, -Infinity]]) {
      for (const options of [{ temperature: 0 }, {}, { topP: 0.5 }, { topK: 1 }]) {
        expect(await drawn(gpu, scores, options, [0, 0.9])).toEqual([NO_TOKEN, NO_TOKEN]);
      }
    }
  });
});
