import { describe, expect, test } from "bun:test";
import { BufferUsage, MapMode } from "../../src/gpu/constants.ts";
import { FakeDevice, type LossStyle } from "../helpers/fake_device.ts";
import { gpuTest } from "../helpers/gpu.ts";
import { type GpuCall, hookedDevice } from "../helpers/hooked_device.ts";
import { thrownBy } from "../helpers/thrown.ts";

// The made-up device proves nothing unless it behaves as real ones do: what can be asked of both is asked of both.

const STORED = BufferUsage.COPY_SRC | BufferUsage.COPY_DST;
const STAGING = BufferUsage.MAP_READ | BufferUsage.COPY_DST;
const BYTES = Uint8Array.from({ length: 64 }, (_, index) => index + 1);

/** What came through two copies, and the errors of a scope around them. */
async function copyThrough(
  device: GPUDevice,
  change: (buffers: { source: GPUBuffer; middle: GPUBuffer; staging: GPUBuffer }) => void = () => {},
): Promise<{ bytes: number[] | undefined; error: string | undefined }> {
  device.pushErrorScope("validation");
  const source = device.createBuffer({ size: 64, usage: STORED });
  const middle = device.createBuffer({ size: 128, usage: STORED });
  const staging = device.createBuffer({ size: 64, usage: STAGING });
  device.queue.writeBuffer(source, 0, BYTES);
  change({ source, middle, staging });
  const encoder = device.createCommandEncoder();
  encoder.copyBufferToBuffer(source, 0, middle, 64, 64);
  encoder.copyBufferToBuffer(middle, 64, staging, 0, 64);
  device.queue.submit([encoder.finish()]);
  // After the submit: it comes too late for the copy.
  if (change.length === 0) device.queue.writeBuffer(source, 0, new Uint8Array(64));
  const error = await device.popErrorScope();
  let bytes: number[] | undefined;
  if (error === null) {
    await staging.mapAsync(MapMode.READ);
    bytes = [...new Uint8Array(staging.getMappedRange())];
    staging.unmap();
  }
  for (const buffer of [source, middle, staging]) buffer.destroy();
  return { bytes, error: error?.constructor.name };
}

const SHARED: readonly (readonly [name: string, check: (device: GPUDevice) => Promise<void>])[] = [
  ["copies in the order of the submits", async (device) => {
    expect(await copyThrough(device)).toEqual({ bytes: [...BYTES], error: undefined });
  }],
  ["refuses a copy to a buffer that was destroyed, in its scope", async (device) => {
    const { error } = await copyThrough(device, ({ middle }) => middle.destroy());
    expect(error).toBe("GPUValidationError");
  }],
  ["takes mapped memory away when it is unmapped", async (device) => {
    const staging = device.createBuffer({ size: 16, usage: STAGING });
    await staging.mapAsync(MapMode.READ, 0, 8);
    const range = staging.getMappedRange(0, 8);
    expect(range.byteLength).toBe(8);
    staging.unmap();
    expect(range.byteLength).toBe(0);
    staging.destroy();
  }],
  ["has nothing to say in a scope in which nothing was wrong", async (device) => {
    device.pushErrorScope("out-of-memory");
    device.createBuffer({ size: 16, usage: STORED }).destroy();
    expect(await device.popErrorScope()).toBe(null);
  }],
  ["says of a buffer that is too large that it is not valid", async (device) => {
    device.pushErrorScope("validation");
    const size = Math.floor(device.limits.maxBufferSize / 4) * 4 + 4;
    const buffer = device.createBuffer({ size, usage: STORED });
    expect((await device.popErrorScope())?.constructor.name).toBe("GPUValidationError");
    buffer.destroy();
  }],
];

describe("a made-up device", () => {
  for (const [name, check] of SHARED) test(name, () => check(new FakeDevice().device));

  test("reports an error to the innermost scope, or to the listener where there is none", async () => {
    const fake = new FakeDevice();
    const heard: string[] = [];
    fake.device.addEventListener("uncapturederror", (event) => heard.push(event.error.message));
    fake.device.pushErrorScope("out-of-memory");
    fake.device.pushErrorScope("validation");
    fake.allocate = () => "out-of-memory";
    fake.createBuffer({ label: "slab", size: 16, usage: STORED });
    expect(await fake.device.popErrorScope()).toBe(null);
    expect((await fake.device.popErrorScope())?.constructor.name).toBe("GPUOutOfMemoryError");
    fake.createBuffer({ label: "slab", size: 16, usage: STORED });
    expect(heard).toEqual(['Buffer "slab" of 16 bytes cannot be had']);
    expect(fake.live).toEqual(["slab", "slab"]);
  });

  for (const style of ["abrupt", "silent"] as const satisfies LossStyle[]) {
    test(`that is lost takes mapped memory along (${style})`, async () => {
      const fake = new FakeDevice({ lossStyle: style });
      const [mapped, pending] = [0, 1].map(() => fake.device.createBuffer({ size: 16, usage: STAGING }));
      if (mapped === undefined || pending === undefined) throw new Error("no buffers");
      await mapped.mapAsync(MapMode.READ);
      const range = mapped.getMappedRange();
      const mapping = pending.mapAsync(MapMode.READ).then(() => "mapped", (error) => error.name);
      fake.lose();
      expect(range.byteLength).toBe(0);
      expect(await mapping).toBe(style === "abrupt" ? "AbortError" : "mapped");
      expect((await fake.lost).reason).toBe("unknown");
      expect((await thrownBy(() => pending.mapAsync(MapMode.READ))).name).toBe("OperationError");
    });
  }
});

describe("a real device", () => {
  for (const [name, check] of SHARED) gpuTest(name, (gpu) => check(gpu.device));

  gpuTest("works behind hooks, which see each call and each await", async (gpu) => {
    const calls: GpuCall[] = [];
    const hooked = hookedDevice(gpu.device, (call) => calls.push(call));
    expect((await copyThrough(hooked)).bytes).toEqual([...BYTES]);
    const seen = calls.map(({ op, phase }) => `${op} ${phase}`);
    for (const op of ["createBuffer", "writeBuffer", "submit", "getMappedRange"]) {
      expect(seen).toContain(`${op} called`);
    }
    expect(seen.filter((name) => name.startsWith("mapAsync"))).toEqual([
      "mapAsync called",
      "mapAsync asked",
      "mapAsync settled",
    ]);
  });
});
