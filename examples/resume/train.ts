// Press Ctrl-C whenever you like: it saves and leaves. Start it again, and it goes on where it was.
//
//   bun examples/resume/train.ts [directory]
//   deno run -A examples/resume/train.ts [directory]
//
// `interrupt.ts` beside it does both, and compares the end with that of a run that nobody interrupted.
import { DataLoader, nn, optim, TensorStore, Trainer } from "@cairn-ml/cairn";

const STEPS = 600;
const [directory = "checkpoints/resume"] = process.argv.slice(2);
const inputs = Array.from({ length: 256 }, (_, i) => [Math.cos(i), Math.sin(i), Math.cos(7 * i)]);

const data = DataLoader.from({ inputs, labels: inputs.map(([x = 0, y = 0, z = 0]) => [x * y + z]) }, {
  batchSize: 32,
  shuffle: true,
});

const store = await TensorStore.open();
const trainer = new Trainer(store, {
  model: nn.sequential(nn.linear(3, 32), nn.tanh(), nn.dropout(0.1), nn.linear(32, 1)),
  loss: nn.mse(),
  optimizer: optim.adamw({ learningRate: 0.01 }),
  data,
  seed: 1,
});
trainer.autoSave({ interval: 25, savePath: directory, keep: { last: 2 } });

const { resumedFrom } = await trainer.resume();
console.log(resumedFrom === null ? "a fresh start" : `going on at step ${trainer.step}`);
const { endedBy, exitCode } = await trainer.train({
  steps: STEPS,
  progress: false,
  handleSignals: true,
  onStep: ({ step }) => void (step % 50 === 0 && console.log(`step ${step} of ${STEPS}`)),
});
if (endedBy === "end") console.log(`done: loss ${(await trainer.evaluate(data)).loss}`);
else console.log(`saved at step ${trainer.step}; start it again to go on`);
await trainer.close();
await store.close();
process.exitCode = exitCode;
