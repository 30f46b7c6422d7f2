// A network with two inputs and two outputs: of two handwritten digits it says which is larger, and their sum.
//
//   bun examples/two_inputs/train.ts [--quick] [--bf16] [directory]
//   deno run -A examples/two_inputs/train.ts [--quick] [--bf16] [directory]
//
// The result: of 4,000 pairs of digits that it has not seen, at least 88 % are compared right, and the sum is off by at
// most 0.9 on average. Kill it whenever you like and start it again: it goes on from its newest checkpoint, and ends with
// the same bits.
import { parseArgs } from "node:util";
import { TensorStore } from "@cairn-ml/cairn";
import { loadDigits } from "../digits/digits.ts";
import { twoInputsTrainer } from "./trainer.ts";

const { values: { quick, bf16 }, positionals: [directory] } = parseArgs({
  options: { quick: { type: "boolean", default: false }, bf16: { type: "boolean", default: false } },
  allowPositionals: true,
});
/** How long it trains, which share it compares right then, and by how much a sum is off. */
const { steps, right, off } = quick
  ? { steps: 80, right: 0.6, off: 2.6 }
  : { steps: 1500, right: 0.88, off: 0.9 };

const store = await TensorStore.open();
const precision = bf16 ? "bf16" : "f32";
const trainer = await twoInputsTrainer(store, await loadDigits(1), { steps, precision });
trainer.autoSave({
  savePath: directory ?? `checkpoints/two_inputs${quick ? "_quick" : ""}${bf16 ? "_bf16" : ""}`,
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
