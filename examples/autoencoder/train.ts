// An autoencoder: handwritten digits through sixteen numbers and back.
//
//   bun examples/autoencoder/train.ts [--quick] [directory]
//   deno run -A examples/autoencoder/train.ts [--quick] [directory]
//
// The result: on 2,000 digits that it has not seen, at most 0.75 of the mean square error of sixteen principal
// components, which are the best that a linear map can do. Kill it whenever you like and start it again: it goes on from
// its newest checkpoint, and ends with the same bits.
import { parseArgs } from "node:util";
import { DataLoader, type HostTensor, nn, optim, TensorStore, Trainer } from "@cairn-ml/cairn";
import { assertResumeExact } from "@cairn-ml/cairn/train";
import { loadDigits } from "../digits/digits.ts";
import { errorOf, principalComponents } from "./principal.ts";

const [PIXELS, NUMBERS] = [784, 16];

const { values: { quick }, positionals: [directory] } = parseArgs({
  options: { quick: { type: "boolean", default: false } },
  allowPositionals: true,
});
/** How long it trains, and what its error is at most, as a part of that of how many principal components. */
const { steps, components, part } = quick
  ? { steps: 80, components: 0, part: 0.75 }
  : { steps: 2000, components: NUMBERS, part: 0.75 };

const { training, heldOut } = await loadDigits(1);
/** What comes out is compared with what went in. */
const both = ({ inputs }: { inputs: HostTensor }) => ({ inputs, labels: inputs });

const model = nn.sequential(
  nn.linear(PIXELS, 256),
  nn.relu(),
  nn.linear(256, NUMBERS),
  nn.linear(NUMBERS, 256),
  nn.relu(),
  nn.linear(256, PIXELS),
);

const store = await TensorStore.open();
const trainer = new Trainer(store, {
  model,
  loss: nn.mse(),
  optimizer: optim.adamw({ learningRate: optim.cosineDecay(2e-3, steps), weightDecay: 0 }),
  data: DataLoader.from(both(training), { batchSize: 64, shuffle: true }),
  validation: DataLoader.from(both(heldOut), { batchSize: 250 }),
  seed: 1,
});
if (quick) await assertResumeExact(trainer, { steps: 4 });
trainer.autoSave({
  savePath: directory ?? `checkpoints/autoencoder${quick ? "_quick" : ""}`,
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

const [seen, unseen] = [training, heldOut].map(({ inputs }) => inputs.toArray() as Float32Array);
if (seen === undefined || unseen === undefined) throw new Error("there are no digits");
const baseline = errorOf(principalComponents(seen, PIXELS, components), unseen);
console.log(
  `on digits it has not seen: error ${loss.toFixed(5)}, ${(loss / baseline).toFixed(3)} of the ` +
    `${baseline.toFixed(5)} of ${components === 0 ? "their mean" : `${components} principal components`}`,
);
if (!(loss <= part * baseline)) throw new Error(`expected at most ${part} of it`);
console.log(`done in ${seconds.toFixed(1)} s`);
