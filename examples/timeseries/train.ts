// An LSTM that says what the next hour of a series will be, from the two days before it.
//
//   bun examples/timeseries/train.ts [--quick] [--bf16] [directory]
//   deno run -A examples/timeseries/train.ts [--quick] [--bf16] [directory]
//
// The result: on hours that come after all that it was trained on, its error is at most 0.65 of that of the better one
// of two naive forecasts: as the hour before, and as the same hour of the day before.
// Kill it whenever you like and start it again: it goes on from its newest checkpoint, and ends with the same bits.
import { parseArgs } from "node:util";
import { TensorStore } from "@cairn-ml/cairn";
import { DAY, hourly, naiveError, NOISE } from "./series.ts";
import { timeseriesTrainer, WINDOW } from "./trainer.ts";

const { values: { quick, bf16 }, positionals: [directory] } = parseArgs({
  options: { quick: { type: "boolean", default: false }, bf16: { type: "boolean", default: false } },
  allowPositionals: true,
});
/** How long it trains, and which part of the naive error is left then. */
const { steps, expected } = quick ? { steps: 60, expected: 1 } : { steps: 600, expected: 0.65 };

const series = hourly(5000);
const [past, future] = [series.subarray(0, 4000), series.subarray(4000 - WINDOW)];

const store = await TensorStore.open();
const trainer = timeseriesTrainer(store, { past, future }, { steps, precision: bf16 ? "bf16" : "f32" });
trainer.autoSave({
  savePath: directory ?? `checkpoints/timeseries${quick ? "_quick" : ""}${bf16 ? "_bf16" : ""}`,
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
const { rmse = NaN } = (await trainer.evaluate()).metrics;
await trainer.close();
await store.close();

const [hourBefore, dayBefore] = [1, DAY].map((lag) => naiveError(future, WINDOW, lag));
console.log("errors on the 1,000 hours that come after:", { rmse, hourBefore, dayBefore, noise: NOISE });
const share = rmse / Math.min(hourBefore ?? NaN, dayBefore ?? NaN);
if (!(share <= expected)) {
  throw new Error(`the error is ${share.toFixed(3)} of the naive one, not ${expected}`);
}
console.log(
  `done in ${seconds.toFixed(1)} s: the error is ${share.toFixed(3)} of the better naive forecast's`,
);
