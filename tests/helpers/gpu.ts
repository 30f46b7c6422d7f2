import { test } from "bun:test";
import process from "node:process";
import { CairnError } from "../../src/base/errors.ts";
import type { GpuOptions } from "../../src/gpu/find_gpu.ts";
import { GpuDevice } from "../../src/gpu/gpu_device.ts";

/** Options for the tests' devices: `CAIRN_GPU_PROVIDER=dawn` or `=native` picks the provider. */
export function gpuTestOptions(): GpuOptions {
  const provider = process.env.CAIRN_GPU_PROVIDER;
  return provider === "dawn" || provider === "native" ? { provider } : {};
}

/** One device for all tests of a file (in Bun for all files). It lives as long as the process. */
let shared: Promise<GpuDevice | undefined> | undefined;
let skipped = 0;

/** Opens a device, or gives `undefined` where the machine has no adapter. */
async function openTestGpu(): Promise<GpuDevice | undefined> {
  try {
    return await GpuDevice.open(gpuTestOptions());
  } catch (error) {
    const isMissing = error instanceof CairnError &&
      (error.code === "no_webgpu" || error.code === "no_adapter");
    if (!isMissing || process.env.REQUIRE_GPU === "1") throw error;
    return undefined;
  }
}

function printSkip(name: string): void {
  skipped += 1;
  console.log(`SKIP gpu: ${name} (no adapter; ${skipped} skipped so far)`);
}

/** Fails the test when a GPU command was not valid, in a scope around everything the test does. */
async function inScope(gpu: GpuDevice, body: () => unknown): Promise<void> {
  const { device } = gpu;
  device.pushErrorScope("validation");
  const [outcome] = await Promise.allSettled([(async () => await body())()]);
  const error = await device.popErrorScope();
  if (error !== null) throw new Error(`A GPU command of this test was not valid: ${error.message}`);
  if (outcome.status === "rejected") throw outcome.reason;
}

/**
 * A test on a GPU. The device is shared and lent: close what you make on it, because the test fails when buffers are
 * left.
 *
 * Without an adapter it prints `SKIP gpu: …` and passes; with REQUIRE_GPU=1 it fails instead.
 */
export function gpuTest(name: string, body: (gpu: GpuDevice) => unknown, timeoutMs: number = 600_000): void {
  test(name, async () => {
    const gpu = await (shared ??= openTestGpu());
    if (gpu === undefined) return printSkip(name);
    const before = gpu.counters.buffers;
    await inScope(gpu, () => body(gpu));
    gpu.assertAlive();
    const left = gpu.counters.buffers - before;
    if (left !== 0) throw new Error(`This test left ${left} live GPU buffers behind`);
  }, timeoutMs);
}

/** A test on a device of its own, which it may lose or close. Skipped and counted as {@link gpuTest} is. */
export function ownGpuTest(
  name: string,
  body: (gpu: GpuDevice) => unknown,
  timeoutMs: number = 600_000,
): void {
  test(name, async () => {
    const gpu = await openTestGpu();
    if (gpu === undefined) return printSkip(name);
    try {
      await body(gpu);
    } finally {
      await gpu.close();
    }
  }, timeoutMs);
}
