// A curve through noisy points: one number in, one number out, measured by how much of the variance is explained.
//
//   bun examples/regression/train.ts
//   deno run -A examples/regression/train.ts
//
// The result: an R² of at least 0.99 against the curve itself, at 200 points that it did not see.
import { DataLoader, nn, optim, TensorStore, Trainer } from "@cairn-ml/cairn";

const curve = (x: number): number => Math.sin(3 * x) + x / 2;
/** The same noise in every run: from -0.1 to 0.1. */
const noise = (i: number): number => 0.2 * ((i * 0.618_034) % 1) - 0.1;
const trained = Array.from({ length: 400 }, (_, i) => [i / 100 - 2]);
const unseen = Array.from({ length: 200 }, (_, i) => [i / 50 - 1.995]);

const store = await TensorStore.open();
const trainer = new Trainer(store, {
  model: nn.sequential(nn.linear(1, 64), nn.tanh(), nn.linear(64, 64), nn.tanh(), nn.linear(64, 1)),
  loss: nn.mse(),
  optimizer: optim.adamw({ learningRate: optim.cosineDecay(5e-3, 1500) }),
  data: DataLoader.from(
    { inputs: trained, labels: trained.map(([x = 0], i) => [curve(x) + noise(i)]) },
    { batchSize: 80, shuffle: true },
  ),
  validation: DataLoader.from(
    { inputs: unseen, labels: unseen.map(([x = 0]) => [curve(x)]) },
    { batchSize: 200 },
  ),
  metrics: { r2: nn.r2() },
  seed: 1,
});
await trainer.train({ steps: 1500 });
const { loss, metrics: { r2 = 0 } } = await trainer.evaluate();
const [at0 = NaN, at1 = NaN] = (await trainer.predict([[0], [1]])).toArray();
console.log(`at 0 and 1 it says ${fixed(at0)} and ${fixed(at1)}; the curve has 0.000 and ${fixed(curve(1))}`);
console.log(`done: R² ${r2.toFixed(4)}, mean squared error ${loss.toExponential(2)}`);
process.exitCode = r2 >= 0.99 ? 0 : 1;
await trainer.close();
await store.close();

function fixed(number: number | bigint): string {
  return Number(number).toFixed(3);
}
