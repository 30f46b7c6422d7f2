import { expect } from "bun:test";
import { Canary, CANARY_BYTES } from "../../../src/checkpoint/capture/canary.ts";
import { gpuTest } from "../../helpers/gpu.ts";

gpuTest("Canary has another pattern each time, in the same two buffers, which are freed", (gpu) => {
  const before = gpu.counters.buffers;
  const canary = new Canary();
  const patterns = Array.from({ length: 3 }, () => canary.nextPattern());
  expect(new Set(patterns.map((pattern) => pattern.join())).size).toBe(3);
  const copies = patterns.map((pattern) => canary.copy(gpu, pattern));
  expect(new Set(copies.map(({ source }) => source)).size).toBe(1);
  expect(copies[0]?.target).toMatchObject({ offset: 0, size: CANARY_BYTES });
  expect(gpu.counters.buffers).toBe(before + 2);
  canary.free(gpu);
  canary.free(gpu);
  expect(gpu.counters.buffers).toBe(before);
});
