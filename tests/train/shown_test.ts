import { expect } from "bun:test";
import { batchNorm, linear, relu, sequential } from "../../src/nn/nn.ts";
import { MemoryStorage } from "../../src/storage/memory_storage.ts";
import { gpuTest } from "../helpers/gpu.ts";
import { displayed, shown } from "../helpers/shown.ts";
import { blobs, CLASSES, engineOn, FEATURES, HIDDEN, smallRun, withTrainer } from "./fixtures.ts";

gpuTest(
  "console.log of a trainer shows where its run stands, what it is of, and where it is saved",
  async (gpu) => {
    const options = smallRun({ validation: blobs(16, { batchSize: 8 }, 9) });
    await withTrainer(gpu, options, async ({ trainer }) => {
      const parameters = FEATURES * HIDDEN + HIDDEN + HIDDEN * CLASSES + CLASSES;
      const what = `${parameters} parameters, adamw, batches of 8 of 59 examples, on ${gpu.adapterName}`;
      expect(shown(trainer).split("\n")).toEqual([
        "Trainer: 0 steps and 0 whole epochs done",
        `  ${what}`,
        "  not saved: autoSave() was not called",
      ]);
      const storage = new MemoryStorage();
      trainer.autoSave({ savePath: await engineOn(storage), interval: 1, everySteps: 100 });
      await trainer.train({ epochs: 1, progress: false });
      const lines = shown(trainer).split("\n");
      expect(lines[0]).toBe("Trainer: 7 steps and 1 whole epoch done");
      expect(lines[2]).toMatch(
        /^ {2}last epoch: loss \d\.\d{4}, val_loss \d\.\d{4}, val_accuracy [01]\.\d{4}$/,
      );
      expect(lines[3]).toBe("  saved to an engine every epoch and every 100 steps");

      const engine = await engineOn(storage);
      const checkpoint = await engine.load("model_epoch01");
      const [title, provenance, tensors, metrics] = shown(checkpoint).split("\n");
      expect(title).toBe('Checkpoint "model_epoch01" (memory:model_epoch01.cairn)');
      expect(provenance).toMatch(
        /^ {2}step 7, epoch 1, saved \d{4}-\d\d-\d\dT.*, commit \d+, run [0-9a-f]{32}$/,
      );
      expect(tensors).toMatch(/^ {2}\d+ tensors, \d/);
      expect(metrics).toContain("val_loss ");
      await checkpoint.close();
    });
  },
);

gpuTest("TR-05 summary() says the buffers of each layer, and shows itself in a notebook", async (gpu) => {
  const model = sequential(linear(FEATURES, HIDDEN), batchNorm(HIDDEN), relu(), linear(HIDDEN, CLASSES));
  await withTrainer(gpu, smallRun({ model }), ({ trainer }) => {
    const summary = trainer.summary();
    expect(summary.layers.map(({ path, buffers }) => [path, buffers])).toContainEqual(["1", 2 * HIDDEN]);
    expect([summary.buffers, summary.bufferBytes]).toEqual([2 * HIDDEN, 4 * 2 * HIDDEN]);
    expect(String(summary)).toContain(`${2 * HIDDEN} elements of buffers (${8 * HIDDEN} B)`);
    const forms = displayed(summary);
    expect(forms["text/plain"]).toBe(String(summary));
    expect(forms["text/html"]?.startsWith("<pre>path")).toBe(true);
    return Promise.resolve();
  });
});
