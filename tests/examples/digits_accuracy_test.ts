import { describe, expect } from "bun:test";
import { loadDigits } from "../../examples/digits/digits.ts";
import { crossEntropy, linear, relu, sequential } from "../../src/nn/nn.ts";
import { adamw } from "../../src/nn/optim/optim.ts";
import { TensorStore } from "../../src/tensor/tensor_store.ts";
import { DataLoader } from "../../src/data/data_loader.ts";
import { Trainer } from "../../src/train/trainer.ts";
import { gpuTest } from "../helpers/gpu.ts";
import { lossAndGradients, mapWeights, type MlpWeights, referenceAdamW } from "../train/reference/mlp.ts";

const SEED = 5;
const EPOCHS = 3;
const SIZES = { inputs: 784, hidden: 32, classes: 10 };
const NAMES: Record<keyof MlpWeights, string> = {
  w1: "model.0.weight",
  b1: "model.0.bias",
  w2: "model.2.weight",
  b2: "model.2.bias",
};

async function initialWeights(store: TensorStore): Promise<MlpWeights> {
  const read = await store.read(Object.values(NAMES));
  return mapWeights((key) => Float64Array.from(read.get(NAMES[key])?.toArray() as Float32Array));
}

/** Trains in float64 on the batches that the trainer sees. */
function trainReference(weights: MlpWeights, data: DataLoader): void {
  const update = referenceAdamW({
    learningRate: 2e-3,
    beta1: 0.9,
    beta2: 0.999,
    epsilon: 1e-8,
    weightDecay: 0.01,
  });
  const batches = Math.floor(data.exampleCount / data.batchSize);
  for (let step = 0; step < EPOCHS * batches; step++) {
    const batch = data.batchAt({ seed: SEED, epoch: Math.floor(step / batches), position: step % batches });
    const x = Float64Array.from(batch.inputs as Float32Array);
    update(weights, lossAndGradients(weights, SIZES, x, batch.labels as Uint32Array).gradients, step);
  }
}

/** The share of examples whose largest logit is that of their label. */
function accuracyOf(weights: MlpWeights, data: DataLoader): number {
  const batch = data.batchAt({ seed: SEED, epoch: 0, position: 0 });
  const labels = batch.labels as Uint32Array;
  const { logits } = lossAndGradients(
    weights,
    SIZES,
    Float64Array.from(batch.inputs as Float32Array),
    labels,
  );
  const hits = labels.filter((label, row) => {
    const scores = logits.subarray(row * SIZES.classes, (row + 1) * SIZES.classes);
    return scores.indexOf(Math.max(...scores)) === label;
  });
  return hits.length / labels.length;
}

describe("digits", () => {
  gpuTest(
    "training reaches the accuracy that the same network reaches in float64, within one point",
    async (gpu) => {
      const { training, heldOut } = await loadDigits(SEED);
      const data = DataLoader.from(training, { batchSize: 64, shuffle: true });
      const validation = DataLoader.from(heldOut, { batchSize: 2000 });
      const store = TensorStore.on(gpu);
      const trainer = new Trainer(store, {
        model: sequential(linear(784, 32), relu(), linear(32, 10)),
        loss: crossEntropy(),
        optimizer: adamw({ learningRate: 2e-3 }),
        data,
        validation,
        seed: SEED,
      });
      await trainer.evaluate(); // initialises the weights
      const reference = await initialWeights(store);
      trainReference(reference, data);
      await trainer.train({ epochs: EPOCHS, progress: false });
      const { accuracy = NaN } = await trainer.evaluate();
      const expected = accuracyOf(reference, validation);
      expect(expected).toBeGreaterThan(0.9);
      expect(Math.abs(accuracy - expected)).toBeLessThan(0.01);
      await trainer.close();
      await store.close();
    },
    1_800_000,
  );
});
