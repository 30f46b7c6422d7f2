// A convolutional network that reads handwritten digits.
//
//   bun examples/digits_cnn/train.ts [--quick] [--bf16] [directory]
//   deno run -A examples/digits_cnn/train.ts [--quick] [--bf16] [directory]
//
// Kill it whenever you like and start it again: it goes on from its newest checkpoint, and ends with the same bits.
import { parseArgs } from "node:util";
import { TensorStore } from "@cairn-ml/cairn";
import { loadDigits } from "../digits/digits.ts";
import { digitsCnnTrainer } from "./trainer.ts";

const { values: { quick, bf16 }, positionals: [directory] } = parseArgs({
  options: { quick: { type: "boolean", default: false }, bf16: { type: "boolean", default: false } },
  allowPositionals: true,
});
/** How long it trains (ten epochs of 8,000 digits), and which share of 2,000 others it reads right then. */
const { steps, expected } = quick ? { steps: 50, expected: 0.8 } : { steps: 10 * 125, expected: 0.975 };

const store = await TensorStore.open();
const trainer = digitsCnnTrainer(store, await loadDigits(1), { steps, precision: bf16 ? "bf16" : "f32" });
trainer.autoSave({
  savePath: directory ?? `checkpoints/digits_cnn${quick ? "_quick" : ""}${bf16 ? "_bf16" : ""}`,
  everySteps: steps / 25,
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
  onEpoch({ epoch, metrics }) {
    console.log(`epoch ${epoch}: ${percent(metrics.val_accuracy)} of the held-out digits are read right`);
  },
});
const seconds = (performance.now() - start) / 1000;
const { accuracy = NaN } = await trainer.evaluate();
await trainer.close();
await store.close();

if (!(accuracy >= expected)) {
  throw new Error(`only ${percent(accuracy)} are right, expected ${percent(expected)}`);
}
console.log(`done in ${seconds.toFixed(1)} s: ${percent(accuracy)} of the held-out digits are read right`);

function percent(share = NaN): string {
  return `${(100 * share).toFixed(2)} %`;
}
