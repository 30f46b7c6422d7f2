import { expect, test } from "bun:test";
import { chooseEncoder } from "../../src/gpu_codec/choose_encoder.ts";

const GB = 1e9;
const FAST_GPU = { gpuEncode: 300 * GB, readBack: 20 * GB, cpuEncode: 5 * GB, gpuStoredPerRaw: 0.84 };

test("a GPU that encodes faster than the CPU and than the way to it encodes", () => {
  expect(chooseEncoder(FAST_GPU)).toBe("gpu");
  // Also where the CPU would keep up, since less has to come back.
  expect(chooseEncoder({ ...FAST_GPU, cpuEncode: 100 * GB })).toBe("gpu");
});

test("the CPU encodes where the GPU would be slower, or as fast", () => {
  const software = { gpuEncode: 0.03 * GB, readBack: 5 * GB, cpuEncode: 2.4 * GB, gpuStoredPerRaw: 0.84 };
  expect(chooseEncoder(software)).toBe("cpu");
  // 2 GB/s of GPU and a tenth of 0.84 more against a CPU of 2 GB/s.
  expect(chooseEncoder({ ...FAST_GPU, gpuEncode: 2 * GB, cpuEncode: 2 * GB })).toBe("cpu");
  // What is saved on the way is not worth it.
  expect(chooseEncoder({ ...FAST_GPU, cpuEncode: 100 * GB, gpuStoredPerRaw: 1 })).toBe("cpu");
  expect(chooseEncoder({ gpuEncode: 2, readBack: 2, cpuEncode: 1, gpuStoredPerRaw: 1 })).toBe("cpu");
});

test("the CPU encodes while a rate is not known", () => {
  for (const name of Object.keys(FAST_GPU)) {
    for (const value of [undefined, 0, NaN, Infinity, -1]) {
      const rates = { ...FAST_GPU, [name]: value };
      expect(chooseEncoder(rates)).toBe("cpu");
    }
  }
  expect(chooseEncoder({})).toBe("cpu");
});

test("where chunks may be raw, the GPU encodes if that brings them into the file sooner", () => {
  const encoder = (write: number | undefined, change: Partial<typeof FAST_GPU> = {}): string =>
    chooseEncoder({ ...FAST_GPU, gpuEncode: 80 * GB, ...change }, { write });
  // Reading everything back takes as long, and the file may take any rate.
  expect(encoder(undefined)).toBe("cpu");
  expect(encoder(undefined, { gpuEncode: 300 * GB })).toBe("gpu");
  expect(encoder(NaN)).toBe("cpu");
  // A disk that is faster than the CPU encodes, but slower than the GPU does.
  expect(encoder(6 * GB)).toBe("gpu");
  expect(encoder(6 * GB, { cpuEncode: 20 * GB })).toBe("cpu");
  // Both wait for the disk.
  expect(encoder(1 * GB)).toBe("cpu");
  expect(encoder(30 * GB, { gpuEncode: 10 * GB })).toBe("cpu");
});
