import { describe, expect, test } from "bun:test";
import type { GpuDevice } from "../../../src/gpu/gpu_device.ts";
import { biasCorrectionsWgsl } from "../../../src/kernels/optimizer/bias_corrections.ts";
import { LINEAR_MAIN_WGSL, linearGrid } from "../../../src/gpu/dispatch.ts";
import { gpuTest } from "../../helpers/gpu.ts";
import { type HostArray, runDispatch } from "../../helpers/run_dispatch.ts";

/** `base ^ exponent` by repeated squaring in f64, as an optimiser on the host has it. */
function power(base: number, exponent: number): number {
  let result = 1;
  for (let rest = exponent, square = base; rest > 0; rest = Math.floor(rest / 2), square *= square) {
    if (rest % 2 === 1) result *= square;
  }
  return result;
}

/** Four corrections for each number of updates, by the GPU. */
async function corrections(
  gpu: GpuDevice,
  decays: readonly number[],
  updates: readonly number[],
): Promise<number[]> {
  const counts = Uint32Array.from(updates);
  const out = new Float32Array(4 * counts.length);
  const [result] = await runDispatch(gpu, {
    label: "corrections",
    code: `override count: u32;
@group(0) @binding(0) var<storage, read> updates: array<u32>;
@group(0) @binding(1) var<storage, read_write> out: array<vec4<f32>>;
${biasCorrectionsWgsl(decays)}
${LINEAR_MAIN_WGSL}
  out[index] = bias_corrections(updates[index]);
}
`,
    constants: { count: counts.length },
    bindings: [counts, out] as HostArray[],
    workgroups: linearGrid(counts.length),
  }, [out]);
  return [...result];
}

const LATE = [9_999, 99_999, 100_000, 1_000_000, 1_000_001, 2 ** 31, 2 ** 32 - 1];

describe("biasCorrectionsWgsl", () => {
  gpuTest("gives the bits that f64 has, in the first 3000 updates and after 10^5 and 10^6", async (gpu) => {
    const decays = [0.9, 0.999, 0.5, 0.99];
    const updates = [...Array.from({ length: 3000 }, (_, index) => index + 1), ...LATE];
    const found = await corrections(gpu, decays, updates);
    const expected = updates.flatMap((t) => decays.map((decay) => Math.fround(1 - power(decay, t))));
    expect(found).toEqual(expected);
  });

  gpuTest("keeps all digits of what is next to 1, and is 1 for a decay of 0", async (gpu) => {
    const almostOne = 1 - 2 ** -53;
    const [first, second, zero, none] = await corrections(gpu, [almostOne, 1 - 2 ** -30, 0], [1]);
    expect([first, second, zero, none]).toEqual([2 ** -53, 2 ** -30, 1, 1]);
    // 1 - (1 - x)^t is t x - t (t - 1) / 2 x^2 + …
    const [late] = await corrections(gpu, [almostOne], [1_000_000]);
    expect(Math.abs((late as number) / (1_000_000 * 2 ** -53) - 1)).toBeLessThan(1e-7);
  });

  gpuTest("rounds to the nearest f32, ties to even", async (gpu) => {
    // Of 25 significant bits the last one decides.
    const kept = (bits: number): number => 1 - bits * 2 ** -30;
    const values = [2 ** 24 + 1, 2 ** 24 + 3, 2 ** 24 + 2];
    const found = await corrections(gpu, values.map(kept), [1]);
    expect(found.slice(0, 3)).toEqual(values.map((bits) => Math.fround(bits) * 2 ** -30));
  });

  test("refuses an invalid decay, and more than four", () => {
    for (const bad of [1, -0.1, NaN, Infinity]) expect(() => biasCorrectionsWgsl([bad])).toThrow(RangeError);
    expect(() => biasCorrectionsWgsl([0, 0, 0, 0, 0])).toThrow("At most 4 decays are possible, not 5");
  });
});
