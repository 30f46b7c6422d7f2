// A network with two inputs and two outputs: of two handwritten digits it says which is larger, and their sum.
//
//   bun examples/two_inputs/train.ts [--quick] [directory]
//   deno run -A examples/two_inputs/train.ts [--quick] [directory]
//
// The result: of 4,000 pairs of digits that it has not seen, at least 88 % are compared right, and the sum is off by at
// most 0.9 on average. Kill it whenever you like and start it again: it goes on from its newest checkpoint, and ends with
// the same bits.
import { parseArgs } from "node:util";
import { nn, ops, optim, TensorStore, Trainer, type Value } from "@cairn-ml/cairn";
import { MapLoader } from "@cairn-ml/cairn/data";
import { assertResumeExact } from "@cairn-ml/cairn/train";
import { loadDigits } from "../digits/digits.ts";
import { pairsOf } from "./pairs.ts";

const { values: { quick }, positionals: [directory] } = parseArgs({
  options: { quick: { type: "boolean", default: false } },
  allowPositionals: true,
});
/** How long it trains, which share it compares right then, and by how much a sum is off. */
const { steps, right, off } = quick
  ? { steps: 80, right: 0.6, off: 2.6 }
  : { steps: 1500, right: 0.88, off: 0.9 };

const { training, heldOut } = await loadDigits(1);

// Called for both pictures, it has the same weights for both.
const look = nn.sequential(nn.linear(784, 256), nn.relu(), nn.dropout(0.2), nn.linear(256, 64), nn.relu());
const compare = nn.sequential(nn.linear(128, 64), nn.relu(), nn.linear(64, 3));
const add = nn.sequential(nn.linear(128, 64), nn.relu(), nn.linear(64, 1));

const store = await TensorStore.open();
const trainer = new Trainer(store, {
  model({ left, right }: { left: Value; right: Value }, scope) {
    const eye = scope.child("look");
    const seen = ops.concat([look(left, eye), look(right, eye)], { axis: 1 });
    return { larger: compare(seen, scope.child("compare")), sum: add(seen, scope.child("add")) };
  },
  loss: nn.lossByOutput({ larger: nn.crossEntropy(), sum: nn.huber() }, { factors: { sum: 0.5 } }),
  metrics: nn.metricsByOutput({ larger: { right: nn.accuracy() }, sum: { off: nn.mae() } }),
  optimizer: optim.adamw({ learningRate: optim.cosineDecay(3e-3, steps), weightDecay: 0.01 }),
  data: await MapLoader.open(pairsOf(training, 40_000), { batchSize: 128, shuffle: true }),
  validation: await MapLoader.open(pairsOf(heldOut, 4000), { batchSize: 250 }),
  seed: 1,
});
if (quick) await assertResumeExact(trainer, { steps: 4 });
trainer.autoSave({
  savePath: directory ?? `checkpoints/two_inputs${quick ? "_quick" : ""}`,
  everySteps: steps / 20,
  keep: { last: 3 },
});

const { resumedFrom } = await trainer.resume();
console.log(resumedFrom === null ? "a fresh start" : `going on from ${resumedFrom}, at step ${trainer.step}`);
const start = performance.now();
await trainer.train({
  steps,
  progress: false,
  onStep({ step, loss }) {
    if (step % 10 === 0) console.log(`step ${step} of ${steps}, loss ${loss?.toFixed(3) ?? "not known yet"}`);
  },
});
const seconds = (performance.now() - start) / 1000;
const { metrics: { larger_right = NaN, sum_off = NaN } } = await trainer.evaluate();
await trainer.close();
await store.close();

const share = `${(100 * larger_right).toFixed(2)} %`;
console.log(
  `of pairs it has not seen ${share} are compared right, and the sum is off by ${sum_off.toFixed(3)}`,
);
if (!(larger_right >= right && sum_off <= off)) {
  throw new Error(`expected ${100 * right} % right, and off by at most ${off}`);
}
console.log(`done in ${seconds.toFixed(1)} s`);
