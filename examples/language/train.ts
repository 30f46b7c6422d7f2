// A small transformer that learns to write like Moby-Dick, one character at a time, and then writes a passage, which a
// bigram model finds likelier than a unigram model finds the book.
//
//   bun examples/language/train.ts [--quick | --long] [--bf16] [directory]
//   deno run -A examples/language/train.ts [--quick | --long] [--bf16] [directory]
//
// Kill it whenever you like and start it again: it goes on from its newest checkpoint, and ends with the same bits.
import { parseArgs } from "node:util";
import { getCheckpoint, TensorStore } from "@cairn-ml/cairn";
import { CONTEXT } from "./model.ts";
import { NGrams } from "./ngrams.ts";
import { loadMobyDick } from "./text.ts";
import { languageTrainer } from "./trainer.ts";
import { write } from "./write.ts";

const { values: { quick, long, bf16 }, positionals: [directory] } = parseArgs({
  options: {
    quick: { type: "boolean", default: false },
    long: { type: "boolean", default: false },
    bf16: { type: "boolean", default: false },
  },
  allowPositionals: true,
});
/** How long it trains, and which n-gram model it is better than then. */
const { steps, order } = quick
  ? { steps: 40, order: 1 }
  : long
  ? { steps: 6000, order: 3 }
  : { steps: 600, order: 2 };

const text = await loadMobyDick(quick ? 16_384 : 65_536);
const { alphabet, training, heldOut } = text;

const store = await TensorStore.open();
const trainer = await languageTrainer(store, text, { steps, precision: bf16 ? "bf16" : "f32" });
const savePath = directory ?? `checkpoints/language_${steps}${bf16 ? "_bf16" : ""}`;
trainer.autoSave({
  savePath,
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
const { loss } = await trainer.evaluate();
await trainer.close();
await store.close();

console.log(`held-out text, nats a character: ${loss.toFixed(3)}`);
const [unigrams, bigrams, trigrams] = [1, 2, 3].map((n) =>
  new NGrams(training, n, alphabet.length).loss(heldOut)
);
console.log({ unigrams, bigrams, trigrams });
const limit = [unigrams, bigrams, trigrams][order - 1] ?? NaN;
if (!(loss < limit)) {
  throw new Error(`${loss.toFixed(3)} is not below the ${limit.toFixed(3)} of an n-gram model`);
}

const beginning = heldOut.subarray(-CONTEXT);
const passage: number[] = [];
const length = quick ? 50 : 400;
for await (
  const place of write({ path: await getCheckpoint(savePath), alphabet, beginning, length, seed: 1 })
) {
  passage.push(place);
}
console.log(`it writes: ${passage.map((place) => alphabet[place]).join("")}`);
const likeness = new NGrams(training, 2, alphabet.length).loss(Uint8Array.from(passage));
console.log(`what it writes, nats a character by the bigram model: ${likeness.toFixed(3)}`);
if (!(likeness < (unigrams ?? NaN))) {
  throw new Error(
    `${likeness.toFixed(3)} is not below the ${unigrams?.toFixed(3)} of the book by a unigram model`,
  );
}
console.log(`done in ${seconds.toFixed(1)} s`);
