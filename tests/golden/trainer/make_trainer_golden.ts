/*
 * Writes the golden checkpoints of trainers that are not there yet: `bun
 * tests/golden/trainer/make_trainer_golden.ts`. Those in the repository were made by Bun on Mesa's lavapipe at the
 * commit before their own. They are kept for ever: a saved run goes on in every later version, or is refused by an
 * error that says why. What they hold was read from the run that saved them, and is in the JSON beside each; so are
 * the losses of the steps that followed there.
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { copyFile, mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { FileEngine } from "../../../src/checkpoint/engine/file_engine.ts";
import { partFileName, PARTS_DIRECTORY } from "../../../src/checkpoint/file/parts/part_files.ts";
import { ContainerReader } from "../../../src/container/read/container_reader.ts";
import { bytesSource } from "../../../src/container/source.ts";
import { TensorStore } from "../../../src/tensor/tensor_store.ts";
import { Trainer } from "../../../src/train/trainer.ts";
import {
  goldenPart,
  goldenPath,
  type GoldenRun,
  hexOf,
  lossesOf,
  TRAINER_GOLDENS,
  type TrainerGolden,
} from "./trainer_golden.ts";

for (const golden of TRAINER_GOLDENS) {
  if (!existsSync(goldenPath(golden.name, "cairn"))) await make(golden);
}

async function make(golden: TrainerGolden): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), "cairn-golden-"));
  const store = await TensorStore.open();
  let now = 0;
  const trainer = new Trainer(store, { ...golden.options(), now: () => now });
  const savePath = golden.hasParts ? await FileEngine.open(directory, { components: true }) : directory;
  trainer.autoSave({ savePath, ...golden.autoSave });
  const tensors = new Map<number, Record<string, string>>();
  let saved: { tag: string; step: number; path: string } | undefined;
  const measured = new Map<number, Record<string, number>>();
  await trainer.train({
    epochs: golden.epochs,
    progress: false,
    onStep: async ({ step }) => {
      now += 250;
      tensors.set(step, await hexOf(store));
      if (step !== golden.savedAtStep) return;
      const { path } = await trainer.save(join(directory, golden.tag));
      saved = { tag: golden.tag, step, path };
    },
    onEpoch: ({ step, metrics }) => void measured.set(step, { ...metrics }),
    onSave: ({ tag, step, path }) => {
      if (golden.savedAtStep === undefined && tag === golden.tag) saved = { tag, step, path };
    },
  });
  if (saved === undefined) throw new Error(`${golden.name}: there is ${await readdir(directory)}`);
  const { step, tag, path } = saved;
  await copyFile(path, goldenPath(golden.name, "cairn"));
  const parts = await partsOf(path);
  for (const name of parts) await copyFile(join(dirname(path), PARTS_DIRECTORY, name), goldenPart(name));
  await trainer.train({ epochs: golden.epochsAfterwards, progress: false });
  const losses = lossesOf(trainer);
  const batchesPerEpoch = trainer.history.epochs[0]?.step ?? 1;
  const run: GoldenRun = {
    tag,
    ...golden.hasParts ? { parts } : {},
    step,
    epoch: Math.floor(step / batchesPerEpoch),
    loader: { epoch: Math.floor(step / batchesPerEpoch), position: step % batchesPerEpoch },
    losses: losses.slice(0, step),
    epochs: trainer.history.epochs.filter((record) =>
      golden.savedAtStep === undefined ? record.step <= step : record.step < step
    ),
    measured: golden.savedAtStep === undefined ? measured.get(step) ?? {} : {},
    tensors: tensors.get(step) ?? {},
    lossesAfterwards: losses.slice(step),
  };
  writeFileSync(goldenPath(golden.name, "json"), `${JSON.stringify(run, null, 1)}\n`);
  await trainer.close();
  await store.close();
  await rm(directory, { recursive: true });
}

/** Names of the files in the folder `parts` that the checkpoint at `path` is in besides. */
async function partsOf(path: string): Promise<string[]> {
  const { manifest } = await ContainerReader.open(bytesSource(readFileSync(path)));
  return (manifest.parts?.files ?? []).map(partFileName);
}
