// One rank of several that `mpiexec` has started, or all by itself: `train_rank <directory> <seed> <epochs>`. It goes on
// by itself, saves every 20 steps, and tells what it does as one line of JSON each time.
import { TensorStore, Trainer } from "@cairn-ml/cairn";
import { MpiGroup } from "@cairn-ml/cairn/mpi";
import { digitsRun } from "../digits/digits_run.ts";

/** What a rank tells. Rank 0 tells of the run, each rank of itself. */
export type RankEvent =
  | { readonly event: "open"; readonly rank: number; readonly size: number; readonly pid: number }
  | { readonly event: "start"; readonly step: number; readonly resumedFrom: string | null }
  | { readonly event: "step"; readonly step: number }
  | { readonly event: "done"; readonly checkpoint: string; readonly accuracy: number };

const [directory = "checkpoints", seed = "1", epochs = "2"] = process.argv.slice(2);
const tell = (event: RankEvent) => void process.stdout.write(`${JSON.stringify(event)}\n`);

const group = await MpiGroup.open({ timeoutMs: 120_000 });
tell({ event: "open", rank: group.rank, size: group.size, pid: process.pid });
const store = await TensorStore.open();
const trainer = new Trainer(store, {
  ...await digitsRun(Number(seed)),
  parallel: { group, shards: 8 },
});
trainer.autoSave({ everySteps: 20, savePath: directory, keep: { last: 3 } });
const isFirst = group.rank === 0;

const { resumedFrom } = await trainer.resume();
if (isFirst) tell({ event: "start", step: trainer.step, resumedFrom });
const report = await trainer.train({
  epochs: Number(epochs),
  progress: false,
  onStep: ({ step }) => isFirst ? tell({ event: "step", step }) : undefined,
});
const { accuracy = NaN } = await trainer.evaluate();
if (isFirst) tell({ event: "done", checkpoint: report.saves.at(-1)?.path ?? "", accuracy });
await trainer.close();
await store.close();
await group.close();
