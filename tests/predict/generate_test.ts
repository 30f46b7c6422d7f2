import { join } from "node:path";
import { describe, expect } from "bun:test";
import { DataLoader } from "../../src/data/data_loader.ts";
import type { GpuDevice } from "../../src/gpu/gpu_device.ts";
import * as nn from "../../src/nn/nn.ts";
import { adamw, ema } from "../../src/nn/optim/optim.ts";
import type { Optimizer } from "../../src/nn/optim/optimizer.ts";
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

/** Trains a model to count: 0, 1, 2, 3, 4, 0, 1 … */
async function withCounting(
  gpu: GpuDevice,
  work: (trainer: Trainer) => Promise<void>,
  optimizer: Optimizer = adamw({ learningRate: 0.02 }),
): Promise<void> {
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
    optimizer,
    data: DataLoader.from({ inputs: windows(0), labels: windows(1) }, {
      batchSize: 20,
      shuffle: true,
    }),
    seed: 1,
  });
  try {
    await work(trainer);
  } finally {
    await trainer.close();
    await store.close();
  }
}

/** A checkpoint of such a model. */
async function trainCounting(gpu: GpuDevice, path: string): Promise<void> {
  await withCounting(gpu, async (trainer) => {
    await trainer.train({ epochs: 8, progress: false });
    await trainer.save(path);
  });
}

async function allOf(tokens: AsyncIterable<number>): Promise<number[]> {
  const all: number[] = [];
  for await (const token of tokens) all.push(token);
  return all;
}

describe("a Trainer of a language model", () => {
  const some = { maxTokens: 17, temperature: 2, seed: 4 };

  gpuTest(
    "IN-03 writes as a Predictor of its checkpoint does, and trains on with the same bits",
    async (gpu) => {
      await inFolder(async (folder) => {
        const path = join(folder, "counting.cairn");
        const lossesOf = async (writes: boolean): Promise<Float32Array> => {
          let losses = new Float32Array();
          await withCounting(gpu, async (trainer) => {
            await trainer.train({ steps: 9, progress: false });
            if (writes) {
              const text = await allOf(trainer.generate(Uint8Array.of(3, 4), some));
              expect(new Set(text).size).toBeGreaterThan(1);
              await trainer.save(path);
              const predictor = await Predictor.open(layers(), path, { gpu });
              expect(await allOf(predictor.generate([3, 4], some))).toEqual(text);
              await predictor.close();
            }
            await trainer.train({
              steps: 24,
              progress: false,
              onStep: async ({ step }) => {
                if (writes && step === 12) await allOf(trainer.generate([1], { maxTokens: 3 }));
              },
            });
            if (writes) {
              expect(await allOf(trainer.generate([3, 4], { maxTokens: 6, temperature: 0 })))
                .toEqual([0, 1, 2, 3, 4, 0]);
            }
            losses = trainer.history.loss.slice();
          });
          return losses;
        };
        const [written, undisturbed] = [await lossesOf(true), await lossesOf(false)];
        expect(written).toHaveLength(24);
        expect(written).toEqual(undisturbed);
      });
    },
  );

  gpuTest("IN-03 writes by the averages of its weights where the optimiser keeps some", async (gpu) => {
    await inFolder(async (folder) => {
      const path = join(folder, "averaged.cairn");
      await withCounting(gpu, async (trainer) => {
        await trainer.train({ steps: 6, progress: false });
        const text = await allOf(trainer.generate([3, 4], some));
        await trainer.save(path);
        const texts: number[][] = [];
        for (const averaged of [true, false]) {
          const predictor = await Predictor.open(layers(), path, { gpu, averaged });
          texts.push(await allOf(predictor.generate([3, 4], some)));
          await predictor.close();
        }
        expect(texts[0]).toEqual(text);
        expect(texts[1]).not.toEqual(text);
      }, ema(adamw({ learningRate: 0.05 }), { decay: 0.95 }));
    });
  });

  gpuTest("IN-03 a text of a trainer ends with it", async (gpu) => {
    await withCounting(gpu, async (trainer) => {
      const text = trainer.generate([1]);
      await text.next();
      await trainer.close();
      expect((await thrownBy(() => text.next())).code).toBe("closed");
      expect((await thrownBy(() => trainer.generate([1]))).code).toBe("closed");
    });
  });
});

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
