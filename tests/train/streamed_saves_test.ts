import { describe, expect } from "bun:test";
import type { Engine } from "../../src/checkpoint/engine.ts";
import type { TensorStore } from "../../src/tensor/tensor_store.ts";
import { contentsOf, memoryEngine } from "../checkpoint/fixtures.ts";
import { ownGpuTest } from "../helpers/gpu.ts";
import { smallRun, withTrainer } from "./fixtures.ts";

describe("a trainer on a GPU that is full", () => {
  ownGpuTest("TS-12 a training run without room for copies saves what one with room saves", async (gpu) => {
    const engines = [await memoryEngine(), await memoryEngine()];
    const contents: Record<string, string>[][] = [];
    for (const [run, engine] of engines.entries()) {
      if (run === 1) refuseShadows(gpu.device);
      await withTrainer(gpu, smallRun(), async ({ trainer, store, tensors }) => {
        trainer.autoSave({ everySteps: 3, savePath: engine });
        const report = await trainer.train({ epochs: 1, progress: false });
        expect(report.failedSaves).toEqual([]);
        // Once, and not for each save.
        const warnings = report.warnings.filter((warning) => warning.startsWith("The GPU has no room"));
        expect(warnings.length).toBe(run);
        expect(report.saves.map(({ report }) => report.staging)).toEqual(
          Array(3).fill(run === 1 ? "streamed" : "shadow"),
        );
        const after = await tensors();
        const all = [after];
        for (const { tag } of report.saves) all.push(await savedContents(engine, tag, store));
        contents.push(all);
      });
    }
    expect(contents[1]).toEqual(contents[0] as never);
  });
});

/** Has `device` say that memory ran out whenever a copy of the store is allocated. */
function refuseShadows(device: GPUDevice): void {
  const createBuffer = device.createBuffer.bind(device);
  const popErrorScope = device.popErrorScope.bind(device);
  const pushErrorScope = device.pushErrorScope.bind(device);
  const filters: { filter: GPUErrorFilter; isStarved: boolean }[] = [];
  const patch = (name: string, value: unknown): void => {
    Object.defineProperty(device, name, { value, configurable: true });
  };
  patch("pushErrorScope", (filter: GPUErrorFilter) => {
    filters.push({ filter, isStarved: false });
    pushErrorScope(filter);
  });
  patch("createBuffer", (descriptor: GPUBufferDescriptor) => {
    const isShadow = /^shadow .*of .* slab/.test(descriptor.label ?? "");
    const scope = filters.findLast(({ filter }) => filter === "out-of-memory");
    if (isShadow && scope !== undefined) scope.isStarved = true;
    return createBuffer(descriptor);
  });
  patch("popErrorScope", async () => {
    const isStarved = filters.pop()?.isStarved ?? false;
    const error = await popErrorScope();
    return isStarved ? { message: "not enough memory" } : error;
  });
}

async function savedContents(
  engine: Engine,
  tag: string,
  store: TensorStore,
): Promise<Record<string, string>> {
  const checkpoint = await engine.load(tag);
  await checkpoint.loadInto(store);
  await checkpoint.close();
  return await contentsOf(store);
}
