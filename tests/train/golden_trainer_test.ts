import { describe, expect, test } from "bun:test";
import { readdirSync, statSync } from "node:fs";
import { copyFile, mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { GpuDevice } from "../../src/gpu/gpu_device.ts";
import { TensorStore } from "../../src/tensor/tensor_store.ts";
import { Trainer } from "../../src/train/trainer.ts";
import {
  GOLDEN_FOLDER,
  goldenPart,
  goldenPath,
  type GoldenRun,
  goldenRun,
  hexOf,
  lossesOf,
  TRAINER_GOLDENS,
  type TrainerGolden,
} from "../golden/trainer/trainer_golden.ts";
import { gpuTest } from "../helpers/gpu.ts";

const MAX_TOTAL_BYTES = 160 * 1024;
/** Kernels may round differently from one version to the next; a step of another batch is off by far more. */
const TOLERANCE = 1e-4;

test("every golden run has its files and nothing else is there, and all are small", () => {
  const found = readdirSync(GOLDEN_FOLDER, { recursive: true }).map((file) =>
    String(file).replaceAll("\\", "/")
  )
    .filter((file) => !file.endsWith(".ts") && file !== "parts");
  const listed = TRAINER_GOLDENS.flatMap(({ name, hasParts = false }) => {
    const { parts = [] } = goldenRun(name);
    expect(parts.length > 0).toBe(hasParts);
    return [`${name}.cairn`, `${name}.json`, ...parts.map((part) => `parts/${part}`)];
  });
  expect(found.sort()).toEqual(listed.sort());
  expect(TRAINER_GOLDENS.length).toBeGreaterThanOrEqual(12);
  const bytes = found.reduce((sum, file) => sum + statSync(new URL(file, GOLDEN_FOLDER)).size, 0);
  expect(bytes).toBeLessThanOrEqual(MAX_TOTAL_BYTES);
});

async function withGolden(
  gpu: GpuDevice,
  golden: TrainerGolden,
  body: (trainer: Trainer, store: TensorStore) => Promise<void>,
): Promise<void> {
  const store = TensorStore.on(gpu);
  const trainer = new Trainer(store, golden.options());
  try {
    await body(trainer, store);
  } finally {
    await trainer.close();
    await store.close();
  }
}

/** Everything of a run that a checkpoint gives back. Tensors that later versions have besides are not in it. */
async function seen(trainer: Trainer, store: TensorStore, expected: GoldenRun): Promise<unknown> {
  const tensors = await hexOf(store);
  return {
    step: trainer.step,
    epoch: trainer.epoch,
    losses: lossesOf(trainer),
    epochs: trainer.history.epochs,
    tensors: Object.fromEntries(Object.keys(expected.tensors).map((name) => [name, tensors[name]])),
  };
}

function restored({ step, epoch, losses, epochs, tensors }: GoldenRun): unknown {
  return { step, epoch, losses, epochs, tensors };
}

/** Puts a golden checkpoint where its run had it. */
async function copyGolden(name: string, { tag, parts = [] }: GoldenRun, directory: string): Promise<void> {
  await copyFile(goldenPath(name, "cairn"), join(directory, `${tag}.cairn`));
  if (parts.length > 0) await mkdir(join(directory, "parts"));
  for (const part of parts) await copyFile(goldenPart(part), join(directory, "parts", part));
}

describe("a checkpoint that the first version saved", () => {
  for (const golden of TRAINER_GOLDENS) {
    gpuTest(`goes on as it did then: ${golden.name.replaceAll("_", " ")}`, async (gpu) => {
      const directory = await mkdtemp(join(tmpdir(), "cairn-golden-"));
      const expected = goldenRun(golden.name);
      await copyGolden(golden.name, expected, directory);
      await withGolden(gpu, golden, async (trainer, store) => {
        trainer.autoSave({ ...golden.autoSave, savePath: directory });
        const report = await trainer.resume();
        expect([report.resumedFrom, report.step, report.skipped]).toEqual([expected.tag, expected.step, []]);
        expect(await seen(trainer, store, expected)).toEqual(restored(expected));
        const { failedSaves, exitCode } = await trainer.train({
          epochs: golden.epochsAfterwards,
          progress: false,
        });
        expect([failedSaves, exitCode]).toEqual([[], 0]);
        const losses = lossesOf(trainer).slice(expected.step);
        expect(losses).toHaveLength(expected.lossesAfterwards.length);
        losses.forEach((loss, i) => {
          const known = expected.lossesAfterwards[i] ?? NaN;
          const isNear = Math.abs(loss - known) <= TOLERANCE * (1 + Math.abs(known));
          expect(isNear ? "as it was" : `step ${expected.step + i}: ${loss}, not ${known}`).toBe("as it was");
        });
      });
      await rm(directory, { recursive: true });
    }, 60_000);

    gpuTest(`is loaded by its path: ${golden.name.replaceAll("_", " ")}`, async (gpu) => {
      const expected = goldenRun(golden.name);
      await withGolden(gpu, golden, async (trainer, store) => {
        await trainer.load(goldenPath(golden.name, "cairn"));
        expect(await seen(trainer, store, expected)).toEqual(restored(expected));
      });
    });
  }
});
