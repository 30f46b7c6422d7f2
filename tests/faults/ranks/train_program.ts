import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { appendFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { TensorStore, Trainer, type TrainerOptions } from "../../../mod.ts";
import { FileEngine } from "../../../src/checkpoint/engine/file_engine.ts";
import { MpiGroup } from "../../../src/mpi/mpi_group.ts";
import { dropout, linear, relu, sequential } from "../../../src/nn/nn.ts";
import type { DataParallelOptions } from "../../../src/parallel/data_parallel_options.ts";
import { FileStorage } from "../../../src/storage/file_storage.ts";
import { FaultStorage } from "../../helpers/fault_storage.ts";
import { blobs, CLASSES, FEATURES, smallRun } from "../../train/fixtures.ts";
import { afterStep, HeldStorage, isInSave, killWhenHeld, OddGroup, type Oddity } from "./odd_rank.ts";

// One rank of a small training that mpiexec starts: dropout, AdamW, clipped gradients, and a last batch that does not
// divide. It goes on from the newest checkpoint, and one of its ranks may not behave as it should.

/** What the ranks of a job do. */
export interface RankPlan {
  /** Where they leave what they have to tell, as what a rank prints may be lost when its launcher ends it. */
  readonly folder: string;
  /** Where checkpoints are; nothing is saved unless given. */
  readonly checkpoints?: string | undefined;
  readonly everySteps?: number | undefined;
  readonly steps: number;
  /** `null`: no group, and the batch in one piece. */
  readonly parallel: Omit<DataParallelOptions, "group"> | null;
  readonly odd?: Oddity | undefined;
  /** How long ranks wait for one that does not answer. */
  readonly timeoutMs: number;
}

/** What each rank has at its end. */
export interface RankResult {
  readonly rank: number;
  readonly step: number;
  /** Of the weights, and of all losses. */
  readonly weights: string;
  readonly losses: string;
}

/** More than any job here may take. */
const PATIENT_MS = 1_000_000;
/** Gradients of more than 64 KiB, of which each of three ranks adds up a part. */
const HIDDEN = 3000;

const plan = JSON.parse(process.argv[2] ?? "{}") as RankPlan;
const { folder, parallel, odd, steps, timeoutMs } = plan;
const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Before MPI has begun, only the launcher knows. */
const rankOfLauncher = Number(process.env.OMPI_COMM_WORLD_RANK ?? process.env.PMI_RANK ?? 0);
const mode = odd?.rank === rankOfLauncher ? odd.mode : undefined;
if (mode === "never starts") await sleep(PATIENT_MS);
if (mode === "starts late") await sleep(3000);

const group = parallel === null ? undefined : new OddGroup(
  await MpiGroup.open({ timeoutMs: odd?.mode === "never starts" ? timeoutMs : PATIENT_MS }),
  mode,
  timeoutMs,
);
const rank = group?.rank ?? 0;
writeFileSync(join(folder, `pid-${process.pid}`), "");
await group?.barrier();

const store = await TensorStore.open();
const trainer = new Trainer(store, options());
const disk = await savePath();
if (plan.checkpoints !== undefined) await trainer.resume();
const report = await trainer.train({
  steps,
  progress: false,
  handleSignals: true,
  onSave: ({ step }) => appendFileSync(join(folder, "saved"), `${step}\n`),
  onStep: ({ step }) => {
    if (step === odd?.step) disturb();
  },
});
await finish();

function options(): TrainerOptions {
  return smallRun({
    model: sequential(linear(FEATURES, HIDDEN), relu(), dropout(0.25), linear(HIDDEN, CLASSES)),
    data: blobs(59, { batchSize: 16, shuffle: true }),
    clipGradients: { norm: 0.5 },
    ...parallel === null ? {} : { parallel: { ...parallel, group } },
  });
}

/** Has checkpoints saved where the plan says, on a disk that may misbehave from a step on. */
async function savePath(): Promise<{ arm(): void } | undefined> {
  const { checkpoints, everySteps = 1 } = plan;
  if (checkpoints === undefined) return undefined;
  const settings = { interval: 0, everySteps, saveOnLastEpoch: false };
  if (mode === "has a full disk") {
    const storage = new FaultStorage(await FileStorage.open(checkpoints));
    trainer.autoSave({ ...settings, savePath: await FileEngine.open(storage) });
    return { arm: () => storage.failAt(0, "ENOSPC", { onward: true }) };
  }
  if (odd !== undefined && isInSave(odd.mode) && rank === 0) {
    const storage = new HeldStorage(await FileStorage.open(checkpoints), odd.mode, folder, odd.rank === 0);
    trainer.autoSave({ ...settings, savePath: await FileEngine.open(storage) });
    return storage;
  }
  trainer.autoSave({ ...settings, savePath: checkpoints });
  return undefined;
}

/** From now on this job is not as it should be. */
function disturb(): void {
  group?.arm();
  disk?.arm();
  if (mode === undefined) return;
  if (isInSave(mode)) killWhenHeld(folder);
  afterStep(mode);
}

/** Tells what this rank has, and ends. */
async function finish(): Promise<void> {
  const names = store.tensors().map(({ name }) => name).filter((name) => name.startsWith("model.")).sort();
  const tensors = await store.read(names);
  const weights = Buffer.concat(names.map((name) => tensors.get(name)?.bytes ?? Buffer.alloc(0)));
  const losses = Buffer.from(Float32Array.from(trainer.history.loss).buffer);
  const hash = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");
  const result: RankResult = {
    rank,
    step: trainer.step,
    weights: hash(weights),
    losses: hash(losses),
  };
  if (rank === 0) writeFileSync(join(folder, "weights"), weights);
  writeFileSync(join(folder, `result-${rank}.json`), JSON.stringify(result));
  // A rank that ends with another code than 0 ends the others: by then, all have said what they have.
  await group?.barrier();
  await trainer.close();
  await store.close();
  await group?.close();
  process.exit(report.exitCode);
}
