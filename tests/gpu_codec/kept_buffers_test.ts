import { expect } from "bun:test";
import { KeptBuffers } from "../../src/gpu_codec/kept_buffers.ts";
import { gpuTest } from "../helpers/gpu.ts";

gpuTest("KeptBuffers gives the same buffer again until it has to be larger", async (gpu) => {
  const buffers = new KeptBuffers(gpu);
  const before = gpu.counters.buffers;
  const first = buffers.put("a", Uint32Array.of(1, 2, 3));
  expect(first).toEqual({ buffer: first.buffer, offset: 0, size: 12 });
  expect(buffers.take("a", 8)).toEqual({ buffer: first.buffer, offset: 0, size: 8 });
  expect(buffers.take("b", 8).buffer).not.toBe(first.buffer);
  const [bytes] = await gpu.read([first]);
  expect([...new Uint32Array(bytes?.buffer ?? new ArrayBuffer(0))]).toEqual([1, 2, 3]);
  expect(buffers.take("a", 16).buffer).not.toBe(first.buffer);
  expect(gpu.counters.buffers - before).toBe(2);
  buffers.close();
  buffers.close();
  expect(gpu.counters.buffers).toBe(before);
});
