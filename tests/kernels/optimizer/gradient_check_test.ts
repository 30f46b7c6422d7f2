import { describe, expect, test } from "bun:test";
import type { GpuDevice } from "../../../src/gpu/gpu_device.ts";
import {
  foldedPartials,
  foldPartials,
  gradientCheck,
  gradientCheckPartials,
} from "../../../src/kernels/optimizer/gradient_check.ts";
import { gpuTest } from "../../helpers/gpu.ts";
import { type HostArray, runDispatch } from "../../helpers/run_dispatch.ts";
import { randomNumbers } from "../numbers.ts";

const INFINITE = 0x7f80_0000;

/** The largest magnitude as bits, and the sum of squares, of what the check leaves. */
async function checked(
  gpu: GpuDevice,
  gradient: Float32Array,
): Promise<{ largest: number; squares: number }> {
  const partials = new Uint32Array(2 * gradientCheckPartials(gradient.length));
  const dispatch = gradientCheck<HostArray>({ gradient, partials }, { count: gradient.length });
  const [words] = await runDispatch(gpu, dispatch, [partials]);
  return totals(words);
}

function totals(words: Uint32Array): { largest: number; squares: number } {
  const floats = new Float32Array(words.buffer);
  let [largest, squares] = [0, 0];
  for (let at = 0; at < words.length; at += 2) {
    largest = Math.max(largest, words[at] ?? 0);
    squares += floats[at + 1] ?? NaN;
  }
  return { largest, squares };
}

describe("gradientCheck", () => {
  gpuTest("adds up the squares of all elements, whatever their number", async (gpu) => {
    for (const count of [4, 64, 252, 256, 4096, 16_384, 16_388, 65_540, 100_000]) {
      const gradient = randomNumbers(count, count);
      const { largest, squares } = await checked(gpu, gradient);
      const expected = gradient.reduce((sum, x) => sum + x * x, 0);
      expect(Math.abs(squares / expected - 1)).toBeLessThan(2e-6);
      const most = gradient.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
      expect(largest).toBe(new Uint32Array(Float32Array.of(most).buffer)[0] as number);
    }
  });

  gpuTest("finds a single value that is not finite at any place", async (gpu) => {
    const count = 16_384 + 256;
    for (const value of [NaN, Infinity, -Infinity]) {
      for (const place of [0, 3, 255, 16_383, 16_384, count - 1]) {
        const gradient = randomNumbers(count, 7);
        gradient[place] = value;
        expect((await checked(gpu, gradient)).largest).toBeGreaterThanOrEqual(INFINITE);
      }
    }
  });

  gpuTest(
    "takes a NaN of any payload for one, and large finite gradients, whose norm overflows, for finite",
    async (gpu) => {
      for (const bits of [0x7f80_0001, 0xffff_ffff, 0x7fff_ffff, 0xff80_0001]) {
        const words = new Uint32Array(64);
        words[17] = bits;
        expect((await checked(gpu, new Float32Array(words.buffer))).largest).toBeGreaterThan(INFINITE);
      }
      const { largest, squares } = await checked(gpu, new Float32Array(256).fill(3e38));
      expect(largest).toBeLessThan(INFINITE);
      expect(squares).toBe(Infinity);
    },
  );

  gpuTest("folds many partial results without losing one", async (gpu) => {
    const count = 1000;
    const into = 1024;
    const words = new Uint32Array(2 * (into + foldedPartials(count)));
    const floats = new Float32Array(words.buffer);
    for (let at = 0; at < count; at++) {
      words[2 * at] = at === 777 ? 0x7fc0_0000 : at;
      floats[2 * at + 1] = 1;
    }
    const dispatch = foldPartials<HostArray>({ partials: words }, { from: 0, count, into });
    const [folded] = await runDispatch(gpu, dispatch, [words]);
    const { largest, squares } = totals(folded.slice(2 * into));
    expect([largest, squares]).toEqual([0x7fc0_0000, count]);
  });

  test("refuses a count that is no multiple of four", () => {
    const bindings = { gradient: "g", partials: "p" };
    expect(() => gradientCheck(bindings, { count: 6 })).toThrow("count has to be a multiple of 4, not 6");
    expect(gradientCheck(bindings, { count: 0 }).workgroups).toEqual([0, 0, 0]);
  });
});
