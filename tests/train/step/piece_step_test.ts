import { describe, expect, test } from "bun:test";
import type { GpuDevice } from "../../../src/gpu/gpu_device.ts";
import * as ops from "../../../src/graph/ops.ts";
import {
  combineLosses,
  crossEntropy,
  dropout,
  l2Penalty,
  type Layer,
  type Loss,
  normal,
  sequential,
} from "../../../src/nn/nn.ts";
import { adamw, sgd } from "../../../src/nn/optim/optim.ts";
import { MemoryStorage } from "../../../src/storage/memory_storage.ts";
import { pieceOf, piecesOf } from "../../../src/train/step/batch_pieces.ts";
import type { TrainerOptions } from "../../../src/train/trainer.ts";
import { gpuTest } from "../../helpers/gpu.ts";
import { thrownBy } from "../../helpers/thrown.ts";
import { expectClose } from "../../kernels/numbers.ts";
import { blobs, CLASSES, engineOn, FEATURES, smallRun, withTrainer } from "../fixtures.ts";

const BATCH = 12;
const TOLERANCE = { absolute: 1e-5, relative: 1e-5 };

/** Two features a class, scaled and added up: no matmul, which would be compiled for each size. */
const logits: Layer = (x, scope) => {
  const scaled = ops.mul(x, scope.parameter("scale", [FEATURES], normal(1)));
  const pairs = ops.reshape(scaled, [-1, CLASSES, FEATURES / CLASSES]);
  return ops.add(ops.sum(pairs, { axes: 2 }), scope.parameter("bias", [CLASSES], normal(1)));
};

/** A run whose batches are of 12 examples, and of 11 at the end of an epoch. */
function runOf(overrides: Partial<TrainerOptions> = {}): TrainerOptions {
  return smallRun({
    model: sequential(dropout(0.25), logits),
    data: blobs(59, { batchSize: BATCH, shuffle: true }),
    optimizer: sgd({ learningRate: 0.1, momentum: 0.9 }),
    ...overrides,
  });
}

/** What a training leaves: weights, and the numbers of every step and of the epoch. */
async function trained(gpu: GpuDevice, options: TrainerOptions) {
  return await withTrainer(gpu, options, async ({ trainer, store }) => {
    await trainer.train({ epochs: 2, progress: false });
    const names = store.group("model").tensors.map(({ name }) => name);
    const tensors = [...(await store.read(names)).values()];
    const { loss, terms, epochs } = trainer.history;
    return {
      weights: tensors.flatMap((tensor) => [...tensor.toArray() as Float32Array]),
      loss: [...loss],
      numbers: Object.entries(terms).flatMap(([name, column]) =>
        [...column].map((each) => [name, each] as const)
      ),
      epoch: Object.entries(epochs.at(-1)?.metrics ?? {}),
    };
  });
}

/** Fails unless pieces of at most `microBatchSize` give what whole batches do, but for rounding. */
async function expectSame(gpu: GpuDevice, microBatchSize: number, options: TrainerOptions): Promise<void> {
  const whole = await trained(gpu, options);
  const pieces = await trained(gpu, { ...options, microBatchSize });
  expectClose(pieces.weights, whole.weights, TOLERANCE);
  expectClose(pieces.loss, whole.loss, TOLERANCE);
  expect(whole.loss.length).toBe(10);
  for (const key of ["numbers", "epoch"] as const) {
    expect(pieces[key].map(([name]) => name)).toEqual(whole[key].map(([name]) => name));
    expectClose(pieces[key].map(([, number]) => number), whole[key].map(([, number]) => number), TOLERANCE);
  }
}

describe("a batch", () => {
  test("OT-03 is cut into pieces, of which the last may be smaller", () => {
    expect(piecesOf(12, 5)).toEqual([{ first: 0, size: 5 }, { first: 5, size: 5 }, { first: 10, size: 2 }]);
    expect(piecesOf(12, 4).map(({ size }) => size)).toEqual([4, 4, 4]);
    expect(piecesOf(3, 5)).toEqual([{ first: 0, size: 3 }]);
    expect(piecesOf(3)).toEqual([{ first: 0, size: 3 }]);
  });

  test("OT-03 gives the bytes of a piece, wherever it lies in its buffer", () => {
    const all = Float32Array.from({ length: 20 }, (_, index) => index);
    const batch = { inputs: all.subarray(4, 16), labels: Uint8Array.of(0, 1, 2, 3) };
    const { inputs, labels } = pieceOf(batch, 4, { first: 1, size: 2 });
    const { buffer, byteOffset } = inputs as Uint8Array;
    expect([...new Float32Array(buffer, byteOffset, 6)]).toEqual([7, 8, 9, 10, 11, 12]);
    expect([...labels as Uint8Array]).toEqual([1, 2]);
  });
});

describe("gradients of pieces", () => {
  gpuTest(
    "OT-03 add up to those of the batch, with the same dropout, whatever the pieces are",
    async (gpu) => {
      await expectSame(gpu, 5, runOf());
      await expectSame(gpu, 4, runOf({ optimizer: adamw({ learningRate: 0.05 }) }));
    },
  );

  gpuTest("OT-03 are divided by the weights of the whole batch, also where a piece has none", async (gpu) => {
    await expectSame(gpu, 1, runOf({ loss: crossEntropy({ ignoreIndex: 1 }) }));
    await expectSame(gpu, 5, runOf({ loss: crossEntropy({ weights: [1, 0.25, 3] }) }));
  });

  gpuTest(
    "OT-03 take weights that follow from the output, which takes a forward pass before",
    async (gpu) => {
      const sure: Loss = (output, labels) => {
        const found = crossEntropy()(output, labels);
        return { ...found, weight: ops.sigmoid(ops.max(output, { axes: 1 })) };
      };
      await expectSame(gpu, 5, runOf({ loss: sure }));
    },
  );

  gpuTest("OT-03 have every term, regulariser and norm of the batch", async (gpu) => {
    const loss = combineLosses(
      { all: crossEntropy(), some: crossEntropy({ ignoreIndex: 2 }) },
      { factors: { some: 0.5 } },
    );
    const options = runOf({ loss, regularizers: { l2: l2Penalty(0.1) }, clipGradients: { norm: 0.5 } });
    await expectSame(gpu, 5, options);
    const { numbers } = await trained(gpu, { ...options, microBatchSize: 5 });
    expect(new Set(numbers.map(([name]) => name))).toEqual(
      new Set(["all", "some", "some.weight", "l2", "gradient_norm"]),
    );
  });

  gpuTest("OT-03 are not needed where a batch is no larger: the bits are the same", async (gpu) => {
    expect(await trained(gpu, runOf({ microBatchSize: 12 }))).toEqual(await trained(gpu, runOf()));
    expect(await trained(gpu, runOf({ microBatchSize: 100 }))).toEqual(await trained(gpu, runOf()));
  });

  gpuTest("OT-03 are one update, in a submit for each piece and less memory", async (gpu) => {
    const data = blobs(240, { batchSize: 240 });
    const measure = async (microBatchSize: number | undefined) => {
      const create = gpu.createBuffer.bind(gpu);
      let bytes = 0;
      gpu.createBuffer = (label, byteLength, usage) => {
        if (/^train step.* arena/.test(label)) bytes += byteLength;
        return create(label, byteLength, usage);
      };
      try {
        return await withTrainer(gpu, runOf({ data, microBatchSize }), async ({ trainer }) => {
          await trainer.train({ epochs: 1, progress: false });
          const before = gpu.counters;
          await trainer.train({ epochs: 3, progress: false });
          expect(trainer.step).toBe(3);
          expect(gpu.counters.buffers).toBe(before.buffers);
          return { bytes, submits: gpu.counters.submits - before.submits };
        });
      } finally {
        gpu.createBuffer = create;
      }
    };
    const [whole, pieces] = [await measure(undefined), await measure(20)];
    expect(pieces.submits - whole.submits).toBe(2 * 11);
    expect(pieces.bytes).toBeLessThan(whole.bytes / 3);
  });

  gpuTest("OT-03 of which one is not finite change nothing", async (gpu) => {
    const loader = blobs(24, { batchSize: BATCH });
    const batchAt: typeof loader.batchAt = (request) => {
      const { inputs, labels } = loader.batchAt(request);
      const broken = (inputs as Float32Array).slice();
      // In the second of three pieces of the second batch.
      if (request.position === 1) broken[6 * FEATURES] = NaN;
      return { inputs: broken, labels };
    };
    const { batchSize, exampleCount, inputs, labels } = loader;
    const data = { batchSize, exampleCount, inputs, labels, batchAt };
    await withTrainer(
      gpu,
      runOf({ model: logits, data, microBatchSize: 5 }),
      async ({ trainer, tensors }) => {
        const error = await thrownBy(() => trainer.train({ epochs: 1, progress: false }));
        expect([error.code, trainer.step]).toEqual(["non_finite", 1]);
        const stopped = await tensors();
        const { skipped } = await trainer.train({ epochs: 1, progress: false, onNonFinite: "skip" });
        expect(skipped.map(({ step }) => step)).toEqual([2]);
        expect((await tensors())["model.scale"]).toBe(stopped["model.scale"] ?? "none");
        expect([...trainer.history.loss].map(Number.isNaN)).toEqual([false, true]);
      },
    );
  });

  gpuTest("OT-03 resume bit for bit, and by other pieces only where that is allowed", async (gpu) => {
    const storage = new MemoryStorage();
    const options = runOf({ microBatchSize: 5 });
    const undisturbed = await withTrainer(gpu, options, async (made) => {
      await made.trainer.train({ epochs: 2, progress: false });
      return await made.tensors();
    });
    await withTrainer(gpu, options, async ({ trainer }) => {
      trainer.autoSave({ savePath: await engineOn(storage), interval: 1 });
      await trainer.train({ epochs: 1, progress: false });
    });
    await withTrainer(gpu, options, async (made) => {
      made.trainer.autoSave({ savePath: await engineOn(storage) });
      expect((await made.trainer.resume()).step).toBe(5);
      await made.trainer.train({ epochs: 2, progress: false });
      expect(await made.tensors()).toEqual(undisturbed);
    });
    await withTrainer(gpu, runOf(), async ({ trainer }) => {
      trainer.autoSave({ savePath: await engineOn(storage) });
      const { message } = await thrownBy(() => trainer.resume());
      expect(message).toContain("microBatchSize 5, this one the whole batch");
      expect((await trainer.resume({ allow: ["batchSize"] })).changed.map(({ what }) => what)).toEqual([
        "microBatchSize",
      ]);
    });
  });

  gpuTest("OT-03 of a number of examples that is none are refused", async (gpu) => {
    for (const microBatchSize of [0, 1.5, NaN]) {
      const error = await thrownBy(() =>
        withTrainer(gpu, runOf({ microBatchSize }), () => Promise.resolve())
      );
      expect(error.message).toContain(`microBatchSize is an integer from 1, found ${microBatchSize}`);
    }
  });
});
