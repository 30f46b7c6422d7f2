import { describe, expect, test } from "bun:test";
import { BufferUsage } from "../../src/gpu/constants.ts";
import { GpuDevice } from "../../src/gpu/gpu_device.ts";
import { fakeDevice, fakeGpu, fakeHost } from "../helpers/fake_gpu.ts";
import { gpuTest, ownGpuTest } from "../helpers/gpu.ts";
import { thrownBy } from "../helpers/thrown.ts";

const USAGE = BufferUsage.STORAGE | BufferUsage.COPY_SRC | BufferUsage.COPY_DST;

const DOUBLE = `
override workgroup_size: u32 = 64;
@group(0) @binding(0) var<storage, read_write> values: array<f32>;
@compute @workgroup_size(workgroup_size) fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x < arrayLength(&values)) { values[id.x] = values[id.x] * 2.0; }
}`;

/** Bytes 0, 1, 2… with a period that is no power of two, so that shifted copies differ. */
function pattern(byteLength: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array(byteLength).map((_, i) => i % 251);
}

/** Waits until errors that no scope caught have been reported. */
async function untilThrown(gpu: GpuDevice): Promise<Error & { code?: unknown }> {
  for (let i = 0; i < 5000; i++) {
    await gpu.device.queue.onSubmittedWorkDone();
    await new Promise((resolve) => setTimeout(resolve, 5));
    try {
      gpu.assertAlive();
    } catch (error) {
      return error as Error;
    }
  }
  throw new Error("expected an error from assertAlive(), but there was none");
}

describe("opening", () => {
  gpuTest("writes bytes of memory that threads share", async (gpu) => {
    const buffer = gpu.createBuffer("target", 16, BufferUsage.COPY_SRC | BufferUsage.COPY_DST);
    gpu.write(buffer, 4, new Uint8Array(new SharedArrayBuffer(8)).fill(7));
    const [read] = await gpu.read([{ buffer, offset: 0, size: 16 }]);
    expect([...read ?? []]).toEqual([0, 0, 0, 0, 7, 7, 7, 7, 7, 7, 7, 7, 0, 0, 0, 0]);
    gpu.destroyBuffer(buffer);
  });

  gpuTest("names the adapter and says where it came from", (gpu) => {
    expect(gpu.adapterName.length).toBeGreaterThan(3);
    expect(["native", "dawn"]).toContain(gpu.provider);
    if (/llvmpipe|swiftshader/i.test(gpu.adapterName)) expect(gpu.isCpuAdapter).toBe(true);
  });

  gpuTest("gets what the adapter can bind, not the small defaults only", (gpu) => {
    expect(gpu.limits.maxStorageBufferBindingSize).toBeGreaterThanOrEqual(128 * 1024 * 1024);
    expect(gpu.limits.maxStorageBuffersPerShaderStage).toBeGreaterThanOrEqual(8);
    if (gpu.isCpuAdapter) expect(gpu.limits.maxBufferSize).toBeGreaterThan(256 * 1024 * 1024);
  });

  test("uses a given device without looking anywhere, and never destroys it", async () => {
    const device = fakeDevice({ info: { description: "Given 1" } });
    const host = fakeHost({ navigatorGpu: fakeGpu() });
    const gpu = await GpuDevice.open({ device }, host);
    expect([gpu.device === device, gpu.provider, gpu.adapterName]).toEqual([true, "given", "Given 1"]);
    await gpu.close();
    expect(device.destroyed).toBe(0);
  });

  gpuTest("works on a real device that was given, and leaves it usable", async (shared) => {
    const gpu = await GpuDevice.open({ device: shared.device });
    const buffer = gpu.createBuffer("given", 16, USAGE);
    gpu.write(buffer, 0, pattern(16));
    expect(await gpu.read([{ buffer, offset: 0, size: 16 }])).toEqual([pattern(16)]);
    await gpu.close();
    expect(shared.isLost).toBe(false);
    await shared.idle();
  });
});

describe("buffers", () => {
  gpuTest("are counted until they are destroyed, once", (gpu) => {
    const before = gpu.counters;
    const buffer = gpu.createBuffer("counted", 4, USAGE);
    expect(gpu.counters).toEqual({
      ...before,
      buffers: before.buffers + 1,
      buffersCreated: before.buffersCreated + 1,
    });
    gpu.destroyBuffer(buffer);
    gpu.destroyBuffer(buffer);
    expect(gpu.counters.buffers).toBe(before.buffers);
  });

  gpuTest(
    "have a multiple of 4 bytes and are never empty, because an empty binding is not allowed",
    (gpu) => {
      const sizes = [0, 1, 4, 63, 257].map((byteLength) => {
        const buffer = gpu.createBuffer("sized", byteLength, USAGE);
        gpu.destroyBuffer(buffer);
        return buffer.size;
      });
      expect(sizes).toEqual([4, 4, 4, 64, 260]);
    },
  );

  gpuTest("begin with zeros", async (gpu) => {
    const buffer = gpu.createBuffer("zeros", 1024, USAGE);
    expect(await gpu.read([{ buffer, offset: 0, size: 1024 }])).toEqual([new Uint8Array(1024)]);
    gpu.destroyBuffer(buffer);
  });

  gpuTest("larger than the adapter allows are refused with both figures", async (gpu) => {
    const limit = gpu.limits.maxBufferSize;
    const byteLength = Math.ceil((limit + 1) / 4) * 4;
    const error = await thrownBy(() => gpu.createBuffer("huge", byteLength, USAGE));
    expect(error.code).toBe("limit_exceeded");
    expect(error.message).toBe(
      `Cannot create buffer "huge" of ${byteLength} bytes: the adapter "${gpu.adapterName}" allows ${limit} (maxBufferSize)`,
    );
    expect(error.details).toEqual({ limit, value: byteLength });
  });

  gpuTest("need a byte length", (gpu) => {
    for (const byteLength of [-1, 1.5, NaN, Infinity]) {
      expect(() => gpu.createBuffer("odd", byteLength, USAGE)).toThrow(
        new RangeError(`Cannot create buffer "odd": ${byteLength} is no byte length`),
      );
    }
  });
});

describe("writing", () => {
  gpuTest("puts every byte where it belongs, at any length", async (gpu) => {
    const buffer = gpu.createBuffer("target", 1024, USAGE);
    for (const length of [0, 1, 2, 3, 4, 5, 7, 255, 256, 257]) {
      gpu.write(buffer, 0, new Uint8Array(1024).fill(255));
      gpu.write(buffer, 512, pattern(length + 8).subarray(5, 5 + length));
      const expected = new Uint8Array(1024).fill(255);
      expected.fill(0, 512, 512 + Math.ceil(length / 4) * 4);
      expected.set(pattern(length + 8).subarray(5, 5 + length), 512);
      expect(await gpu.read([{ buffer, offset: 0, size: 1024 }])).toEqual([expected]);
    }
    gpu.destroyBuffer(buffer);
  });

  gpuTest("refuses what does not fit, in every runtime alike", (gpu) => {
    const buffer = gpu.createBuffer("small", 8, USAGE);
    for (const [offset, length] of [[2, 4], [-4, 4], [8, 1], [4, 5], [0, 9], [NaN, 4]] as const) {
      expect(() => gpu.write(buffer, offset, new Uint8Array(length))).toThrow(RangeError);
    }
    gpu.write(buffer, 8, new Uint8Array(0));
    gpu.destroyBuffer(buffer);
  });

  gpuTest(
    "submits by itself when many bytes have piled up, because the runtime keeps them until then",
    (gpu) => {
      const buffer = gpu.createBuffer("large", 9 << 20, USAGE);
      const bytes = new Uint8Array(9 << 20);
      const before = gpu.counters.submits;
      gpu.submit([]);
      for (let i = 0; i < 6; i++) gpu.write(buffer, 0, bytes);
      expect(gpu.counters.submits).toBe(before + 4);
      gpu.destroyBuffer(buffer);
    },
  );

  gpuTest("is done when idle() resolves, also without a submit of one's own", async (gpu) => {
    const buffer = gpu.createBuffer("target", 16, USAGE);
    gpu.submit([]);
    const before = gpu.counters.submits;
    await gpu.idle();
    expect(gpu.counters.submits).toBe(before);
    gpu.write(buffer, 0, pattern(16));
    await gpu.idle();
    expect(gpu.counters.submits).toBe(before + 1);
    gpu.destroyBuffer(buffer);
  });
});

describe("pipelines", () => {
  gpuTest("compute", async (gpu) => {
    const pipeline = await gpu.pipeline({ label: "double", code: DOUBLE, constants: { workgroup_size: 32 } });
    const buffer = gpu.createBuffer("values", 400, USAGE);
    gpu.write(buffer, 0, new Uint8Array(Float32Array.from({ length: 100 }, (_, i) => i).buffer));
    const encoder = gpu.device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    pass.setPipeline(pipeline);
    // The last 6 values are not bound: they stay.
    pass.setBindGroup(0, gpu.bindGroup("double", pipeline, [{ buffer, offset: 0, size: 376 }]));
    pass.dispatchWorkgroups(4);
    pass.end();
    gpu.submit(encoder);
    const [bytes] = await gpu.read([{ buffer, offset: 0, size: 400 }]);
    const expected = Float32Array.from({ length: 100 }, (_, i) => i < 94 ? 2 * i : i);
    expect(new Float32Array(bytes?.buffer ?? new ArrayBuffer(0))).toEqual(expected);
    gpu.destroyBuffer(buffer);
  });

  gpuTest(
    "are compiled once for each code and constants, in whatever order these are written",
    async (gpu) => {
      const code = `override a: u32 = 1; override b: u32 = 1; // ${Math.random()}
      @compute @workgroup_size(a, b) fn main() {}`;
      const before = gpu.counters.pipelinesCreated;
      const [first, second] = await Promise.all([
        gpu.pipeline({ label: "one", code, constants: { a: 2, b: 4 } }),
        gpu.pipeline({ label: "two", code, constants: { b: 4, a: 2 } }),
      ]);
      expect(second).toBe(first);
      const third = await gpu.pipeline({ label: "three", code, constants: { a: 4, b: 2 } });
      expect(third === first).toBe(false);
      expect(gpu.counters.pipelinesCreated).toBe(before + 2);
    },
  );

  gpuTest("that do not compile throw the kernel's label, the line and the source, each time", async (gpu) => {
    const spec = {
      label: "broken",
      code: "@compute @workgroup_size(1) fn main() {\n  unknown_name();\n}",
      constants: {},
    };
    const before = gpu.counters.pipelinesCreated;
    for (let i = 0; i < 2; i++) {
      const error = await thrownBy(() => gpu.pipeline(spec));
      expect(error.code).toBe("gpu_validation");
      expect(error.message).toMatch(
        /^Cannot compile kernel "broken": line 2, column 3: .*unknown_name.* in `unknown_name\(\);`$/,
      );
      expect(error.details).toEqual({ op: "broken" });
    }
    // A failure is not kept: the second try compiled again.
    expect(gpu.counters.pipelinesCreated).toBe(before + 2);
  });

  gpuTest("with a constant that the code does not have are refused", async (gpu) => {
    const error = await thrownBy(() =>
      gpu.pipeline({ label: "constant", code: DOUBLE, constants: { no_such: 1 } })
    );
    expect(error.code).toBe("gpu_validation");
    expect(error.message).toMatch(/^Cannot compile kernel "constant": .*no_such/);
  });

  gpuTest("refuse an empty binding and one that is too large", async (gpu) => {
    const pipeline = await gpu.pipeline({ label: "double", code: DOUBLE, constants: {} });
    const buffer = gpu.createBuffer("values", 256, USAGE);
    expect(() => gpu.bindGroup("double", pipeline, [{ buffer, offset: 0, size: 0 }])).toThrow(
      new RangeError('Cannot bind range 0 of "double": it is empty; leave the dispatch out'),
    );
    const limit = gpu.limits.maxStorageBufferBindingSize;
    const error = await thrownBy(() =>
      gpu.bindGroup("double", pipeline, [{ buffer, offset: 0, size: limit + 4 }])
    );
    expect(error.code).toBe("limit_exceeded");
    expect(error.message).toContain(`of ${limit + 4} bytes: the adapter`);
    gpu.destroyBuffer(buffer);
  });
});

describe("errors of WebGPU", () => {
  gpuTest("become a CairnError with the label inside validated()", async (gpu) => {
    const work = () =>
      gpu.device.createBuffer({ size: 16, usage: BufferUsage.MAP_READ | BufferUsage.STORAGE });
    const error = await thrownBy(() => gpu.validated("bad usage", work));
    expect(error.code).toBe("gpu_validation");
    expect(error.message).toMatch(/^"bad usage" is not valid for WebGPU: ./);
    expect(error.details).toEqual({ op: "bad usage" });
  });

  gpuTest("of overlapping validated() calls do not get mixed up", async (gpu) => {
    const bad = () =>
      gpu.device.createBuffer({ size: 16, usage: BufferUsage.MAP_READ | BufferUsage.STORAGE });
    const slow = (value: number) => async (): Promise<number> => {
      await new Promise((resolve) => setTimeout(resolve, 5));
      return value;
    };
    const outcomes = await Promise.allSettled([
      gpu.validated("first", slow(1)),
      gpu.validated("second", bad),
      gpu.validated("third", slow(3)),
      gpu.validated("fourth", () => gpu.validated("inner", bad)),
    ]);
    const texts = outcomes.map((outcome) =>
      outcome.status === "fulfilled" ? String(outcome.value) : String(outcome.reason.message).split(":")[0]
    );
    expect(texts).toEqual(["1", '"second" is not valid for WebGPU', "3", '"inner" is not valid for WebGPU']);
  });

  ownGpuTest("thrown by the work itself pass through validated(), and leave no scope open", async (gpu) => {
    const sync = await thrownBy(() =>
      gpu.validated("sync", () => {
        throw new TypeError("mine");
      })
    );
    const late = await thrownBy(() =>
      gpu.validated("late", () => Promise.reject(new TypeError("mine, late")))
    );
    expect([sync.message, late.message]).toEqual(["mine", "mine, late"]);
    // A scope that was left open would swallow this one.
    gpu.device.createBuffer({ size: 16, usage: BufferUsage.MAP_READ | BufferUsage.STORAGE });
    expect((await untilThrown(gpu)).code).toBe("gpu_validation");
  });

  ownGpuTest("that no scope caught are thrown by the next call, once", async (gpu) => {
    gpu.device.createBuffer({ size: 16, usage: BufferUsage.MAP_READ | BufferUsage.STORAGE });
    const error = await untilThrown(gpu);
    expect(error.code).toBe("gpu_validation");
    expect(error.message).toMatch(/^"an earlier GPU command" is not valid for WebGPU: ./);
    gpu.assertAlive();
  });
});

describe("a lost device", () => {
  ownGpuTest(
    "is noticed by every call, though WebGPU itself goes on as if nothing were wrong",
    async (gpu) => {
      const buffer = gpu.createBuffer("lost", 16, USAGE);
      const pipeline = await gpu.pipeline({ label: "double", code: DOUBLE, constants: {} });
      const range = { buffer, offset: 0, size: 16 };
      gpu.device.destroy();
      await gpu.device.lost;
      expect(gpu.isLost).toBe(true);
      const calls: Record<string, () => unknown> = {
        assertAlive: () => gpu.assertAlive(),
        createBuffer: () => gpu.createBuffer("late", 16, USAGE),
        pipeline: () => gpu.pipeline({ label: "late", code: DOUBLE, constants: {} }),
        bindGroup: () => gpu.bindGroup("late", pipeline, [range]),
        submit: () => gpu.submit([]),
        validated: () => gpu.validated("late", () => 1),
        write: () => gpu.write(buffer, 0, new Uint8Array(4)),
        read: () => gpu.read([range]),
        idle: () => gpu.idle(),
      };
      for (const [name, call] of Object.entries(calls)) {
        const error = await thrownBy(call);
        expect([name, error.code]).toEqual([name, "device_lost"]);
        expect(error.message).toMatch(
          /was lost \(destroyed: .+\), with everything in its memory; open a new one/,
        );
      }
    },
  );

  ownGpuTest("is noticed by a call that was under way", async (gpu) => {
    const buffer = gpu.createBuffer("lost", 1 << 20, USAGE);
    const calls = [
      gpu.read([{ buffer, offset: 0, size: 1 << 20 }]),
      gpu.idle(),
      gpu.validated("waiting", () => new Promise((resolve) => setTimeout(resolve, 50))),
    ];
    const settled = Promise.allSettled(calls);
    gpu.device.destroy();
    const codes = (await settled).map((outcome) =>
      outcome.status === "rejected" ? outcome.reason.code : "fulfilled"
    );
    expect(codes).toEqual(["device_lost", "device_lost", "device_lost"]);
  });
});

describe("close", () => {
  ownGpuTest("frees every buffer, destroys the device, and may be called twice", async (gpu) => {
    gpu.createBuffer("left", 16, USAGE);
    await gpu.close();
    await gpu.close();
    expect((await gpu.device.lost).reason).toBe("destroyed");
    expect(gpu.counters.buffers).toBe(0);
    const error = await thrownBy(() => gpu.createBuffer("late", 16, USAGE));
    expect(error.code).toBe("closed");
    expect(error.message).toBe("Cannot use the GPU device: it was closed; open a new one");
    expect((await thrownBy(() => gpu.read([]))).code).toBe("closed");
  });
});
