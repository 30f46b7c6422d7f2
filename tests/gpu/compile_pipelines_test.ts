import { describe, expect, test } from "bun:test";
import { deferred } from "../../src/base/deferred.ts";
import type { WorkProgress } from "../../src/base/work.ts";
import { compilePipelines, sharedListener } from "../../src/gpu/compile_pipelines.ts";
import type { PipelineSpec } from "../../src/gpu/compute_pipeline.ts";
import type { GpuDevice } from "../../src/gpu/gpu_device.ts";
import { ownGpuTest } from "../helpers/gpu.ts";
import { thrownBy } from "../helpers/thrown.ts";

function kernel(value: number, label = `kernel ${value}`): PipelineSpec {
  return { label, code: `@compute @workgroup_size(1) fn main() { _ = ${value}u; }`, constants: {} };
}

/** A device whose pipelines are done when a test says so. */
class SlowDevice {
  readonly begun: { readonly label: string; readonly finish: (error?: Error) => void }[] = [];
  readonly hasBlockingFences: boolean;
  readonly #known = new Set<string>();

  constructor(hasBlockingFences: boolean) {
    this.hasBlockingFences = hasBlockingFences;
  }

  get asGpu(): GpuDevice {
    return this as unknown as GpuDevice;
  }

  hasPipeline({ code }: PipelineSpec): boolean {
    return this.#known.has(code);
  }

  pipeline({ label, code }: PipelineSpec): Promise<GPUComputePipeline> {
    this.#known.add(code);
    const { promise, resolve, reject } = deferred();
    this.begun.push({ label, finish: (error) => error === undefined ? resolve() : reject(error) });
    return promise.then(() => ({ label }) as GPUComputePipeline);
  }
}

async function turns(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setTimeout(resolve, 0));
}

describe("pipelines of a program", () => {
  test("TR-07 are compiled beside one another, each once, and told of one by one", async () => {
    const device = new SlowDevice(false);
    const told: WorkProgress[] = [];
    const specs = [kernel(1), kernel(2), kernel(1, "another name"), kernel(3)];
    const compiling = compilePipelines(device.asGpu, specs, (progress) => told.push(progress));
    expect(device.begun.map(({ label }) => label)).toEqual(["kernel 1", "kernel 2", "kernel 3"]);
    expect(told).toEqual([{ done: 0, total: 3 }]);
    device.begun[2]?.finish();
    await turns();
    expect(told.slice(1)).toEqual([{ done: 1, total: 3 }]);
    device.begun[0]?.finish();
    device.begun[1]?.finish();
    const made = await compiling;
    expect(made.map(({ label }) => label)).toEqual(["kernel 1", "kernel 2", "kernel 1", "kernel 3"]);
    expect(told.at(-1)).toEqual({ done: 3, total: 3 });
  });

  test("TR-07 are compiled one after the other where a call compiles, with a turn of the event loop in between", async () => {
    const device = new SlowDevice(true);
    const told: number[] = [];
    const compiling = compilePipelines(
      device.asGpu,
      [kernel(1), kernel(2)],
      ({ done }) => told.push(done),
    );
    expect(device.begun).toHaveLength(0);
    await turns();
    expect(device.begun.map(({ label }) => label)).toEqual(["kernel 1"]);
    device.begun[0]?.finish();
    await turns();
    expect(told).toEqual([0, 1]);
    device.begun[1]?.finish();
    expect(await compiling).toHaveLength(2);
    expect(told).toEqual([0, 1, 2]);
  });

  test("that cannot be compiled are told of when all others are done", async () => {
    const device = new SlowDevice(false);
    const compiling = thrownBy(() => compilePipelines(device.asGpu, [kernel(1), kernel(2)]));
    let isOver = false;
    void compiling.then(() => isOver = true);
    device.begun[0]?.finish(new Error("no such builtin"));
    await turns();
    expect(isOver).toBe(false);
    device.begun[1]?.finish();
    expect((await compiling).message).toBe("no such builtin");
  });

  test("nothing is told of a program without kernels", async () => {
    const told: WorkProgress[] = [];
    expect(await compilePipelines(new SlowDevice(false).asGpu, [], (progress) => told.push(progress)))
      .toEqual([]);
    expect(told).toEqual([]);
  });

  ownGpuTest("TR-07 are compiled on this adapter, and are known afterwards", async (gpu) => {
    const specs = Array.from({ length: 6 }, (_, index) => kernel(100 + index));
    const told: WorkProgress[] = [];
    const made = await compilePipelines(gpu, specs, (progress) => told.push(progress));
    expect(new Set(made).size).toBe(6);
    expect(told.map(({ done, total }) => `${done}/${total}`)).toEqual([
      "0/6",
      "1/6",
      "2/6",
      "3/6",
      "4/6",
      "5/6",
      "6/6",
    ]);
    expect(specs.every((spec) => gpu.hasPipeline(spec))).toBe(true);
    expect(gpu.counters.pipelinesCreated).toBe(6);
  });
});

describe("a listener for several programs", () => {
  test("TR-07 hears of all of their kernels together", () => {
    const told: string[] = [];
    const listener = sharedListener(({ done, total }) => told.push(`${done}/${total}`));
    const [a, b] = [listener(), listener()];
    a?.({ done: 0, total: 3 });
    b?.({ done: 0, total: 2 });
    b?.({ done: 1, total: 2 });
    a?.({ done: 3, total: 3 });
    expect(told).toEqual(["0/3", "0/5", "1/5", "4/5"]);
    expect(sharedListener(undefined)()).toBeUndefined();
  });
});
