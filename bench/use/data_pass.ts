/**
 * One epoch over the rows of an npy file, for bench/use/data_memory.ts, in a process of its own, as the peak of its
 * memory is what counts. `--file=… --as=map` or `--as=stream`; the last line is JSON.
 */
import { readFileSync } from "node:fs";
import process from "node:process";
import { openRows } from "../../src/data/files/open_rows.ts";
import { MapLoader } from "../../src/data/map_loader.ts";
import { examplesOf } from "../../src/data/rows/examples_of.ts";
import { StreamLoader } from "../../src/data/stream/stream_loader.ts";
import * as nn from "../../src/nn/nn.ts";
import { sgd } from "../../src/nn/optim/optim.ts";
import { TensorStore } from "../../src/tensor/tensor_store.ts";
import { Trainer } from "../../src/train/trainer.ts";

const BATCH = 64;

const rows = await openRows(option("file"));
const [features = 0] = rows.row.shape;
const target = { dtype: "f32", shape: [1] } as const;
const data = option("as") === "map"
  ? await MapLoader.open(examplesOf({ inputs: rows }), {
    batchSize: BATCH,
    shuffle: true,
    labels: target,
    transform: ({ inputs }, random) => ({ inputs, labels: [random.uniform()] }),
  })
  : await StreamLoader.open({
    seeks: true,
    async *open({ first }) {
      for (let index = first; index < rows.length; index++) yield await rows.read(index, 1);
    },
  }, {
    batchSize: BATCH,
    exampleCount: rows.length,
    shuffleWithin: 256,
    inputs: rows.row,
    labels: target,
    transform: (bytes, random) => ({ inputs: new Float32Array(bytes.buffer), labels: [random.uniform()] }),
  });
const store = await TensorStore.open();
const trainer = new Trainer(store, {
  model: nn.linear(features, 1),
  loss: nn.mse(),
  optimizer: sgd({ learningRate: 1e-6 }),
  data,
});
await trainer.train({ epochs: 1, progress: false });
const steps = trainer.step;
await trainer.close();
await store.close();
await rows.close();
const peakKib = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1];
console.log(JSON.stringify({ steps, peak: Number(peakKib) * 1024 }));

function option(name: string): string {
  const text = process.argv.find((argument) => argument.startsWith(`--${name}=`));
  if (text === undefined) throw new Error(`Say --${name}=`);
  return text.slice(name.length + 3);
}
