import { describe, expect, test } from "bun:test";
import { add, mul } from "../../../src/graph/ops/arithmetic.ts";
import { cast } from "../../../src/graph/ops/cast.ts";
import { softmaxCrossEntropy } from "../../../src/graph/ops/softmax_cross_entropy.ts";
import { reshape } from "../../../src/graph/ops/views.ts";
import { indexLimits } from "../../../src/graph/index_limits.ts";
import { input } from "../../../src/graph/ops/sources.ts";
import { crossEntropy, linear, type Loss, mse } from "../../../src/nn/nn.ts";
import { HostTensor } from "../../../src/tensor/host_tensor.ts";
import type { BatchSource } from "../../../src/data/batch_source.ts";
import { DataLoader, type DataLoaderOptions } from "../../../src/data/data_loader.ts";
import { inputRanges, requireBatchInRange } from "../../../src/train/measure/index_check.ts";
import { gpuTest } from "../../helpers/gpu.ts";
import { thrownBy } from "../../helpers/thrown.ts";
import { BATCH, blobs, CLASSES, FEATURES, smallRun, withTrainer } from "../fixtures.ts";

/** The blobs, with one label that is no class. */
function mislabelled(example: number, label: number, options: DataLoaderOptions, count = 32): DataLoader {
  const { inputs, labels } = blobs(count, { batchSize: count }).batchAt({ seed: 0, epoch: 0, position: 0 });
  const marked = (labels as Uint32Array).slice();
  marked[example] = label;
  return DataLoader.from({
    inputs: HostTensor.from(inputs as Float32Array, [count, FEATURES]),
    labels: HostTensor.from(marked, [count]),
  }, options);
}

const QUIET = { progress: false } as const;

describe("a label that is no class", () => {
  gpuTest("is refused before it is uploaded, with the example and the value, in training", async (gpu) => {
    for (const label of [CLASSES, 255, 2 ** 32 - 1]) {
      const data = mislabelled(19, label, { batchSize: BATCH });
      await withTrainer(gpu, smallRun({ data }), async ({ trainer, tensors }) => {
        const error = await thrownBy(() => trainer.train({ epochs: 1, ...QUIET }));
        expect(error).toBeInstanceOf(RangeError);
        expect(error.message).toContain(
          `The label of example 19 (example 3 of batch 2 of epoch 1) is ${label}, ` +
            "and crossEntropy takes whole numbers from 0 to 2",
        );
        expect(trainer.step).toBe(2);
        expect(trainer.history.loss).toHaveLength(2);
        expect((await tensors())["trainer.control"]).toBe("00000000000000000200000000000000");
      });
    }
  });

  gpuTest("is named by its place in the data, where that is shuffled", async (gpu) => {
    const data = mislabelled(23, 9, { batchSize: BATCH, shuffle: true });
    await withTrainer(gpu, smallRun({ data }), async ({ trainer }) => {
      const error = await thrownBy(() => trainer.train({ epochs: 1, ...QUIET }));
      expect(error.message).toContain("The label of example 23 (example ");
    });
  });

  gpuTest(
    "is refused in validation data and by evaluate(), in a last batch that is short, too",
    async (gpu) => {
      const validation = mislabelled(19, 3, { batchSize: BATCH }, 20);
      await withTrainer(gpu, smallRun({ validation }), async ({ trainer }) => {
        for (const way of [() => trainer.evaluate(), () => trainer.train({ epochs: 1, ...QUIET })]) {
          const error = await thrownBy(way);
          expect(error).toBeInstanceOf(RangeError);
          expect(error.message).toContain("The label of example 19 (example 3 of batch 2 of epoch 1) is 3");
        }
        expect(trainer.step).toBe(7);
        expect(trainer.history.epochs).toEqual([]);
      });
    },
  );

  gpuTest("is refused for a loss of one's own that has a cross-entropy inside", async (gpu) => {
    const loss: Loss = (output, labels) => add(mul(crossEntropy()(output, labels).value, 0.5), 1);
    const data = mislabelled(0, 7, { batchSize: BATCH });
    await withTrainer(gpu, smallRun({ data, loss }), async ({ trainer }) => {
      const error = await thrownBy(() => trainer.train({ epochs: 1, ...QUIET }));
      expect(error.message).toContain("The label of example 0 (example 0 of batch 0 of epoch 1) is 7");
    });
  });

  gpuTest("does not trouble a loss without classes", async (gpu) => {
    const labels = HostTensor.from(Float32Array.from({ length: 16 }, () => -7), [16, 1]);
    const inputs = HostTensor.from(new Float32Array(16 * FEATURES), [16, FEATURES]);
    const data = DataLoader.from({ inputs, labels }, { batchSize: BATCH });
    await withTrainer(
      gpu,
      smallRun({ model: linear(FEATURES, 1), loss: mse(), data }),
      async ({ trainer }) => {
        expect((await trainer.train({ epochs: 1, ...QUIET })).steps).toBe(2);
      },
    );
  });
});

describe("indexLimits", () => {
  const logits = input("inputs", "f32", [4, 3]);

  test("follow an input through other shapes and integer types, and take the lowest", () => {
    const [bytes, column] = [input("labels", "u8", [4]), input("column", "u32", [2, 2])];
    const first = softmaxCrossEntropy(logits, cast(bytes, "u32"));
    const second = softmaxCrossEntropy(input("wide", "f32", [4, 9]), reshape(column, [4]));
    const third = softmaxCrossEntropy(logits, reshape(column, [4]));
    const limits = indexLimits([first, second, third]);
    expect([...limits].map(([name, { below }]) => [name, below]).sort()).toEqual([["column", 3], [
      "labels",
      3,
    ]]);
  });

  test("leave alone what is computed from an input", () => {
    const labels = input("labels", "u32", [4]);
    expect(indexLimits([softmaxCrossEntropy(logits, add(labels, labels))]).size).toBe(0);
  });

  test("are held for every dtype of integers, and for negative ones", () => {
    const limits = inputRanges(new Map([["labels", { below: 5, op: "take" }]]), [undefined], [
      "inputs",
      "labels",
    ]);
    const arrays = { u8: Uint8Array, i32: Int32Array, u32: Uint32Array };
    for (const [dtype, ArrayType] of Object.entries(arrays)) {
      const source = {
        batchSize: 2,
        exampleCount: 2,
        inputs: { dtype: "f32", shape: [1] },
        labels: { dtype: dtype as "u8", shape: [2] },
        batchAt: () => ({ inputs: new Float32Array(2), labels: new ArrayType([0, 4, 2, 5]) }),
      } satisfies BatchSource;
      const request = { seed: 0, epoch: 0, position: 0 };
      expect(() => requireBatchInRange(limits, source, source.batchAt(), request)).toThrow(
        "The label of example 1 of batch 0 of epoch 1 is 5, and take takes whole numbers from 0 to 4",
      );
      const negative = { inputs: new Float32Array(2), labels: new Int32Array([0, 1, -1, 0]) };
      if (dtype !== "i32") continue;
      expect(() => requireBatchInRange(limits, source, negative, request)).toThrow(
        "example 1 of batch 0 of epoch 1 is -1",
      );
    }
  });
});
