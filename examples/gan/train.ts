// Two networks in one store, trained in turn: a painter that makes points of noise, and a critic that tells them from
// those of a ring of eight groups.
//
//   bun examples/gan/train.ts [--quick] [--bf16] [directory]
//   deno run -A examples/gan/train.ts [--quick] [--bf16] [directory]
//
// The result: of 4,000 painted points at least 80 % are within three standard deviations of a group, and each group has
// at least 8 % of those. Kill it whenever you like and start it again: it goes on from its newest checkpoint, which has
// both networks, and ends with the same bits.
import { parseArgs } from "node:util";
import { getCheckpoint, nn, ops, Snapshot, TensorStore } from "@cairn-ml/cairn";
import { Executable } from "@cairn-ml/cairn/gpu";
import { coverage } from "./ring.ts";
import { ganSteps, NOISE, painter } from "./steps.ts";

const POINTS = 4000;

const { values: { quick, bf16 }, positionals: [directory] } = parseArgs({
  options: { quick: { type: "boolean", default: false }, bf16: { type: "boolean", default: false } },
  allowPositionals: true,
});
/** How long they train, and which shares are near a group then, and in each of them. */
const { steps, rate, near, inEach } = quick
  ? { steps: 400, rate: 5e-3, near: 0.25, inEach: 0.04 }
  : { steps: 3000, rate: 3e-3, near: 0.8, inEach: 0.08 };

const store = await TensorStore.open();
const { critics, painters, run, close } = await ganSteps(store, {
  steps,
  rate,
  precision: bf16 ? "bf16" : "f32",
});
const place = directory ?? `checkpoints/gan${quick ? "_quick" : ""}${bf16 ? "_bf16" : ""}`;
const snapshot = new Snapshot(place, { store, critics, painters }, { keep: { last: 3 } });
const newest = await getCheckpoint(place, { missingOk: true });
if (newest !== "") await snapshot.restore(newest);
console.log(newest === "" ? "a fresh start" : `going on from step ${painters.step}`);

const start = performance.now();
while (painters.step < steps) {
  await run();
  if (painters.step % 10 === 0) console.log(`step ${painters.step} of ${steps}`);
  if (painters.step % (steps / 20) === 0) await snapshot.save(painters.step);
}
await snapshot.close();
const seconds = (performance.now() - start) / 1000;
const found = coverage(await paint());
await close();
await store.close();

const shares = found.shares.map(percent).join(", ");
console.log(
  `${percent(found.near)} of ${POINTS} points are near a group; the groups have ${shares} of those`,
);
if (!(found.near >= near && Math.min(...found.shares) >= inEach)) {
  throw new Error(`expected ${percent(near)} near a group, and ${percent(inEach)} of those in each`);
}
console.log(`done in ${seconds.toFixed(1)} s`);

/** Points of the painter, by a program of its own that only reads the store. */
async function paint(): Promise<Float32Array> {
  const noise = ops.randomNormal([POINTS, NOISE], { stream: 0 });
  const output = painter(noise, nn.Scope.root({ isTraining: false }));
  const parameters = (name: string) => store.tensor(`painter.model.${name}`).range;
  const program = await Executable.compile(store.gpu, { inputs: [], outputs: { output }, parameters });
  program.run({}, { seed: 3, step: 0, values: [] });
  const [points] = await program.read("output");
  program.close();
  return points?.toArray() as Float32Array;
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}
