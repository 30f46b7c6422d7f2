// Two networks in one store, trained in turn: a painter that makes points of noise, and a critic that tells them from
// those of a ring of eight groups.
//
//   bun examples/gan/train.ts [--quick] [directory]
//   deno run -A examples/gan/train.ts [--quick] [directory]
//
// The result: of 4,000 painted points at least 80 % are within three standard deviations of a group, and each group has
// at least 8 % of those. Kill it whenever you like and start it again: it goes on from its newest checkpoint, which has
// both networks, and ends with the same bits.
import { parseArgs } from "node:util";
import { getCheckpoint, nn, ops, optim, Snapshot, TensorStore, type Value } from "@cairn-ml/cairn";
import { Executable } from "@cairn-ml/cairn/gpu";
import { TrainStep } from "@cairn-ml/cairn/train";
import { coverage, ringData } from "./ring.ts";

const [NOISE, WIDTH, PACK, BATCH, POINTS] = [2, 64, 2, 256, 4000];

const { values: { quick }, positionals: [directory] } = parseArgs({
  options: { quick: { type: "boolean", default: false } },
  allowPositionals: true,
});
/** How long they train, and which shares are near a group then, and in each of them. */
const { steps, rate, near, inEach } = quick
  ? { steps: 400, rate: 5e-3, near: 0.25, inEach: 0.04 }
  : { steps: 3000, rate: 3e-3, near: 0.8, inEach: 0.08 };
const data = ringData(BATCH);

const painter = nn.sequential(
  nn.linear(NOISE, WIDTH),
  nn.relu(),
  nn.linear(WIDTH, WIDTH),
  nn.relu(),
  nn.linear(WIDTH, 2),
);
// It looks at two points at a time, and so sees whether they are in different groups as often as real ones.
const critic = nn.sequential(
  (points) => ops.reshape(points, [-1, 2 * PACK]),
  nn.linear(2 * PACK, WIDTH),
  nn.leakyRelu({ negativeSlope: 0.2 }),
  nn.linear(WIDTH, WIDTH),
  nn.leakyRelu({ negativeSlope: 0.2 }),
  nn.linear(WIDTH, 1),
);
const noiseFor = (real: Value, scope: nn.Scope): Value =>
  ops.randomNormal([real.shape[0] ?? 0, NOISE], { stream: scope.randomStream(), perExample: true });
/** The verdict on two points as one for each of them. */
const each = (verdict: Value): Value => ops.reshape(ops.tile(verdict, [1, PACK]), [-1]);

const store = await TensorStore.open();
const common = { inputs: data.inputs, labels: data.labels, batchSize: BATCH };
const critics = TrainStep.define(store, {
  ...common,
  name: "critic",
  model: (real: Value, scope) => {
    const painted = nn.frozen(painter, { of: "painter" })(noiseFor(real, scope), scope);
    return { real: critic(real, scope), painted: critic(painted, scope) };
  },
  loss: ({ real, painted }) => ops.add(ops.softplus(ops.neg(each(real))), ops.softplus(each(painted))),
  optimizer: optim.adam({ learningRate: optim.cosineDecay(rate, steps), beta1: 0 }),
  seed: 1,
});
const painters = TrainStep.define(store, {
  ...common,
  name: "painter",
  model: (real, scope) => nn.frozen(critic, { of: "critic" })(painter(noiseFor(real, scope), scope), scope),
  loss: (verdict) => ops.softplus(ops.neg(each(verdict))),
  optimizer: optim.adam({ learningRate: optim.cosineDecay(rate, steps), beta1: 0 }),
  seed: 2,
});
await critics.compile();
await painters.compile();

const place = directory ?? `checkpoints/gan${quick ? "_quick" : ""}`;
const snapshot = new Snapshot(place, { store, critics, painters }, { keep: { last: 3 } });
const newest = await getCheckpoint(place, { missingOk: true });
if (newest !== "") await snapshot.restore(newest);
console.log(newest === "" ? "a fresh start" : `going on from step ${painters.step}`);

const perEpoch = data.exampleCount / BATCH;
const start = performance.now();
while (painters.step < steps) {
  const { step } = painters;
  const batch = data.batchAt({ seed: 0, epoch: Math.floor(step / perEpoch), position: step % perEpoch });
  await critics.run(batch);
  await painters.run(batch);
  if (painters.step % 10 === 0) console.log(`step ${painters.step} of ${steps}`);
  if (painters.step % (steps / 20) === 0) await snapshot.save(painters.step);
}
await snapshot.close();
const seconds = (performance.now() - start) / 1000;
const found = coverage(await paint());
await critics.close();
await painters.close();
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
