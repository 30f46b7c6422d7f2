import { describe, expect } from "bun:test";
import { CairnError } from "../../../src/base/errors.ts";
import { broadcastTo, reshape } from "../../../src/graph/ops/views.ts";
import { embedding } from "../../../src/graph/ops/indexing/take.ts";
import { mean } from "../../../src/graph/ops/reduce.ts";
import type { BatchRequest, BatchSource } from "../../../src/data/batch_source.ts";
import { flatten, layer, linear, sequential, uniform } from "../../../src/nn/nn.ts";
import { adamw, ema } from "../../../src/nn/optim/optim.ts";
import { AVERAGE_SLOT } from "../../../src/tensor/group_names.ts";
import { HostTensor } from "../../../src/tensor/host_tensor.ts";
import type { TensorStore } from "../../../src/tensor/tensor_store.ts";
import { DataLoader } from "../../../src/data/data_loader.ts";
import type { TrainerOptions } from "../../../src/train/trainer.ts";
import { gpuTest } from "../../helpers/gpu.ts";
import { thrownBy } from "../../helpers/thrown.ts";
import { BATCH, CLASSES, FEATURES, HIDDEN, numbers, smallRun, withTrainer } from "../fixtures.ts";
import { nearby } from "../reference/weighted_line.ts";

const QUIET = { progress: false } as const;

function examples(count: number): HostTensor {
  const random = numbers(count + 1);
  return HostTensor.from(Float32Array.from({ length: count * FEATURES }, random), [count, FEATURES]);
}

/** The model of {@link smallRun} without dropout, in float64. */
async function expected(store: TensorStore, inputs: HostTensor, group = "model"): Promise<number[]> {
  const read = await store.read(store.tensors().map(({ name }) => name));
  const of = (name: string): number[] => Array.from(read.get(name)?.toArray() ?? [], Number);
  const dense = (rows: number[], [width, name]: [number, string]): number[] => {
    const [weight, bias] = [of(`${group}.${name}.weight`), of(`${group}.${name}.bias`)];
    return Array.from({ length: rows.length / width }).flatMap((_, row) =>
      bias.map((start, out) => {
        let sum = start;
        for (let k = 0; k < width; k++) {
          sum += (rows[row * width + k] ?? NaN) * (weight[out * width + k] ?? NaN);
        }
        return sum;
      })
    );
  };
  const hidden = dense(Array.from(inputs.toArray(), Number), [FEATURES, "0"]).map((x) => Math.max(0, x));
  return dense(hidden, [HIDDEN, "3"]);
}

function rowsOf(tensor: HostTensor): number[][] {
  const [count = 0, width = 1] = tensor.shape;
  const elements = Array.from(tensor.toArray(), Number);
  return Array.from({ length: count }, (_, row) => elements.slice(row * width, (row + 1) * width));
}

async function refusal(call: () => Promise<unknown>): Promise<CairnError> {
  const error = await thrownBy(call);
  expect(error).toBeInstanceOf(CairnError);
  return error as CairnError;
}

describe("a prediction", () => {
  gpuTest(
    "IN-01 has an output for each of any number of examples, in order, without dropout",
    async (gpu) => {
      await withTrainer(gpu, smallRun(), async ({ store, trainer }) => {
        await trainer.train({ epochs: 1, ...QUIET });
        for (const count of [1, BATCH, 19]) {
          const inputs = examples(count);
          const outputs = await trainer.predict(inputs);
          expect([outputs.dtype, outputs.shape]).toEqual(["f32", [count, CLASSES]]);
          nearby(Array.from(outputs.toArray(), Number), await expected(store, inputs), 1e-5);
          expect((await trainer.predict(inputs)).equals(outputs)).toBe(true);
        }
        const none = await trainer.predict(HostTensor.from(new Float32Array(0), [0, FEATURES]));
        expect(none.shape).toEqual([0, CLASSES]);
      });
    },
  );

  gpuTest("IN-01 takes the averages of the weights where the optimiser keeps some", async (gpu) => {
    const optimizer = ema(adamw({ learningRate: 0.02 }), { decay: 0.9 });
    await withTrainer(gpu, smallRun({ optimizer }), async ({ store, trainer }) => {
      const inputs = examples(BATCH);
      const first = Array.from((await trainer.predict(inputs)).toArray(), Number);
      nearby(first, await expected(store, inputs), 1e-5);
      await trainer.train({ epochs: 1, ...QUIET });
      const outputs = Array.from((await trainer.predict(inputs)).toArray(), Number);
      nearby(outputs, await expected(store, inputs, `optimizer.${AVERAGE_SLOT}`), 1e-5);
      const plain = await expected(store, inputs);
      expect(Math.max(...plain.map((x, at) => Math.abs(x - (outputs[at] ?? NaN))))).toBeGreaterThan(1e-3);
    });
  });

  gpuTest("IN-01 takes numbers, and gives the same however the examples are cut", async (gpu) => {
    await withTrainer(gpu, smallRun(), async ({ trainer }) => {
      const inputs = examples(17);
      const whole = await trainer.predict(inputs, { batchSize: 17 });
      nearby(
        Array.from((await trainer.predict(rowsOf(inputs), { batchSize: 5 })).toArray(), Number),
        Array.from(whole.toArray(), Number),
        1e-6,
      );
    });
  });

  gpuTest("IN-01 compiles once for a size of batches and once for the rest", async (gpu) => {
    await withTrainer(gpu, smallRun(), async ({ trainer }) => {
      await trainer.predict(examples(19));
      const before = gpu.counters.buffers;
      await trainer.predict(examples(35));
      await trainer.predict(examples(3));
      expect(gpu.counters.buffers).toBe(before);
      for (let count = 1; count < 8; count++) await trainer.predict(examples(count));
      const full = gpu.counters.buffers;
      for (let count = 1; count < 8; count++) await trainer.predict(examples(count));
      expect(gpu.counters.buffers).toBe(full);
    });
  });

  gpuTest("IN-01 leaves the bits of a training as they are, also between its steps", async (gpu) => {
    const inputs = examples(11);
    const undisturbed = await withTrainer(gpu, smallRun(), async ({ trainer, tensors }) => {
      await trainer.train({ epochs: 2, ...QUIET });
      return await tensors();
    });
    await withTrainer(gpu, smallRun(), async ({ trainer, tensors }) => {
      await trainer.predict(inputs);
      const seen: number[] = [];
      const onStep = async (): Promise<void> => {
        seen.push(Number((await trainer.predict(inputs)).toArray()[0]));
      };
      await trainer.train({ epochs: 2, onStep, ...QUIET });
      expect(await tensors()).toEqual(undisturbed);
      // Each with the weights of its step.
      expect(new Set(seen).size).toBe(trainer.step);
    });
  });

  gpuTest(
    "IN-01 gives the outputs of a data source in the order of the data, shuffled or not",
    async (gpu) => {
      const inputs = examples(21);
      const labels = HostTensor.from(new Uint32Array(21), [21]);
      await withTrainer(gpu, smallRun(), async ({ trainer }) => {
        const outputs = await trainer.predict(inputs);
        const shuffled = DataLoader.from({ inputs, labels }, { batchSize: BATCH, shuffle: true });
        expect((await trainer.predict(shuffled)).equals(outputs)).toBe(true);
        const { batchSize, exampleCount, inputs: one, labels: label } = shuffled;
        const reversed = (position: number): number => 2 - position;
        const rows = DataLoader.from({ inputs, labels }, { batchSize });
        const own: BatchSource = {
          batchSize: 7,
          exampleCount,
          inputs: one,
          labels: label,
          batchAt: ({ position, ...rest }: BatchRequest) => {
            const first = 7 * FEATURES * reversed(position);
            expect(rest.epoch).toBe(0);
            const all = inputs.toArray() as Float32Array;
            return { inputs: all.slice(first, first + 7 * FEATURES), labels: new Uint32Array(7) };
          },
        };
        const byBatches = rowsOf(await trainer.predict(own));
        const inOrder = rowsOf(await trainer.predict(inputs, { batchSize: 7 }));
        expect(byBatches).toEqual([...inOrder.slice(14), ...inOrder.slice(7, 14), ...inOrder.slice(0, 7)]);
        const twice: BatchSource = { ...own, indicesAt: () => [0, 1, 2, 3, 4, 5, 5] };
        expect((await thrownBy(() => trainer.predict(twice))).message).toContain(
          "5 a second time or beyond them",
        );
        expect((await thrownBy(() => trainer.predict(rows, { batchSize: 4 }))).message).toContain(
          `this data source has batches of ${BATCH}`,
        );
      });
    },
  );

  gpuTest("IN-01 says how far it is, and stops at a signal between two batches", async (gpu) => {
    await withTrainer(gpu, smallRun(), async ({ trainer }) => {
      const seen: [number, number][] = [];
      await trainer.predict(examples(19), { onProgress: ({ done, total }) => void seen.push([done, total]) });
      expect(seen).toEqual([[8, 19], [16, 19], [19, 19]]);
      const stop = new AbortController();
      const reason = new Error("enough");
      let batches = 0;
      const onProgress = (): void => {
        batches += 1;
        stop.abort(reason);
      };
      const error = await thrownBy(() => trainer.predict(examples(19), { signal: stop.signal, onProgress }));
      expect([error, batches]).toEqual([reason, 1]);
      expect((await trainer.predict(examples(2))).shape).toEqual([2, CLASSES]);
    });
  });

  gpuTest("IN-01 TR-08 names both shapes and dtypes of inputs that do not fit", async (gpu) => {
    await withTrainer(gpu, smallRun(), async ({ trainer }) => {
      const wide = await refusal(() => trainer.predict(HostTensor.from(new Float32Array(10), [2, 5])));
      expect([wide.code, wide.message]).toEqual([
        "shape_mismatch",
        "predict() was given f32 [examples, 5], and the model takes f32 [examples, 6]; " +
        "give one input of that shape for each example",
      ]);
      const whole = await refusal(() => trainer.predict(HostTensor.from(new Uint32Array(12), [2, FEATURES])));
      expect([whole.code, whole.message]).toEqual([
        "dtype_mismatch",
        "predict() was given u32 [examples, 6], and the model takes f32 [examples, 6]; convert the inputs",
      ]);
      const single = await refusal(() => trainer.predict([1, 2, 3, 4, 5, 6]));
      expect(single.message).toContain("f32 [6], and the first axis of its inputs counts the examples");
      expect(single.message).toContain("a single one has the shape [1, 6]");
      const error = await thrownBy(() => trainer.predict(examples(1), { batchSize: 0 }));
      expect(error.message).toBe("batchSize is an integer from 1, found 0");
    });
  });

  gpuTest(
    "IN-01 refuses an index that the model does not take, and outputs that are not of examples",
    async (gpu) => {
      const inputs = HostTensor.from([[0, 1], [2, 3], [3, 0]], undefined, "u32");
      const data = DataLoader.from({ inputs, labels: HostTensor.from(new Uint32Array(3), [3]) }, {
        batchSize: 2,
      });
      const words: Partial<TrainerOptions> = {
        model: sequential(
          layer((x, scope) => embedding(scope.parameter("rows", [4, 2], uniform(-1, 1)), x)),
          flatten(),
          linear(4, CLASSES),
        ),
        data,
      };
      await withTrainer(gpu, smallRun(words), async ({ trainer }) => {
        expect((await trainer.predict([[3, 3]])).shape).toEqual([1, CLASSES]);
        const error = await thrownBy(() => trainer.predict([[0, 1], [2, 4]]));
        expect(error).toBeInstanceOf(RangeError);
        expect(error.message).toContain("The input of example 1");
      });
      // One row, whatever the number of examples is.
      const together = layer((x, scope) => {
        const rows = linear(FEATURES, CLASSES)(x, scope);
        if (scope.isTraining) return rows;
        return reshape(broadcastTo(mean(rows, { axes: 0, keepDims: true }), [1, CLASSES]), [1, CLASSES]);
      });
      await withTrainer(gpu, smallRun({ model: together }), async ({ trainer }) => {
        expect((await thrownBy(() => trainer.predict(examples(2)))).message).toContain(
          "found f32 [1, 3] for 2 of them",
        );
      });
    },
  );
});
