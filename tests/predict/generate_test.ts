import { join } from "node:path";
import { describe, expect } from "bun:test";
import { DataLoader } from "../../src/data/data_loader.ts";
import type { GpuDevice } from "../../src/gpu/gpu_device.ts";
import * as nn from "../../src/nn/nn.ts";
import { adamw } from "../../src/nn/optim/optim.ts";
import { Predictor } from "../../src/predict/predictor.ts";
import { HostTensor } from "../../src/tensor/host_tensor.ts";
import { TensorStore } from "../../src/tensor/tensor_store.ts";
import { Trainer } from "../../src/train/trainer.ts";
import { gpuTest } from "../helpers/gpu.ts";
import { inFolder } from "../helpers/in_folder.ts";
import { thrownBy } from "../helpers/thrown.ts";

const LENGTH = 8;
const CLASSES = 5;

function layers(width = 16): nn.Layer {
  return nn.sequential(
    nn.embedding(CLASSES, width),
    nn.learnedPositions(LENGTH, width),
    nn.transformerBlock(width, 2, { causal: true }),
    nn.linear(width, CLASSES),
  );
}

/** A checkpoint of a model that has learned to count: 0, 1, 2, 3, 4, 0, 1 … */
async function trainCounting(gpu: GpuDevice, path: string): Promise<void> {
  const tokens = Uint8Array.from({ length: 60 + LENGTH }, (_, at) => at % CLASSES);
  const windows = (offset: number): HostTensor => {
    const all = Array.from(
      { length: 60 },
      (_, at) => [...tokens.subarray(at + offset, at + offset + LENGTH)],
    );
    return HostTensor.from(all, [60, LENGTH], "u8");
  };
  const store = TensorStore.on(gpu);
  const trainer = new Trainer(store, {
    model: layers(),
    loss: nn.crossEntropy(),
    optimizer: adamw({ learningRate: 0.02 }),
    data: DataLoader.from({ inputs: windows(0), labels: windows(1) }, {
      batchSize: 20,
      shuffle: true,
    }),
    seed: 1,
  });
  await trainer.train({ epochs: 8, progress: false });
  await trainer.save(path);
  await trainer.close();
  await store.close();
}

describe("a Predictor of a language model", () => {
  gpuTest(
    "IN-03 goes on with what it was trained on, beyond its positions, from a checkpoint",
    async (gpu) => {
      await inFolder(async (folder) => {
        const path = join(folder, "counting.cairn");
        await trainCounting(gpu, path);
        const predictor = await Predictor.open(layers(), path, { gpu });
        try {
          const found: number[] = [];
          for await (
            const token of predictor.generate(Uint8Array.of(3, 4, 0), { maxTokens: 17, temperature: 0 })
          ) {
            found.push(token);
          }
          expect(found).toEqual(Array.from({ length: 17 }, (_, at) => (at + 1) % CLASSES));
          const many: number[][] = [[], []];
          for await (
            const { prompt, token } of predictor.generateMany([[2], [0, 1, 2, 3]], { topK: 1, maxTokens: 4 })
          ) {
            many[prompt]?.push(token);
          }
          expect(many).toEqual([[3, 4, 0, 1], [4, 0, 1, 2]]);
          // What is under way ends when the predictor is closed.
          const [texts, waiting] = [0, 1].map(() => predictor.generate([1], { temperature: 0 }));
          if (texts === undefined || waiting === undefined) throw new Error("there are two");
          expect(await texts.next()).toEqual({ value: 2, done: false });
          await waiting.next();
          const error = thrownBy(() => waiting.next());
          await predictor.close();
          expect((await error).code).toBe("closed");
          expect((await thrownBy(() => texts.next())).code).toBe("closed");
          expect((await thrownBy(() => predictor.generate([1]).next())).code).toBe("closed");
        } finally {
          await predictor.close();
        }
      });
    },
  );

  gpuTest("IN-03 says what does not fit: weights, and a prompt that is a text", async (gpu) => {
    await inFolder(async (folder) => {
      const path = join(folder, "counting.cairn");
      await trainCounting(gpu, path);
      const predictor = await Predictor.open(layers(8), path, { gpu });
      try {
        expect((await thrownBy(() => predictor.generate([1]).next())).code).toBe("state_mismatch");
        const text = "012" as unknown as number[];
        expect((await thrownBy(() => predictor.generate(text))).message).toContain("encode the text first");
      } finally {
        await predictor.close();
      }
    });
  });
});
