import { writeSync } from "node:fs";
import process from "node:process";
import { CairnError } from "../../../src/base/errors.ts";
import { FileEngine } from "../../../src/checkpoint/engine/file_engine.ts";
import { FileStorage } from "../../../src/storage/file_storage.ts";
import { TensorStore } from "../../../src/tensor/tensor_store.ts";
import type { BatchSource } from "../../../src/data/batch_source.ts";
import { Trainer } from "../../../src/train/trainer.ts";
import { gpuTestOptions } from "../../helpers/gpu.ts";
import { HookedStorage } from "../../helpers/hooked_storage.ts";
import type { StorageCall } from "../../helpers/wrapped_storage.ts";
import { blobs, smallRun } from "../../train/fixtures.ts";
import { RUN_ID } from "./runs.ts";

// A process that trains and is told to end: `signal_child <moment> <graceMs> <folder>`. At its moment it says READY,
// waits until the signal was heard, and then takes its time. It says what is committed as soon as that is, and where
// it ended.

const [moment = "", graceText = "", folder = ""] = process.argv.slice(2);

const STEP = 8;
const SAVE_EVERY = 3;
/** Longer than the grace time of 50 ms, and much shorter than that of 5 s. */
const HOLD_MS = 300;
const EPOCHS = moment === "finish" ? 3 : 10_000;

function say(line: string): void {
  writeSync(1, `${line}\n`);
}

/**
 * Says that it is time for the signal, once, and resolves some time after it came; never when another one is to come.
 */
async function holdUntilSignal(): Promise<void> {
  if (isHeld || moment === "finish") return;
  isHeld = true;
  const heard = new Promise<void>((resolve) => {
    const hear = (): void => {
      // What is left of the listeners is the trainer's.
      process.off("SIGTERM", hear);
      process.off("SIGINT", hear);
      say("HEARD");
      resolve();
    };
    process.on("SIGTERM", hear);
    process.on("SIGINT", hear);
  });
  say(`READY ${process.pid}`);
  await heard;
  await new Promise((resolve) => setTimeout(resolve, moment === "twice" ? 60_000 : HOLD_MS));
}
let isHeld = false;

async function atStorageCall({ op, path }: StorageCall): Promise<void> {
  const isOfSave = op === "sync" && path.includes(".tmp-");
  // Retention moves what is to go out of the way, and removes it there.
  const isOfRetention = op === "remove" && path.includes(".tmp-");
  if ((moment === "save" || moment === "twice") && isOfSave && commits > 0) await holdUntilSignal();
  if (moment === "retention" && isOfRetention) await holdUntilSignal();
}
let commits = 0;

/** The data of the run, which at one step makes the training wait. */
function data(): BatchSource {
  const examples = blobs(59, { batchSize: 8, shuffle: true });
  const { batchSize, exampleCount, inputs, labels } = examples;
  return {
    batchSize,
    exampleCount,
    dropLast: true,
    inputs,
    labels,
    batchAt: async (request) => {
      if (moment === "step" && 7 * request.epoch + request.position === STEP) await holdUntilSignal();
      return examples.batchAt(request);
    },
  };
}

async function openStore(): Promise<TensorStore | undefined> {
  try {
    return await TensorStore.open(gpuTestOptions());
  } catch (error) {
    if (error instanceof CairnError && ["no_webgpu", "no_adapter"].includes(error.code)) return undefined;
    throw error;
  }
}

const store = await openStore();
if (store === undefined) {
  say("NO GPU");
  process.exit(0);
}
if (moment === "probe") process.exit(0);
const storage = new HookedStorage(await FileStorage.open(folder), { before: atStorageCall });
const trainer = new Trainer(store, smallRun({ data: data() }));
trainer.autoSave({
  everySteps: SAVE_EVERY,
  savePath: await FileEngine.open(storage, { runId: RUN_ID }),
  keep: { last: 2 },
});
await trainer.resume();
const report = await trainer.train({
  epochs: EPOCHS,
  progress: false,
  handleSignals: { graceMs: Number(graceText) },
  onSave: ({ tag, step }) => {
    commits++;
    say(`COMMIT ${tag} ${step}`);
  },
  onStep: async ({ step }) => {
    if (moment === "idle" && step === STEP) await holdUntilSignal();
  },
});
say(`END ${trainer.step} ${report.endedBy}`);
process.exit(report.exitCode);
