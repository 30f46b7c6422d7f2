import { describe, expect } from "bun:test";
import type { Engine } from "../../src/checkpoint/engine/engine.ts";
import type { TensorStore } from "../../src/tensor/tensor_store.ts";
import { contentsOf, memoryEngine } from "../checkpoint/fixtures.ts";
import { ownGpuTest } from "../helpers/gpu.ts";
import { refuseBuffers } from "../helpers/refuse_buffers.ts";
import { smallRun, withTrainer } from "./fixtures.ts";

describe("a trainer on a GPU that is full", () => {
  ownGpuTest("TS-12 a training run without room for copies saves what one with room saves", async (gpu) => {
    const engines = [await memoryEngine(), await memoryEngine()];
    const contents: Record<string, string>[][] = [];
    for (const [run, engine] of engines.entries()) {
      if (run === 1) refuseBuffers(gpu.device, /^shadow .*of .* slab/);
      await withTrainer(gpu, smallRun(), async ({ trainer, store, tensors }) => {
        trainer.autoSave({ everySteps: 3, savePath: engine });
        const report = await trainer.train({ epochs: 1, progress: false });
        expect(report.failedSaves).toEqual([]);
        // Once, and not for each save.
        const warnings = report.warnings.filter((warning) =>
          warning.startsWith("The GPU has no memory for a copy")
        );
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
