/**
 * A process that trains on a stream of the rows of a CSV file, for tests/train/killed_stream_test.ts: `--rows=…` is the
 * file, `--checkpoints=…` where it saves. It prints `from <step>`, `example <id>` for each that it makes, in their
 * order, `step <done>` and `done`.
 */
import process from "node:process";
import { csvRows, numbersIn } from "../../src/data/files/csv_rows.ts";
import { StreamLoader } from "../../src/data/stream/stream_loader.ts";
import * as nn from "../../src/nn/nn.ts";
import { adamw } from "../../src/nn/optim/optim.ts";
import { TensorStore } from "../../src/tensor/tensor_store.ts";
import { Trainer } from "../../src/train/trainer.ts";
import { BATCH, COUNT, EPOCHS, SAVED_EVERY } from "./killed_stream.ts";

const say = (line: string): void => void process.stdout.write(`${line}\n`);

const data = await StreamLoader.open(csvRows(option("rows")), {
  batchSize: BATCH,
  exampleCount: COUNT,
  shuffleWithin: 3 * BATCH,
  inputs: { dtype: "f32", shape: [2] },
  labels: { dtype: "f32", shape: [1] },
  transform(row, random) {
    say(`example ${row.id}`);
    const [x = NaN, y = NaN] = numbersIn(row, ["x", "y"]);
    return { inputs: [x + random.normal(0, 0.01), y], labels: [x * y] };
  },
});
const store = await TensorStore.open();
const trainer = new Trainer(store, {
  model: nn.sequential(nn.linear(2, 8), nn.tanh(), nn.dropout(0.1), nn.linear(8, 1)),
  loss: nn.mse(),
  optimizer: adamw({ learningRate: 0.01 }),
  data,
  seed: 1,
});
trainer.autoSave({ savePath: option("checkpoints"), everySteps: SAVED_EVERY, keep: { last: 2 } });
await trainer.resume();
say(`from ${trainer.step}`);
await trainer.train({ epochs: EPOCHS, progress: false, onStep: ({ step }) => say(`step ${step}`) });
await trainer.close();
await store.close();
say("done");

function option(name: string): string {
  const text = process.argv.find((argument) => argument.startsWith(`--${name}=`));
  if (text === undefined) throw new Error(`Say --${name}=`);
  return text.slice(name.length + 3);
}
