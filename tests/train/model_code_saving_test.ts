import { describe, expect } from "bun:test";
import { readModelCode } from "../../src/checkpoint/file/read_model_code.ts";
import { gpuTest } from "../helpers/gpu.ts";
import { engineOn, smallRun, withTrainer } from "./fixtures.ts";

describe("the model's code", () => {
  gpuTest("NN-09 automatic saving keeps it in every checkpoint, once it was given", async (gpu) => {
    const engine = await engineOn();
    const modelCode = await readModelCode(import.meta.url);
    await withTrainer(gpu, smallRun(), async ({ trainer }) => {
      trainer.autoSave({ interval: 1, savePath: engine, name: "e{epoch}" });
      await trainer.train({ epochs: 1, progress: false });
      trainer.autoSave({ modelCode });
      await trainer.train({ epochs: 2, progress: false });
      trainer.autoSave({ modelCode: null });
      await trainer.train({ epochs: 3, progress: false });
    });
    const found = [];
    for (const tag of await engine.list()) {
      const checkpoint = await engine.load(tag);
      found.push(checkpoint.modelCode);
      await checkpoint.close();
    }
    expect(found).toEqual([undefined, modelCode, undefined]);
  });

  gpuTest("NN-09 a value that is no code is refused, or only a warning when lenient", async (gpu) => {
    await withTrainer(gpu, smallRun(), ({ trainer }) => {
      const modelCode = "code" as unknown as null;
      expect(() => trainer.autoSave({ interval: 1, modelCode })).toThrow(
        "modelCode is what readModelCode() gave, or null, found string",
      );
      const warnings: string[] = [];
      trainer.autoSave({ interval: 1, modelCode }, (warning) => warnings.push(warning));
      expect(warnings.length).toBe(1);
      return Promise.resolve();
    });
  });
});
