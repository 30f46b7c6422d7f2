import { describe, expect } from "bun:test";
import { linear, relu, sequential } from "../../src/nn/nn.ts";
import { adamw, sgd } from "../../src/nn/optim/optim.ts";
import type { Optimizer } from "../../src/nn/optim/optimizer.ts";
import { TensorStore } from "../../src/tensor/tensor_store.ts";
import { Trainer } from "../../src/train/trainer.ts";
import { gpuTest } from "../helpers/gpu.ts";
import { BATCH, blobs, CLASSES, FEATURES, HIDDEN, smallRun } from "./fixtures.ts";
import {
  KEYS,
  lossAndGradients,
  mapWeights,
  type MlpWeights,
  referenceAdamW,
  referenceSgd,
  type ReferenceUpdate,
} from "./reference/mlp.ts";

const STEPS = 20;
const NAMES: Record<keyof MlpWeights, string> = {
  w1: "model.0.weight",
  b1: "model.0.bias",
  w2: "model.2.weight",
  b2: "model.2.bias",
};

async function weightsOf(store: TensorStore): Promise<MlpWeights> {
  const read = await store.read(Object.values(NAMES));
  return mapWeights((key) => Float64Array.from(read.get(NAMES[key])?.toArray() as Float32Array));
}

/** Trains 20 steps on the GPU and in float64 from the same weights, and compares losses and weights. */
function matchesReference(name: string, optimizer: Optimizer, update: ReferenceUpdate): void {
  gpuTest(`${name} trains a two-layer net as float64 does, for ${STEPS} steps`, async (gpu) => {
    const store = TensorStore.on(gpu);
    const data = blobs(BATCH * STEPS, { batchSize: BATCH, shuffle: true });
    const trainer = new Trainer(
      store,
      smallRun({
        model: sequential(linear(FEATURES, HIDDEN), relu(), linear(HIDDEN, CLASSES)),
        optimizer,
        data,
        seed: 3,
      }),
    );
    // Zero epochs initialise nothing, a save or an evaluation does.
    await trainer.evaluate(data);
    const weights = await weightsOf(store);
    const losses: number[] = [];
    for (let step = 0; step < STEPS; step++) {
      const batch = data.batchAt({ seed: 3, epoch: 0, position: step });
      const x = Float64Array.from(batch.inputs as Float32Array);
      const sizes = { inputs: FEATURES, hidden: HIDDEN, classes: CLASSES };
      const { loss, gradients } = lossAndGradients(weights, sizes, x, batch.labels as Uint32Array);
      losses.push(loss);
      update(weights, gradients, step);
    }
    await trainer.train({ epochs: 1, progress: false });
    const trained = await weightsOf(store);
    trainer.history.loss.forEach((loss, step) => {
      expect(Math.abs(loss - (losses[step] as number))).toBeLessThan(2e-5);
    });
    for (const key of KEYS) {
      const worst = trained[key].reduce(
        (most, value, i) => Math.max(most, Math.abs(value - (weights[key][i] as number))),
        0,
      );
      expect(worst).toBeLessThan(2e-4);
    }
    expect(losses[STEPS - 1]).toBeLessThan((losses[0] as number) * 0.9);
    await trainer.close();
    await store.close();
  }, 1_800_000);
}

describe("training", () => {
  matchesReference(
    "SGD",
    sgd({ learningRate: 0.1 }),
    referenceSgd({ learningRate: 0.1, momentum: 0, nesterov: false, weightDecay: 0 }),
  );
  matchesReference(
    "SGD with momentum and weight decay",
    sgd({ learningRate: 0.05, momentum: 0.9, weightDecay: 0.01 }),
    referenceSgd({ learningRate: 0.05, momentum: 0.9, nesterov: false, weightDecay: 0.01 }),
  );
  matchesReference(
    "SGD with Nesterov's momentum",
    sgd({ learningRate: 0.05, momentum: 0.8, nesterov: true }),
    referenceSgd({ learningRate: 0.05, momentum: 0.8, nesterov: true, weightDecay: 0 }),
  );
  matchesReference(
    "AdamW",
    adamw({ learningRate: 0.01, weightDecay: 0.1 }),
    referenceAdamW({ learningRate: 0.01, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0.1 }),
  );
});
