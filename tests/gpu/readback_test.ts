import { describe, expect, test } from "bun:test";
import { BufferUsage } from "../../src/gpu/constants.ts";
import { GpuDevice } from "../../src/gpu/gpu_device.ts";
import { ReadbackRing } from "../../src/gpu/readback.ts";
import { FakeDevice } from "../helpers/fake_device.ts";
import { gpuTest, ownGpuTest } from "../helpers/gpu.ts";
import { thrownBy } from "../helpers/thrown.ts";

const USAGE = BufferUsage.STORAGE | BufferUsage.COPY_SRC | BufferUsage.COPY_DST;

function pattern(byteLength: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array(byteLength).map((_, i) => i % 251);
}

/** A buffer that holds `bytes`. */
function filled(gpu: GpuDevice, bytes: Uint8Array): GPUBuffer {
  const buffer = gpu.createBuffer("source", bytes.byteLength, USAGE);
  gpu.write(buffer, 0, bytes);
  return buffer;
}

async function collect(pieces: AsyncIterable<Uint8Array>): Promise<{ bytes: number[]; lengths: number[] }> {
  const bytes: number[] = [];
  const lengths: number[] = [];
  for await (const piece of pieces) {
    lengths.push(piece.byteLength);
    bytes.push(...piece);
  }
  return { bytes, lengths };
}

describe("ReadbackRing.stream", () => {
  gpuTest("gives more bytes than the ring holds, in order, in pieces of a slot", async (gpu) => {
    const bytes = pattern(3000);
    const buffer = filled(gpu, bytes);
    const ring = new ReadbackRing(gpu, { slots: 2, slotBytes: 512 });
    const read = await collect(ring.stream([{ buffer, offset: 0, size: 3000 }]));
    expect(read).toEqual({ bytes: [...bytes], lengths: [512, 512, 512, 512, 512, 440] });
    ring.close();
    gpu.destroyBuffer(buffer);
  });

  gpuTest("gives no more at once than a cache holds where what is mapped is copied", async (gpu) => {
    const bytes = pattern(5 * 1024 * 1024 / 2);
    const buffer = filled(gpu, bytes);
    const ring = new ReadbackRing(gpu, { slots: 2, slotBytes: 4 * 1024 * 1024 });
    const lengths: number[] = [];
    const read = new Uint8Array(bytes.byteLength);
    let at = 0;
    for await (const piece of ring.stream([{ buffer, offset: 0, size: bytes.byteLength }])) {
      read.set(piece, at);
      at += piece.byteLength;
      lengths.push(piece.byteLength);
    }
    expect(Buffer.compare(read, bytes)).toBe(0);
    const pieces = gpu.hasBlockingFences ? [1 << 20, 1 << 20, 1 << 19] : [bytes.byteLength];
    expect(lengths).toEqual(pieces);
    ring.close();
    gpu.destroyBuffer(buffer);
  });

  gpuTest("gives ranges of several buffers one after the other", async (gpu) => {
    const bytes = pattern(1024);
    const a = filled(gpu, bytes);
    const b = filled(gpu, bytes.toReversed());
    const ring = new ReadbackRing(gpu, { slots: 3, slotBytes: 256 });
    const ranges = [{ buffer: b, offset: 4, size: 300 }, { buffer: a, offset: 1024, size: 0 }, {
      buffer: a,
      offset: 8,
      size: 16,
    }];
    const read = await collect(ring.stream(ranges));
    expect(read.bytes).toEqual([...bytes.toReversed().subarray(4, 304), ...bytes.subarray(8, 24)]);
    ring.close();
    for (const buffer of [a, b]) gpu.destroyBuffer(buffer);
  });

  gpuTest("reuses its slots: reading again allocates nothing, and one step is one submit", async (gpu) => {
    const buffer = filled(gpu, pattern(1024));
    const ring = new ReadbackRing(gpu, { slots: 4, slotBytes: 256 });
    const ranges = [{ buffer, offset: 0, size: 1024 }];
    await collect(ring.stream(ranges));
    const before = gpu.counters;
    await collect(ring.stream(ranges));
    expect(gpu.counters).toEqual({ ...before, submits: before.submits + 1 });
    ring.close();
    expect(gpu.counters.buffers).toBe(before.buffers - 4);
    gpu.destroyBuffer(buffer);
  });

  gpuTest("is usable again after a consumer left early or threw", async (gpu) => {
    const bytes = pattern(2048);
    const buffer = filled(gpu, bytes);
    const ring = new ReadbackRing(gpu, { slots: 2, slotBytes: 256 });
    const ranges = [{ buffer, offset: 0, size: 2048 }];
    for await (const piece of ring.stream(ranges)) {
      expect(piece[1]).toBe(1);
      break;
    }
    const thrown = await thrownBy(async () => {
      for await (const _ of ring.stream(ranges)) throw new Error("consumer");
    });
    expect(thrown.message).toBe("consumer");
    expect((await collect(ring.stream(ranges))).bytes).toEqual([...bytes]);
    ring.close();
    gpu.destroyBuffer(buffer);
  });

  gpuTest("serves streams that overlap one after the other", async (gpu) => {
    const bytes = pattern(4096);
    const buffer = filled(gpu, bytes);
    const ring = new ReadbackRing(gpu, { slots: 2, slotBytes: 512 });
    const reads = await Promise.all(
      [0, 256, 512].map((offset) => collect(ring.stream([{ buffer, offset, size: 3000 }]))),
    );
    reads.forEach((read, i) => expect(read.bytes).toEqual([...bytes.subarray(256 * i, 256 * i + 3000)]));
    ring.close();
    gpu.destroyBuffer(buffer);
  });

  gpuTest("stops with the signal's own reason, and frees the ring for the next stream", async (gpu) => {
    const buffer = filled(gpu, pattern(2048));
    const ring = new ReadbackRing(gpu, { slots: 1, slotBytes: 256 });
    const abort = new AbortController();
    const reason = new Error("enough");
    let pieces = 0;
    const error = await thrownBy(async () => {
      for await (const _ of ring.stream([{ buffer, offset: 0, size: 2048 }], { signal: abort.signal })) {
        pieces += 1;
        if (pieces === 2) abort.abort(reason);
      }
    });
    expect(error).toBe(reason);
    expect(pieces).toBe(2);
    expect((await collect(ring.stream([{ buffer, offset: 0, size: 4 }]))).bytes).toEqual([0, 1, 2, 3]);
    ring.close();
    gpu.destroyBuffer(buffer);
  });

  gpuTest("refuses ranges that are not aligned or lie outside, before anything is copied", async (gpu) => {
    const buffer = filled(gpu, pattern(64));
    const ring = new ReadbackRing(gpu);
    const before = gpu.counters.submits;
    for (const [offset, size] of [[0, 6], [2, 4], [32, 36]] as const) {
      const error = await thrownBy(() => collect(ring.stream([{ buffer, offset, size }])));
      expect(error).toBeInstanceOf(RangeError);
      expect(error.message).toMatch(/^Cannot read back: /);
    }
    expect(gpu.counters.submits).toBe(before);
    ring.close();
    gpu.destroyBuffer(buffer);
  });

  gpuTest("reports what is not valid about a source as gpu_validation", async (gpu) => {
    const buffer = gpu.createBuffer("not readable", 64, BufferUsage.STORAGE);
    const ring = new ReadbackRing(gpu, { slots: 1, slotBytes: 256 });
    const error = await thrownBy(() => collect(ring.stream([{ buffer, offset: 0, size: 64 }])));
    expect(error.code).toBe("gpu_validation");
    expect(error.message).toMatch(/^"read-back" is not valid for WebGPU: ./);
    ring.close();
    gpu.destroyBuffer(buffer);
  });

  gpuTest("fails with closed after close(), also in the middle", async (gpu) => {
    const buffer = filled(gpu, pattern(2048));
    const ring = new ReadbackRing(gpu, { slots: 2, slotBytes: 256 });
    const error = await thrownBy(async () => {
      for await (const _ of ring.stream([{ buffer, offset: 0, size: 2048 }])) ring.close();
    });
    expect(error.code).toBe("closed");
    expect((await thrownBy(() => collect(ring.stream([{ buffer, offset: 0, size: 4 }])))).code).toBe(
      "closed",
    );
    gpu.destroyBuffer(buffer);
  });

  for (const slots of [1, 2]) {
    ownGpuTest(
      `fails with device_lost when the device goes after the first of ${slots} slots`,
      async (gpu) => {
        const buffer = filled(gpu, pattern(2048));
        const ring = new ReadbackRing(gpu, { slots, slotBytes: 256 });
        let pieces = 0;
        const error = await thrownBy(async () => {
          for await (const _ of ring.stream([{ buffer, offset: 0, size: 2048 }])) {
            pieces += 1;
            gpu.device.destroy();
            await gpu.device.lost;
          }
        });
        expect([error.code, pieces]).toEqual(["device_lost", 1]);
        ring.close();
      },
    );
  }
});

describe("ReadbackRing", () => {
  gpuTest("needs a slot of 256 bytes at least, and never asks for more than the adapter has", (gpu) => {
    expect(() => new ReadbackRing(gpu, { slots: 0 })).toThrow(
      new RangeError("slots is 0, expected 1 or more"),
    );
    expect(() => new ReadbackRing(gpu, { slotBytes: 100 })).toThrow(
      new RangeError("slotBytes is 100, expected 256 or more"),
    );
    expect(new ReadbackRing(gpu, { slotBytes: 1000 }).slotBytes).toBe(768);
    expect(new ReadbackRing(gpu, { slotBytes: 2 ** 50 }).slotBytes).toBeLessThanOrEqual(
      gpu.limits.maxBufferSize,
    );
    expect(new ReadbackRing(gpu).slotBytes).toBe(8 * 1024 * 1024);
  });

  gpuTest("reads ranges into arrays that stay", async (gpu) => {
    const bytes = pattern(2000);
    const buffer = filled(gpu, bytes);
    const ring = new ReadbackRing(gpu, { slots: 2, slotBytes: 256 });
    const ranges = [[0, 0], [4, 1000], [8, 0], [1000, 1000], [0, 4], [0, 0]] as const;
    const read = await ring.read(ranges.map(([offset, size]) => ({ buffer, offset, size })));
    ring.close();
    expect(read.map((part) => [...part])).toEqual(
      ranges.map(([offset, size]) => [...bytes.subarray(offset, offset + size)]),
    );
    gpu.destroyBuffer(buffer);
  });

  gpuTest(
    "reads ranges one behind the other into memory that there is, which has to be as long",
    async (gpu) => {
      const bytes = pattern(2000);
      const buffer = filled(gpu, bytes);
      const ring = new ReadbackRing(gpu, { slots: 2, slotBytes: 256 });
      const ranges = [[1000, 1000], [0, 0], [4, 8]].map(([offset = 0, size = 0]) => ({
        buffer,
        offset,
        size,
      }));
      const memory = new Uint8Array(1020).fill(255);
      await ring.readInto(ranges, memory.subarray(5, 1013));
      expect([...memory]).toEqual([
        ...[255, 255, 255, 255, 255],
        ...bytes.subarray(1000),
        ...bytes.subarray(4, 12),
        ...[255, 255, 255, 255, 255, 255, 255],
      ]);
      for (const byteLength of [1007, 1009]) {
        const error = await thrownBy(() => ring.readInto(ranges, new Uint8Array(byteLength)));
        expect(error).toBeInstanceOf(RangeError);
        expect(String(error)).toContain(`Cannot read back 1008 bytes into ${byteLength}`);
      }
      ring.close();
      gpu.destroyBuffer(buffer);
    },
  );
});

describe("A ring on a GPU that is full", () => {
  for (const slots of [1, 2, 4]) {
    for (const failing of Array.from({ length: slots }, (_, slot) => slot)) {
      test(`gives nothing wrong, and works again, when slot ${failing} of ${slots} cannot be allocated`, async () => {
        const fake = new FakeDevice();
        const gpu = await GpuDevice.open({ device: fake.device });
        const bytes = pattern(2048);
        const buffer = filled(gpu, bytes);
        const ring = new ReadbackRing(gpu, { slots, slotBytes: 256 });
        const first = fake.allocations;
        fake.allocate = (index) => index === first + failing ? "out-of-memory" : undefined;
        const pieces: number[] = [];
        const error = await thrownBy(async () => {
          for await (const piece of ring.stream([{ buffer, offset: 0, size: 2048 }])) {
            // A step that fails while this one is looked at must not take its memory away.
            await new Promise((resolve) => setTimeout(resolve, 0));
            pieces.push(...piece);
          }
        });
        expect(error.code).toBe("out_of_memory");
        expect(pieces).toEqual([...bytes.subarray(0, pieces.length)]);
        // A buffer that was not allocated stays invalid: it is neither used again nor kept.
        expect((await collect(ring.stream([{ buffer, offset: 0, size: 2048 }]))).bytes).toEqual([...bytes]);
        ring.close();
        gpu.destroyBuffer(buffer);
        expect(fake.live).toEqual([]);
        await gpu.close();
      });
    }
  }
});
