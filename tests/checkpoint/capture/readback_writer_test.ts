import { describe, expect, test } from "bun:test";
import { ReadbackWriter } from "../../../src/checkpoint/capture/readback_writer.ts";
import type { EncodingStep } from "../../../src/checkpoint/capture/encoding_plan.ts";
import { BufferUsage } from "../../../src/gpu/constants.ts";
import { GpuDevice } from "../../../src/gpu/gpu_device.ts";
import { FakeDevice } from "../../helpers/fake_device.ts";
import { gpuTest } from "../../helpers/gpu.ts";
import { thrownBy } from "../../helpers/thrown.ts";

const BYTES = 4096;
const nothingEncoded = (): Promise<void> => Promise.reject(new Error("nothing was to be encoded"));

/** A buffer of counted bytes, read back as it is in two steps. */
function counted(gpu: GpuDevice): { buffer: GPUBuffer; bytes: Uint8Array; steps: EncodingStep[] } {
  const buffer = gpu.createBuffer("counted", BYTES, BufferUsage.COPY_SRC | BufferUsage.COPY_DST);
  const bytes = Uint8Array.from({ length: BYTES }, (_, index) => index % 251);
  gpu.write(buffer, 0, bytes);
  const steps = [0, BYTES / 2].map((offset) => ({
    source: undefined,
    ranges: [{ buffer, offset, size: BYTES / 2 }],
  }));
  return { buffer, bytes, steps };
}

describe("ReadbackWriter", () => {
  gpuTest("writes the steps in their order, and keeps its staging memory for the next time", async (gpu) => {
    const { buffer, bytes, steps } = counted(gpu);
    const before = gpu.counters.buffers;
    const writer = new ReadbackWriter(gpu);
    const created: number[] = [];
    for (let round = 0; round < 2; round++) {
      const taken: number[] = [];
      await writer.write(steps, {
        write: (piece) => Promise.resolve(void taken.push(...piece)),
        writeEncoded: nothingEncoded,
      });
      expect(taken).toEqual([...bytes]);
      created.push(gpu.counters.buffersCreated);
    }
    expect(created[1]).toBe(created[0] ?? NaN);
    writer.close();
    expect(gpu.counters.buffers).toBe(before);
    gpu.destroyBuffer(buffer);
  });

  gpuTest("passes on what a write failed with, and goes on the next time", async (gpu) => {
    const { buffer, bytes, steps } = counted(gpu);
    const writer = new ReadbackWriter(gpu);
    const failing = { write: () => Promise.reject(new Error("full")), writeEncoded: nothingEncoded };
    expect((await thrownBy(() => writer.write(steps, failing))).message).toBe("full");
    let byteLength = 0;
    await writer.write(steps, {
      write: (piece) => Promise.resolve(void (byteLength += piece.byteLength)),
      writeEncoded: nothingEncoded,
    });
    expect(byteLength).toBe(bytes.byteLength);
    writer.close();
    gpu.destroyBuffer(buffer);
  });

  test("says that the device is lost where that is why something else failed", async () => {
    const fake = new FakeDevice();
    const gpu = await GpuDevice.open({ device: fake.device });
    const { steps } = counted(gpu);
    const writer = new ReadbackWriter(gpu);
    const failing = {
      write: () => {
        fake.lose();
        return Promise.reject(new TypeError("the memory went away"));
      },
      writeEncoded: nothingEncoded,
    };
    expect((await thrownBy(() => writer.write(steps, failing))).code).toBe("device_lost");
  });
});
