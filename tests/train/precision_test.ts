import { describe, expect } from "bun:test";
import { CairnError } from "../../src/base/errors.ts";
import { assertResumeExact } from "../../src/train/assert_resume_exact.ts";
import { batchNorm, flatten, gelu, linear, relu, sequential, transformerBlock } from "../../src/nn/nn.ts";
import { reshape } from "../../src/graph/ops/views.ts";
import { mse } from "../../src/nn/losses/mse.ts";
import type { Layer } from "../../src/nn/layer.ts";
import { HostTensor } from "../../src/tensor/host_tensor.ts";
import type { TensorStore } from "../../src/tensor/tensor_store.ts";
import { DataLoader } from "../../src/data/data_loader.ts";
import { MemoryStorage } from "../../src/storage/memory_storage.ts";
import type { TrainerOptions } from "../../src/train/trainer.ts";
import { gpuTest } from "../helpers/gpu.ts";
import { thrownBy } from "../helpers/thrown.ts";
import { BATCH, CLASSES, engineOn, FEATURES, HIDDEN, numbers, smallRun, withTrainer } from "./fixtures.ts";

const QUIET = { progress: false } as const;
const normed = sequential(linear(FEATURES, HIDDEN), batchNorm(HIDDEN), relu(), linear(HIDDEN, CLASSES));

/** What the loss of {@link wideRun} keeps: how far each output is from its label, in f32. */
const OF_LOSS = 4 * 32 * 64;

/** Layers of 64 on 32 examples: almost all of its memory is activations. */
function wideRun(overrides: Partial<TrainerOptions> = {}): TrainerOptions {
  const random = numbers(3);
  const filled = (length: number) => Float32Array.from({ length }, () => random() - 0.5);
  const layers = Array.from({ length: 4 }, (): Layer[] => [linear(64, 64), gelu()]).flat();
  return smallRun({
    model: sequential(...layers),
    loss: mse(),
    data: DataLoader.from({
      inputs: HostTensor.from(filled(64 * 64), [64, 64]),
      labels: HostTensor.from(filled(64 * 64), [64, 64]),
    }, { batchSize: 32 }),
    ...overrides,
  });
}

describe("training in 16 bits", () => {
  gpuTest("MP-01 bf16 takes half of the memory of activations, and trains as f32 does", async (gpu) => {
    const measure = (precision: "f32" | "bf16") =>
      withTrainer(gpu, wideRun({ precision }), async ({ trainer }) => {
        const { memory } = await trainer.explain({ times: false });
        await trainer.train({ steps: 12, ...QUIET });
        return { ...memory, loss: trainer.history.lastLoss ?? NaN };
      });
    const [full, half] = [await measure("f32"), await measure("bf16")];
    expect(half.activations - OF_LOSS).toBe((full.activations - OF_LOSS) / 2);
    expect(half.activations).toBeGreaterThan(4 * 32 * 64 * 2);
    expect(half.store).toBe(full.store);
    expect(half.loss).not.toBe(full.loss);
    expect(Math.abs(half.loss - full.loss)).toBeLessThan(Math.max(0.01 * full.loss, 0.005));
  });

  gpuTest("MP-01 explain() prints what activations take", async (gpu) => {
    await withTrainer(gpu, smallRun({ precision: "bf16" }), async ({ trainer }) => {
      expect(String(await trainer.explain({ times: false }))).toMatch(/activations [\d.]+ k?B\)/);
    });
  });

  const runs: Readonly<Record<string, Partial<TrainerOptions>>> = {
    "a perceptron with dropout": {},
    "batch norm, in pieces of a batch": { model: normed, microBatchSize: BATCH / 2 },
    "attention and layer norm": {
      model: sequential(
        (inputs) => reshape(inputs, [-1, FEATURES / 2, 2]),
        transformerBlock(2, 1, { causal: true }),
        flatten(),
        linear(FEATURES, CLASSES),
      ),
    },
  };
  for (const [name, overrides] of Object.entries(runs)) {
    gpuTest(`MP-01 ${name} in bf16 resumes bit for bit`, async (gpu) => {
      await withTrainer(gpu, smallRun({ ...overrides, precision: "bf16" }), async ({ trainer }) => {
        await trainer.train({ steps: 3, ...QUIET });
        await assertResumeExact(trainer, { steps: 5 });
        expect(Number.isFinite(trainer.history.lastLoss)).toBe(true);
      });
    });
  }

  gpuTest("MP-01 what is not finite in bf16 is found, and changes nothing", async (gpu) => {
    const options = smallRun({ precision: "bf16" });
    await withTrainer(gpu, options, async ({ trainer, store, tensors }) => {
      await trainer.train({ steps: 2, ...QUIET });
      const { "model.0.bias": bias } = Object.fromEntries(await store.read(["model.0.bias"]));
      const elements = Float32Array.from(bias?.toArray() as Float32Array);
      elements[0] = Infinity;
      store.write({ "model.0.bias": HostTensor.from(elements) });
      const before = await tensors();
      const found = await trainer.findNonFinite();
      expect(found).toMatchObject({ layer: "0", value: Infinity });
      expect(await tensors()).toEqual(before);
    });
  });

  gpuTest("MP-01 precision is a part of what a run is", async (gpu) => {
    const storage = new MemoryStorage();
    const run = (precision: "f32" | "bf16") => smallRun({ precision });
    await withTrainer(gpu, run("f32"), async ({ trainer }) => {
      trainer.autoSave({ savePath: await engineOn(storage), everySteps: 2 });
      await trainer.train({ steps: 2, ...QUIET });
    });
    await withTrainer(gpu, run("bf16"), async ({ trainer }) => {
      trainer.autoSave({ savePath: await engineOn(storage), everySteps: 2 });
      const error = await thrownBy(() => trainer.resume()) as CairnError;
      expect(error.code).toBe("state_mismatch");
      expect(error.message).toContain("precision f32, this one bf16");
      const { changed } = await trainer.resume({ allow: ["precision"] });
      expect(changed.map(({ what }) => what)).toEqual(["precision"]);
      await trainer.train({ steps: 4, ...QUIET });
      expect(trainer.step).toBe(4);
    });
  });

  gpuTest("MP-01 a precision that there is not is refused", async (gpu) => {
    const wrong = smallRun({ precision: "fp8" as "bf16" });
    const error = await thrownBy(() => withTrainer(gpu, wrong, () => Promise.resolve()));
    expect(error.message).toContain('precision is "f32", "bf16" or "f16", found "fp8"');
  });
});

/** The scale of the loss, and updates since it changed. */
async function lossScale(store: TensorStore): Promise<{ scale: number; updates: number }> {
  const read = await store.read(["trainer.loss_scale", "trainer.control"]);
  const words = Uint32Array.from(read.get("trainer.loss_scale")?.toArray() as Uint32Array);
  return { scale: new Float32Array(words.buffer)[0] ?? NaN, updates: words[1] ?? NaN };
}

function setLossScale(store: TensorStore, scale: number, updates: number): void {
  const words = Uint32Array.of(0, updates);
  new Float32Array(words.buffer)[0] = scale;
  store.write({ "trainer.loss_scale": HostTensor.from(words) });
}

describe("training in f16", () => {
  gpuTest("MP-01 f16 takes half of the memory of activations, and trains as f32 does", async (gpu) => {
    const measure = (precision: "f32" | "f16") =>
      withTrainer(gpu, wideRun({ precision }), async ({ trainer }) => {
        const { memory } = await trainer.explain({ times: false });
        await trainer.train({ steps: 12, ...QUIET });
        return { ...memory, loss: trainer.history.lastLoss ?? NaN };
      });
    const [full, half] = [await measure("f32"), await measure("f16")];
    expect(half.activations - OF_LOSS).toBe((full.activations - OF_LOSS) / 2);
    expect(half.loss).not.toBe(full.loss);
    expect(Math.abs(half.loss - full.loss)).toBeLessThan(Math.max(0.01 * full.loss, 0.005));
  });

  gpuTest(
    "MP-01 the scale of the loss is kept in the store, and doubled after 2,000 updates",
    async (gpu) => {
      await withTrainer(gpu, smallRun({ precision: "f16" }), async ({ trainer, store }) => {
        await trainer.train({ steps: 3, ...QUIET });
        expect(await lossScale(store)).toEqual({ scale: 65_536, updates: 3 });
        setLossScale(store, 1024, 1999);
        await trainer.train({ steps: 4, ...QUIET });
        expect(await lossScale(store)).toEqual({ scale: 2048, updates: 0 });
      });
    },
  );

  gpuTest("MP-01 a scale that makes gradients overflow is halved until they do not", async (gpu) => {
    await withTrainer(gpu, smallRun({ precision: "f16" }), async ({ trainer, store }) => {
      await trainer.train({ steps: 2, ...QUIET });
      const updates = async () =>
        (await store.read(["trainer.control"])).get("trainer.control")?.toArray()[2];
      setLossScale(store, 2 ** 24, 7);
      const weights = async () => (await store.read(["model.0.weight"])).get("model.0.weight");
      const before = await weights();
      await trainer.train({ steps: 3, ...QUIET });
      expect(await lossScale(store)).toEqual({ scale: 2 ** 23, updates: 0 });
      expect(await weights()).toEqual(before);
      expect(await updates()).toBe(2);
      await trainer.train({ steps: 20, ...QUIET });
      const { scale } = await lossScale(store);
      expect(scale).toBeGreaterThan(1);
      expect(scale).toBeLessThan(2 ** 23);
      // Each halving was a step without an update, and its loss is there all the same.
      expect(await updates()).toBe(20 - Math.log2(2 ** 24 / scale));
      expect([...trainer.history.loss].every(Number.isFinite)).toBe(true);
      await assertResumeExact(trainer, { steps: 3 });
    });
  });

  gpuTest("MP-01 what is not finite at a scale of 1 stops the run, as a loss that is not", async (gpu) => {
    for (const injected of ["weight", "scale"]) {
      await withTrainer(gpu, smallRun({ precision: "f16" }), async ({ trainer, store }) => {
        await trainer.train({ steps: 2, ...QUIET });
        if (injected === "scale") setLossScale(store, 1, 0);
        const [bias] = (await store.read(["model.3.bias"])).values();
        const elements = Float32Array.from(bias?.toArray() as Float32Array).fill(NaN);
        store.write({ "model.3.bias": HostTensor.from(elements) });
        const error = await thrownBy(() => trainer.train({ steps: 4, ...QUIET })) as CairnError;
        expect(error.code).toBe("non_finite");
      });
    }
  });
});
