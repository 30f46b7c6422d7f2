import { describe, expect } from "bun:test";
import { chooseEncoder } from "../../src/gpu_codec/choose_encoder.ts";
import { measureEncodingRates } from "../../src/gpu_codec/encoding_rates.ts";
import { gpuTest } from "../helpers/gpu.ts";

describe("measureEncodingRates", () => {
  gpuTest("takes the second run of each, and what reading back did not take of the GPU's", async (gpu) => {
    // Milliseconds of the encoder, of reading back and of the CPU.
    const durations = [10, 5, 20];
    const times = durations.flatMap((ms) => [0, ms]);
    const byteLength = 1 << 16;
    const runs: number[] = [];
    const rates = await measureEncodingRates(gpu, {
      byteLength,
      encodeOnCpu: (raw) => void runs.push(raw.byteLength),
      now: () => times.shift() ?? NaN,
    });
    expect(runs).toEqual([byteLength, byteLength]);
    expect(times).toEqual([]);
    expect(rates.gpuStoredPerRaw).toBeLessThan(0.9);
    expect(rates.gpuStoredPerRaw).toBeGreaterThan(0.7);
    expect(rates.readBack).toBeCloseTo(byteLength / 0.005, 3);
    expect(rates.cpuEncode).toBeCloseTo(byteLength / 0.02, 3);
    expect(byteLength / rates.gpuEncode).toBeCloseTo(0.01 - rates.gpuStoredPerRaw * 0.005, 6);
    expect(chooseEncoder(rates)).toBe("gpu");
  });

  gpuTest("frees its memory when it fails", async (gpu) => {
    const failing = measureEncodingRates(gpu, {
      byteLength: 4096,
      encodeOnCpu: () => Promise.reject(new Error("no CPU")),
    });
    await expect(failing).rejects.toThrow("no CPU");
  });
});
