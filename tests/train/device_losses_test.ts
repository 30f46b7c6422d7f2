import { Buffer } from "node:buffer";
import { describe, expect } from "bun:test";
import { Snapshot } from "../../src/checkpoint/snapshot.ts";
import { GpuDevice } from "../../src/gpu/gpu_device.ts";
import { MemoryStorage } from "../../src/storage/memory_storage.ts";
import { HostTensor } from "../../src/tensor/host_tensor.ts";
import { TensorStore } from "../../src/tensor/tensor_store.ts";
import { Trainer, type TrainerOptions } from "../../src/train/trainer.ts";
import type { TrainOptions } from "../../src/train/train_options.ts";
import { HookedStorage } from "../helpers/hooked_storage.ts";
import { gpuTest, gpuTestOptions } from "../helpers/gpu.ts";
import { thrownBy } from "../helpers/thrown.ts";
import { until } from "../helpers/turns.ts";
import { BATCH, blobs, engineOn, smallRun } from "./fixtures.ts";

const EPOCHS = 4;

function options(): TrainerOptions {
  return smallRun({ validation: blobs(20, { batchSize: BATCH }) });
}

interface Lossy {
  readonly store: TensorStore;
  readonly trainer: Trainer;
  /** Destroys the device, as the reset of a driver does. */
  lose(): void;
  bits(): Promise<unknown>;
}

/** A trainer on a device of its own, which the test may lose. */
async function onOwnDevice<T>(body: (made: Lossy) => Promise<T>): Promise<T> {
  const store = await TensorStore.open(gpuTestOptions());
  const trainer = new Trainer(store, options());
  try {
    return await body({
      store,
      trainer,
      lose: () => store.gpu.device.destroy(),
      async bits() {
        const tensors = await store.read(store.tensors().map(({ name }) => name));
        const { loss, epochs } = trainer.history;
        return {
          step: trainer.step,
          loss: [...new Uint32Array(loss.buffer)],
          epochs,
          tensors: [...tensors].map(([name, { bytes }]) => [name, Buffer.from(bytes).toString("hex")]),
        };
      },
    });
  } finally {
    await trainer.close().catch(() => undefined);
    await store.close();
  }
}

/** The bits of a run that nothing happened to; the same for every test, and so it is done once. */
let undisturbed: Promise<unknown> | undefined;

function expectedBits(): Promise<unknown> {
  return undisturbed ??= onOwnDevice(async ({ trainer, bits }) => {
    await trainer.train({ epochs: EPOCHS, progress: false });
    return await bits();
  });
}

function train(trainer: Trainer, more: Partial<TrainOptions> = {}) {
  return trainer.train({ epochs: EPOCHS, progress: false, onDeviceLost: "rebuild", ...more });
}

describe("a lost device", () => {
  // The shared device is not used: each test loses one of its own.
  gpuTest("ends the training with device_lost, and recover() goes on with the same bits", async () => {
    const expected = await expectedBits();
    await onOwnDevice(async ({ store, trainer, lose, bits }) => {
      trainer.autoSave({ everySteps: 5, savePath: await engineOn() });
      const before = store.gpu;
      const saved = new Set<number>();
      const error = await thrownBy(() =>
        trainer.train({
          epochs: EPOCHS,
          progress: false,
          onSave: ({ step }) => void saved.add(step),
          onStep: async ({ step }) => {
            if (step !== 13) return;
            await until(() => saved.has(10));
            lose();
          },
        })
      );
      expect(error.code).toBe("device_lost");
      expect((await thrownBy(() => trainer.train({ epochs: EPOCHS }))).code).toBe("device_lost");
      const report = await trainer.recover();
      expect([report.resumedFrom, report.step, trainer.step]).toEqual(["step-00000010", 10, 10]);
      expect(store.gpu).not.toBe(before);
      expect(before.counters.buffers).toBe(0);
      expect((await trainer.train({ epochs: EPOCHS, progress: false })).steps).toBe(4 * 7 - 10);
      expect(await bits()).toEqual(expected);
    });
  }, 600_000);

  gpuTest("is replaced during train() where that is asked for, as often as it takes", async () => {
    const expected = await expectedBits();
    await onOwnDevice(async ({ trainer, lose, bits }) => {
      trainer.autoSave({ everySteps: 4, interval: 1, savePath: await engineOn() });
      const losses = [6, 7, 18];
      const steps: number[] = [];
      const saved = new Set<number>();
      const report = await train(trainer, {
        onSave: ({ step }) => void saved.add(step),
        onStep: async ({ step }) => {
          steps.push(step);
          if (step !== losses[0]) return;
          losses.shift();
          await until(() => saved.has(step < 18 ? 4 : 16));
          lose();
        },
      });
      expect([report.steps, report.endedBy, report.exitCode]).toEqual([28, "end", 0]);
      expect(report.warnings.filter((text) => text.includes("was lost"))).toHaveLength(3);
      expect(report.warnings.find((text) => text.includes("was lost"))).toContain(
        'the run went on from "step-00000004" at step 4',
      );
      // Step 5 was done at first and after each of the two losses that went back to step 4.
      expect(steps.filter((step) => step === 5)).toHaveLength(3);
      expect(await bits()).toEqual(expected);
    });
  }, 600_000);

  for (
    const [when, step] of [["in the middle of a save", 14], ["in the middle of the last save", 28]] as const
  ) {
    gpuTest(`${when} fails that save only, and training goes on`, async () => {
      const expected = await expectedBits();
      await onOwnDevice(async ({ trainer, lose, bits }) => {
        let isArmed = false;
        let wasArmed = false;
        const storage = new HookedStorage(new MemoryStorage(), {
          before: ({ op }) => {
            if (!isArmed || op !== "createExclusive") return;
            isArmed = false;
            lose();
          },
        });
        trainer.autoSave({ everySteps: 7, savePath: await engineOn(storage) });
        const saved = new Set<number>();
        const report = await train(trainer, {
          onSave: (record) => void saved.add(record.step),
          onStep: async (event) => {
            if (event.step !== step - 1 || wasArmed) return;
            await until(() => saved.has(step - 7));
            isArmed = true;
            wasArmed = true;
          },
        });
        const failed = report.failedSaves.map(({ step, error }) => [step, (error as { code?: string }).code]);
        expect(new Set(failed.map(String))).toEqual(new Set([`${step},device_lost`]));
        expect(report.saves.map(({ step }) => step)).toEqual([7, 14, 21, 28]);
        expect(await bits()).toEqual(expected);
      });
    }, 600_000);
  }

  gpuTest("that is lost again at the same step is given up after three", async () => {
    await onOwnDevice(async ({ trainer, lose }) => {
      trainer.autoSave({ everySteps: 2, savePath: await engineOn() });
      let lost = 0;
      let saved = 0;
      const error = await thrownBy(() =>
        train(trainer, {
          onSave: () => void (saved += 1),
          onStep: async ({ step }) => {
            if (step !== 3) return;
            await until(() => saved > 0);
            lost += 1;
            lose();
          },
        })
      );
      expect(error.code).toBe("device_lost");
      // Some runtimes notice it a step later, which looks like a step further the first time.
      expect(lost).toBeGreaterThanOrEqual(3);
      expect(lost).toBeLessThanOrEqual(4);
    });
  }, 600_000);

  gpuTest("with nothing saved ends with no_checkpoint, and no zeros are trained or saved", async () => {
    await onOwnDevice(async ({ store, trainer, lose }) => {
      const savePath = await engineOn();
      trainer.autoSave({ everySteps: 5, savePath });
      const onStep = ({ step }: { step: number }) => step === 3 ? lose() : undefined;
      const error = await thrownBy(() => train(trainer, { onStep }));
      expect(error.code).toBe("no_checkpoint");
      expect((error.cause as { code?: string }).code).toBe("device_lost");
      await store.rebuild();
      const again = () => trainer.train({ epochs: EPOCHS, progress: false });
      for (const work of [again, () => trainer.save("zeros"), () => trainer.evaluate()]) {
        const refused = await thrownBy(work);
        expect([refused.code, refused.message]).toEqual(["device_lost", expect.stringContaining("are zero")]);
      }
      expect((await thrownBy(() => trainer.recover())).code).toBe("no_checkpoint");
      expect(await savePath.list()).toEqual([]);
    });
  }, 600_000);

  gpuTest("goes on after the caller put the store on another device, with resume()", async () => {
    const expected = await expectedBits();
    await onOwnDevice(async ({ store, trainer, lose, bits }) => {
      trainer.autoSave({ interval: 1, savePath: await engineOn() });
      await trainer.train({ epochs: 2, progress: false });
      lose();
      await store.rebuild();
      expect((await trainer.resume()).step).toBe(14);
      await trainer.train({ epochs: EPOCHS, progress: false });
      expect(await bits()).toEqual(expected);
    });
  }, 600_000);

  gpuTest("of the caller's is replaced by another of the caller's", async () => {
    const expected = await expectedBits();
    const first = await GpuDevice.open(gpuTestOptions());
    const second = await GpuDevice.open(gpuTestOptions());
    const store = TensorStore.on(first);
    const trainer = new Trainer(store, options());
    trainer.autoSave({ interval: 1, savePath: await engineOn() });
    const refused = await thrownBy(() => train(trainer));
    expect([refused.name, refused.message]).toEqual([
      "TypeError",
      expect.stringContaining("recover({ gpu })"),
    ]);
    await trainer.train({ epochs: 1, progress: false });
    expect((await thrownBy(() => trainer.recover())).message).toContain("is not lost");
    first.device.destroy();
    await thrownBy(() => trainer.train({ epochs: 2, progress: false }));
    expect((await thrownBy(() => trainer.recover())).name).toBe("TypeError");
    expect((await trainer.recover({ gpu: second })).step).toBe(7);
    await trainer.train({ epochs: EPOCHS, progress: false });
    const loss = [...new Uint32Array(trainer.history.loss.buffer)];
    expect(loss).toEqual((expected as { loss: number[] }).loss);
    await trainer.close();
    await store.close();
    expect([first.counters.buffers, second.counters.buffers]).toEqual([0, 0]);
    await first.close();
    await second.close();
  }, 600_000);

  gpuTest("below a trainer: a snapshot of a rebuilt store is restored, and saves again", async () => {
    const store = await TensorStore.open(gpuTestOptions());
    store.define("model", [{ name: "weight", dtype: "f32", shape: [3] }]);
    const weight = HostTensor.from([1, 2, 3]);
    store.write({ "model.weight": weight });
    const snapshot = new Snapshot(await engineOn(), { store });
    await (await snapshot.save(1)).wait();
    store.gpu.device.destroy();
    await store.gpu.device.lost;
    expect((await thrownBy(async () => (await snapshot.save(2)).wait())).code).toBe("device_lost");
    await store.rebuild();
    expect((await snapshot.restore(1)).loaded).toEqual(["model.weight"]);
    await (await snapshot.save(3)).wait();
    store.write({ "model.weight": HostTensor.from([0, 0, 0]) });
    await snapshot.restore(3);
    expect((await store.read(["model.weight"])).get("model.weight")?.equals(weight)).toBe(true);
    await snapshot.close();
    await store.close();
  }, 600_000);
});
