import { join } from "node:path";
import type { Trainer } from "@cairn-ml/cairn";

const ROUNDS = 7;

/** The middle of `values`, or NaN when there are none. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? NaN;
}

/**
 * Saves the run to durable files and loads it back into the GPU, several times; medians in MB of raw tensors a
 * second.
 */
export async function measureSaving(
  trainer: Trainer,
  directory: string,
): Promise<{ saveMBps: number; loadMBps: number; ratio: number }> {
  const saveMs: number[] = [];
  const loadMs: number[] = [];
  let megabytes = 0;
  let ratio = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const start = performance.now();
    const { path, written } = await trainer.save(join(directory, `round-${round}`));
    const saved = performance.now();
    await trainer.load(path);
    await trainer.store.gpu.idle();
    saveMs.push(saved - start);
    loadMs.push(performance.now() - saved);
    megabytes = written.rawBytes / 1e6;
    ratio = written.ratio;
  }
  return { saveMBps: megabytes / median(saveMs) * 1000, loadMBps: megabytes / median(loadMs) * 1000, ratio };
}

/**
 * Milliseconds that a training step takes, GPU included: medians over stretches of 25 steps of one more epoch,
 * without saving.
 */
export async function measureStep(trainer: Trainer): Promise<number> {
  const stretch = 25;
  const perStep: number[] = [];
  let start = performance.now();
  await trainer.autoSave({ savePath: null }).train({
    epochs: trainer.epoch + 1,
    progress: false,
    onStep: async ({ step }) => {
      if (step % stretch !== 0) return;
      await trainer.store.gpu.idle();
      perStep.push((performance.now() - start) / stretch);
      start = performance.now();
    },
  });
  return median(perStep);
}
