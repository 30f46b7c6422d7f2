// A loop of one's own around a `TrainStep`: points of two spirals are drawn anew for each step, every 100 steps it looks
// at losses and gradients and saves, and it ends when the loss is low enough.
//
//   bun examples/custom_loop/train.ts [--bf16] [directory]
//   deno run -A examples/custom_loop/train.ts [--bf16] [directory]
//
// The result: at least 99 % of 2,000 new points, in at most 2,000 steps. Kill it at any moment and start it again: it
// goes on from its last checkpoint and ends with the same bits.
import { parseArgs } from "node:util";
import { getCheckpoint, Snapshot, TensorStore } from "@cairn-ml/cairn";
import { Executable } from "@cairn-ml/cairn/gpu";
import { spirals } from "./spirals.ts";
import { BATCH, spiralStep } from "./step.ts";

const MOST_STEPS = 2000;
const EVERY = 100;
const LOW_ENOUGH = 0.02;
const NEW_POINTS = 2000;

const { values: { bf16 }, positionals: [given] } = parseArgs({
  options: { bf16: { type: "boolean", default: false } },
  allowPositionals: true,
});
const directory = given ?? `checkpoints/custom_loop${bf16 ? "_bf16" : ""}`;
const start = performance.now();
const store = await TensorStore.open();
const step = await spiralStep(store, bf16 ? "bf16" : "f32");
const snapshot = new Snapshot(directory, { store, loop: step }, { keep: { last: 2 } });
const newest = await getCheckpoint(directory, { missingOk: true });
if (newest !== "") await snapshot.restore(newest);
console.log(newest === "" ? "beginning" : `going on from step ${step.step}`);

while (!await isDone()) {
  await step.run(spirals(BATCH, step.step));
  if (step.step % EVERY !== 0) continue;
  console.log(
    `step ${step.step} of ${MOST_STEPS}: loss ${(await recentLoss()).toFixed(4)}, ${await gradients()}`,
  );
  // The copy is taken at once; it is written while the loop goes on.
  await snapshot.save(step.step);
}
await snapshot.close();
const seconds = ((performance.now() - start) / 1000).toFixed(1);
const share = await accuracy();
console.log(
  `done: ${(100 * share).toFixed(2)} % of ${NEW_POINTS} new points after ${step.step} steps, ${seconds} s`,
);
process.exitCode = share >= 0.99 ? 0 : 1;
await step.close();
await store.close();

/** Only where the losses are looked at anyway: everywhere else the loop waits for nothing. */
async function isDone(): Promise<boolean> {
  if (step.step === 0 || step.step % EVERY !== 0) return false;
  return step.step >= MOST_STEPS || await recentLoss() < LOW_ENOUGH;
}

async function recentLoss(): Promise<number> {
  const losses = (await step.readLosses()).slice(-EVERY);
  return losses.reduce((sum, loss) => sum + loss, 0) / losses.length;
}

/** The norm of each weight's gradient. */
async function gradients(): Promise<string> {
  const norms = [...await step.readGradients(["0.weight", "2.weight", "4.weight"])].map(([name, gradient]) =>
    `${name} ${Math.hypot(...gradient.toArray() as Float32Array).toExponential(1)}`
  );
  return `gradients ${norms.join(", ")}`;
}

/** On points that were in no batch, by a program of its own. */
async function accuracy(): Promise<number> {
  const { inputs, labels } = spirals(NEW_POINTS, 1_000_000);
  const { input, output } = step.model.trace(NEW_POINTS, false);
  const parameters = (name: string) => step.model.rangeOf(name);
  const program = await Executable.compile(store.gpu, { inputs: [input], outputs: { output }, parameters });
  program.run({ inputs: inputs as Float32Array });
  const [outputs] = await program.read("output");
  program.close();
  const logits = outputs?.toArray() as Float32Array;
  const right = (labels as Uint32Array).filter((label, row) =>
    ((logits[2 * row + 1] ?? NaN) > (logits[2 * row] ?? NaN) ? 1 : 0) === label
  );
  return right.length / NEW_POINTS;
}
