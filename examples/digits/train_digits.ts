// The process that trains: `train_digits <directory> <seed>`. It resumes by itself, saves every epoch and every 20
// steps, and tells what it does as one line of JSON each time. Whoever started it may kill it at any moment.
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { TensorStore, Trainer } from "@cairn-ml/cairn";
import { digitsRun, EPOCHS } from "./digits_run.ts";
import type { TrainingEvent } from "./kill_and_resume.ts";
import { measureSaving, measureStep, median } from "./measure.ts";

const [directory = "checkpoints", seedText = "1"] = process.argv.slice(2);
const seed = Number(seedText);
const tell = (event: TrainingEvent) => process.stdout.write(`${JSON.stringify(event)}\n`);

const store = await TensorStore.open();
const trainer = new Trainer(store, await digitsRun(seed));
trainer.autoSave({
  interval: 1,
  everySteps: 20,
  savePath: directory,
  name: "digits-{epoch:02d}-{val_loss:.4f}",
  stepName: "step-{step:05d}",
  keep: { last: 3, best: "val_loss" },
});

const { resumedFrom, skipped } = await trainer.resume();
tell({
  event: "start",
  step: trainer.step,
  resumedFrom,
  skipped: skipped.length,
  adapter: store.gpu.adapterName,
});

const report = await trainer.train({
  epochs: EPOCHS,
  onStep: ({ step }) => void tell({ event: "step", step }),
  onWarning: (message) => console.error(message),
});
const { accuracy = NaN } = await trainer.evaluate();
const checkpoint = report.saves.at(-1)?.path ?? "";
const files = readdirSync(directory).sort().map((name) => ({
  name,
  byteLength: statSync(join(directory, name)).size,
}));
const speed = {
  ...await measureSaving(trainer, `${directory}-measured`),
  stepMs: await measureStep(trainer),
};
tell({
  event: "done",
  checkpoint,
  steps: trainer.step,
  accuracy,
  stallMs: median(report.saves.map(({ stallMs }) => stallMs)),
  ...speed,
  files,
});
await trainer.close();
await store.close();
