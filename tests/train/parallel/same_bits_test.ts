import { Buffer } from "node:buffer";
import { describe, expect } from "bun:test";
import type { GpuDevice } from "../../../src/gpu/gpu_device.ts";
import * as ops from "../../../src/graph/ops.ts";
import {
  batchNorm,
  crossEntropy,
  dropout,
  l2Penalty,
  type Layer,
  linear,
  normal,
  relu,
  sequential,
} from "../../../src/nn/nn.ts";
import { adamw, sgd } from "../../../src/nn/optim/optim.ts";
import type { TrainerOptions } from "../../../src/train/trainer.ts";
import { gpuTest } from "../../helpers/gpu.ts";
import { expectClose } from "../../kernels/numbers.ts";
import { blobs, CLASSES, FEATURES, HIDDEN, smallRun, withTrainer } from "../fixtures.ts";
import { asRanks } from "./fixtures.ts";

/** Every tensor of the store after two epochs, and the losses, of every rank. */
async function trained(gpu: GpuDevice, ranks: number, shards: number, options: TrainerOptions) {
  return await asRanks(gpu, ranks, shards, () => options, async ({ trainer, tensors }) => {
    await trainer.train({ epochs: 2, progress: false });
    const { loss, terms } = trainer.history;
    return { tensors: await tensors(), loss: [...loss], terms };
  });
}

/** Fails unless all ranks of all these numbers of ranks have the same bits everywhere. */
async function expectSameBits(
  gpu: GpuDevice,
  shards: number,
  ranks: readonly number[],
  options: TrainerOptions,
): Promise<void> {
  const [alone = raise()] = await trained(gpu, 1, shards, options);
  for (const each of ranks) {
    expect(await trained(gpu, each, shards, options)).toEqual(Array.from({ length: each }, () => alone));
  }
}

function raise(): never {
  throw new Error("There is no rank");
}

describe("a run in shards", () => {
  gpuTest("has the same bits on one rank and on two", async (gpu) => {
    const model = sequential(linear(FEATURES, HIDDEN), relu(), linear(HIDDEN, CLASSES));
    await expectSameBits(gpu, 2, [2], smallRun({ model, optimizer: sgd({ learningRate: 0.1 }) }));
  });

  gpuTest("has the same bits on 1, 2, 3, 4 and 8 ranks, with dropout, AdamW and clipping", async (gpu) => {
    const options = smallRun({
      data: blobs(59, { batchSize: 16, shuffle: true }),
      optimizer: adamw({ learningRate: 0.02 }),
      clipGradients: { norm: 0.5 },
    });
    await expectSameBits(gpu, 8, [2, 3, 4, 8], options);
  });

  gpuTest(
    "has the same bits where weights of a loss differ, and the last batch has fewer examples than shards",
    async (gpu) => {
      const options = smallRun({
        model: logits,
        data: blobs(37, { batchSize: 17, shuffle: true }),
        loss: crossEntropy({ weights: [1, 0.25, 3] }),
        regularizers: { l2: l2Penalty(0.1) },
      });
      await expectSameBits(gpu, 5, [2, 3, 5], options);
    },
  );

  gpuTest("has the same bits with batch norm, also where it counts its batches", async (gpu) => {
    const model = sequential(batchNorm(FEATURES, { momentum: null }), logits, batchNorm(CLASSES));
    await expectSameBits(gpu, 4, [3, 4], smallRun({ model }));
  });

  gpuTest("is the run of the whole batch, but for rounding", async (gpu) => {
    const options = smallRun({
      model: sequential(dropout(0.25), logits),
      optimizer: sgd({ learningRate: 0.1 }),
    });
    const [shards = raise()] = await trained(gpu, 1, 3, options);
    const whole = await withTrainer(gpu, options, async ({ trainer, tensors }) => {
      await trainer.train({ epochs: 2, progress: false });
      return { tensors: await tensors(), loss: [...trainer.history.loss] };
    });
    expectClose(shards.loss, whole.loss, { absolute: 1e-6, relative: 1e-6 });
    expectClose(floats(shards.tensors["model.1.scale"]), floats(whole.tensors["model.1.scale"]), {
      absolute: 1e-6,
      relative: 1e-6,
    });
  });
});

/** Two features a class, scaled and added up: no matmul, which would be compiled for each size. */
const logits: Layer = (x, scope) => {
  const scaled = ops.mul(x, scope.parameter("scale", [FEATURES], normal(1)));
  const pairs = ops.reshape(scaled, [-1, CLASSES, FEATURES / CLASSES]);
  return ops.add(ops.sum(pairs, { axes: 2 }), scope.parameter("bias", [CLASSES], normal(1)));
};

function floats(hex: string = ""): Float32Array {
  return new Float32Array(new Uint8Array(Buffer.from(hex, "hex")).buffer);
}
