// An autoencoder: handwritten digits through sixteen numbers and back.
//
//   bun examples/autoencoder/train.ts [--quick] [--bf16] [directory]
//   deno run -A examples/autoencoder/train.ts [--quick] [--bf16] [directory]
//
// The result: on 2,000 digits that it has not seen, at most 0.75 of the mean square error of sixteen principal
// components, which are the best that a linear map can do. Kill it whenever you like and start it again: it goes on from
// its newest checkpoint, and ends with the same bits.
import { parseArgs } from "node:util";
import { TensorStore } from "@cairn-ml/cairn";
import { loadDigits } from "../digits/digits.ts";
import { errorOf, principalComponents } from "./principal.ts";
import { autoencoderTrainer, NUMBERS, PIXELS } from "./trainer.ts";

const { values: { quick, bf16 }, positionals: [directory] } = parseArgs({
  options: { quick: { type: "boolean", default: false }, bf16: { type: "boolean", default: false } },
  allowPositionals: true,
});
/** How long it trains, and what its error is at most, as a part of that of how many principal components. */
const { steps, components, part } = quick
  ? { steps: 80, components: 0, part: 0.75 }
  : { steps: 2000, components: NUMBERS, part: 0.75 };

const digits = await loadDigits(1);
const store = await TensorStore.open();
const trainer = autoencoderTrainer(store, digits, { steps, precision: bf16 ? "bf16" : "f32" });
trainer.autoSave({
  savePath: directory ?? `checkpoints/autoencoder${quick ? "_quick" : ""}${bf16 ? "_bf16" : ""}`,
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
    if (step % 10 === 0) console.log(`step ${step} of ${steps}, loss ${loss?.toFixed(4) ?? "not known yet"}`);
  },
});
const seconds = (performance.now() - start) / 1000;
const { loss } = await trainer.evaluate();
await trainer.close();
await store.close();

const [seen, unseen] = [digits.training, digits.heldOut].map(({ inputs }) =>
  inputs.toArray() as Float32Array
);
if (seen === undefined || unseen === undefined) throw new Error("there are no digits");
const baseline = errorOf(principalComponents(seen, PIXELS, components), unseen);
console.log(
  `on digits it has not seen: error ${loss.toFixed(5)}, ${(loss / baseline).toFixed(3)} of the ` +
    `${baseline.toFixed(5)} of ${components === 0 ? "their mean" : `${components} principal components`}`,
);
if (!(loss <= part * baseline)) throw new Error(`expected at most ${part} of it`);
console.log(`done in ${seconds.toFixed(1)} s`);
