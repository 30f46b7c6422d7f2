import { describe, expect, test } from "bun:test";
import { Buffer } from "node:buffer";
import { exportWeights } from "../../../src/checkpoint/compat/export_weights.ts";
import type { BatchSource } from "../../../src/data/batch_source.ts";
import { openSafetensors } from "../../../src/exchange/safetensors/open_safetensors.ts";
import * as ops from "../../../src/graph/ops.ts";
import { type Layer, layer, normal, ones, Scope, sequential } from "../../../src/nn/nn.ts";
import { adamw, ema, sgd } from "../../../src/nn/optim/optim.ts";
import { MemoryStorage } from "../../../src/storage/memory_storage.ts";
import { HostTensor } from "../../../src/tensor/host_tensor.ts";
import type { TrainerOptions } from "../../../src/train/trainer.ts";
import { gpuTest } from "../../helpers/gpu.ts";
import { expectClose } from "../../kernels/numbers.ts";
import { blobs, CLASSES, engineOn, FEATURES, type Fixture, smallRun, withTrainer } from "../fixtures.ts";

const QUIET = { progress: false } as const;
const BATCH = 12;
const BATCHES = 5;

/** Takes away a moving mean of its inputs, and counts how often it did in training. */
const tracking = layer((x, scope) => {
  const mean = scope.buffer("mean", [FEATURES], { initial: ones() });
  const seen = scope.buffer("seen", [], { dtype: "u32" });
  scope.updateBuffer("mean", ops.add(ops.mul(mean, 0.75), ops.mul(ops.mean(x, { axes: 0 }), 0.25)));
  scope.updateBuffer("seen", ops.add(seen, 1));
  return ops.sub(x, mean);
});

/** Two features a class, scaled and added up: no matmul, which would be compiled for each size. */
const logits: Layer = (x, scope) => {
  const scaled = ops.mul(x, scope.parameter("scale", [FEATURES], normal(1)));
  const pairs = ops.reshape(scaled, [-1, CLASSES, FEATURES / CLASSES]);
  return ops.add(ops.sum(pairs, { axes: 2 }), scope.parameter("bias", [CLASSES], normal(1)));
};

/** Batches of 12 examples and one of 11, in their order. At `spoiled`, one has a NaN among its inputs. */
function dataOf(spoiled?: { readonly position: number; readonly example: number }): BatchSource {
  const loader = blobs(BATCHES * BATCH - 1, { batchSize: BATCH });
  const { batchSize, exampleCount, inputs, labels } = loader;
  return {
    batchSize,
    exampleCount,
    inputs,
    labels,
    batchAt(request) {
      const batch = loader.batchAt(request);
      if (request.position !== spoiled?.position) return batch;
      const broken = (batch.inputs as Float32Array).slice();
      broken[spoiled.example * FEATURES] = NaN;
      return { ...batch, inputs: broken };
    },
  };
}

function runOf(overrides: Partial<TrainerOptions> = {}): TrainerOptions {
  return smallRun({
    model: sequential(tracking, logits),
    data: dataOf(),
    optimizer: adamw({ learningRate: 0.05, weightDecay: 0.5 }),
    ...overrides,
  });
}

/** The mean in float64, and the count, after the pieces of these batches. */
async function meanAfter(
  batches: readonly number[],
  pieceSize: number,
): Promise<{ mean: number[]; seen: number }> {
  const data = dataOf();
  let mean: number[] = Array<number>(FEATURES).fill(1);
  let seen = 0;
  for (const position of batches) {
    const { inputs } = await data.batchAt({ epoch: 0, position, seed: 11, orderVersion: 1 } as never);
    const rows = inputs as Float32Array;
    const count = rows.length / FEATURES;
    for (let first = 0; first < count; first += pieceSize) {
      const size = Math.min(pieceSize, count - first);
      mean = mean.map((before, feature) => {
        let sum = 0;
        for (let row = first; row < first + size; row++) sum += rows[row * FEATURES + feature] ?? NaN;
        return 0.75 * before + 0.25 * sum / size;
      });
      seen += 1;
    }
  }
  return { mean, seen };
}

/** The buffers as the store has them. */
async function buffersOf({ store }: Fixture): Promise<{ mean: number[]; seen: number }> {
  const read = await store.read(["model.0.mean", "model.0.seen"]);
  const of = (name: string): number[] => Array.from(read.get(`model.0.${name}`)?.toArray() ?? [], Number);
  return { mean: of("mean"), seen: of("seen")[0] ?? NaN };
}

/** The tensors of an export of the checkpoint `tag` to safetensors, as hexadecimal text. */
async function exportedFrom(storage: MemoryStorage, tag: string): Promise<Map<string, string>> {
  const checkpoint = await (await engineOn(storage)).load(tag);
  const exports = new MemoryStorage();
  try {
    await exportWeights(checkpoint, exports, "weights.safetensors");
  } finally {
    await checkpoint.close();
  }
  const file = await openSafetensors(exports, "weights.safetensors");
  const tensors = new Map<string, string>();
  for (const name of file.names()) {
    tensors.set(name, Buffer.from((await file.read(name)).bytes).toString("hex"));
  }
  await file.close();
  return tensors;
}

const TOLERANCE = { absolute: 1e-6, relative: 1e-6 };

describe("a buffer of a layer", () => {
  gpuTest("LA-08 lies behind the parameters, and no optimizer has anything of it", async (gpu) => {
    await withTrainer(gpu, runOf({ optimizer: ema(adamw()) }), ({ store }) => {
      const names = store.tensors().map(({ name }) => name).filter((name) => !/^trainer|^step/.test(name));
      const parameters = ["1.scale", "1.bias"];
      expect(names.filter((name) => name.startsWith("model."))).toEqual([
        ...parameters.map((name) => `model.${name}`),
        "model.0.mean",
        "model.0.seen",
      ]);
      for (const slot of ["m", "v", "average"]) {
        expect(names.filter((name) => name.startsWith(`optimizer.${slot}.`))).toEqual(
          parameters.map((name) => `optimizer.${slot}.${name}`),
        );
      }
      expect(store.tensor("model.0.seen").dtype).toBe("u32");
      return Promise.resolve();
    });
  });

  gpuTest("LA-08 is what the layer says after each step, in float64 too, and does not decay", async (gpu) => {
    await withTrainer(gpu, runOf(), async (made) => {
      await made.trainer.train({ epochs: 4, ...QUIET });
      const steps = Array.from({ length: 4 * BATCHES }, (_, step) => step % BATCHES);
      const expected = await meanAfter(steps, BATCH);
      const found = await buffersOf(made);
      expect(found.seen).toBe(20);
      expectClose(found.mean, expected.mean, TOLERANCE);
    });
  });

  gpuTest("LA-08 is read and not changed by evaluation and prediction", async (gpu) => {
    await withTrainer(gpu, runOf(), async (made) => {
      const { trainer, store } = made;
      await trainer.train({ epochs: 1, ...QUIET });
      const before = await made.tensors();
      const { loss } = await trainer.evaluate(dataOf());
      await trainer.predict(dataOf());
      expect(await made.tensors()).toEqual(before);
      store.write({ "model.0.mean": HostTensor.from(new Float32Array(FEATURES).fill(9), [FEATURES]) });
      expect((await trainer.evaluate(dataOf())).loss).not.toBe(loss);
    });
  });

  gpuTest("LA-08 keeps its bits where a step is not finite, skipped or stopped", async (gpu) => {
    for (const microBatchSize of [undefined, 5]) {
      const data = dataOf({ position: 3, example: 6 });
      await withTrainer(gpu, runOf({ data, microBatchSize }), async (made) => {
        const { trainer } = made;
        await trainer.train({ epochs: 1, onNonFinite: "skip", ...QUIET });
        const expected = await meanAfter([0, 1, 2, 4], microBatchSize ?? BATCH);
        const found = await buffersOf(made);
        expect(found.seen).toBe(expected.seen);
        expectClose(found.mean, expected.mean, TOLERANCE);
      });
      await withTrainer(gpu, runOf({ data, microBatchSize }), async (made) => {
        await expect(made.trainer.train({ epochs: 1, ...QUIET })).rejects.toThrow("not finite");
        const expected = await meanAfter([0, 1, 2], microBatchSize ?? BATCH);
        const found = await buffersOf(made);
        expect(found.seen).toBe(expected.seen);
        expectClose(found.mean, expected.mean, TOLERANCE);
      });
    }
  });

  gpuTest("LA-08 goes from piece to piece of a batch, in their order", async (gpu) => {
    await withTrainer(gpu, runOf({ microBatchSize: 5 }), async (made) => {
      await made.trainer.train({ epochs: 2, ...QUIET });
      const steps = Array.from({ length: 2 * BATCHES }, (_, step) => step % BATCHES);
      const expected = await meanAfter(steps, 5);
      const found = await buffersOf(made);
      expect(found.seen).toBe(30);
      expect(found.seen).toBe(expected.seen);
      expectClose(found.mean, expected.mean, TOLERANCE);
    });
  });

  gpuTest("LA-08 is saved and resumed bit for bit, pieces or not, and exported", async (gpu) => {
    for (const microBatchSize of [undefined, 5]) {
      const storage = new MemoryStorage();
      const options = runOf({ microBatchSize, optimizer: ema(sgd({ learningRate: 0.05 })) });
      const undisturbed = await withTrainer(gpu, options, async (made) => {
        await made.trainer.train({ epochs: 2, ...QUIET });
        return await made.tensors();
      });
      await withTrainer(gpu, options, async ({ trainer }) => {
        trainer.autoSave({ savePath: await engineOn(storage), interval: 1 });
        await trainer.train({ epochs: 1, ...QUIET });
      });
      await withTrainer(gpu, options, async (made) => {
        made.trainer.autoSave({ savePath: await engineOn(storage) });
        expect((await made.trainer.resume()).step).toBe(BATCHES);
        await made.trainer.train({ epochs: 2, ...QUIET });
        expect(await made.tensors()).toEqual(undisturbed);
        await made.trainer.save("end");
      });
      const exported = await exportedFrom(storage, "end");
      for (const name of ["mean", "seen"]) {
        expect(exported.get(`0.${name}`)).toBe(undisturbed[`model.0.${name}`] ?? "none");
      }
      expect(exported.get("1.scale")).toBe(undisturbed["optimizer.average.1.scale"] ?? "none");
    }
  });

  gpuTest("LA-08 of a layer that is called twice has what the first call left it", async (gpu) => {
    const model = sequential(layer((x, scope) => tracking(tracking(x, scope), scope)), logits);
    await withTrainer(gpu, runOf({ model, data: dataOf() }), async (made) => {
      await made.trainer.train({ epochs: 1, ...QUIET });
      expect((await buffersOf(made)).seen).toBe(2 * BATCHES);
    });
  });
});

describe("what a scope says of buffers", () => {
  const x = ops.input("x", "f32", [2, FEATURES]);
  const root = (isTraining = true): Scope => Scope.root({ isTraining });

  test("LA-08 a name is taken once, by a parameter or a buffer", () => {
    const scope = root();
    scope.buffer("a", [2]);
    expect(() => scope.buffer("a", [2])).toThrow(/^Buffer "a" is taken: two layers of one scope/);
    expect(() => scope.parameter("a", [2], ones())).toThrow('Parameter "a" is taken: a buffer has that name');
    scope.parameter("b", [2], ones());
    expect(() => scope.buffer("b", [2])).toThrow('Buffer "b" is taken: a parameter has that name');
    expect(() => scope.buffer("a", [3])).toThrow(
      'Buffer "a" has the shape [2] and is asked for again as [3]',
    );
    expect(() => scope.buffer("a", [2], { dtype: "i32" })).toThrow('Buffer "a" is f32');
    expect(scope.buffers.map(({ name, dtype }) => [name, dtype])).toEqual([["a", "f32"]]);
    expect(scope.parameters.map(({ name }) => name)).toEqual(["b"]);
  });

  test("LA-08 what it becomes has its dtype and shape, and a name that is one", () => {
    const scope = root();
    scope.buffer("a", [2]);
    expect(() => scope.updateBuffer("b", x)).toThrow('There is no buffer "b" to update');
    expect(() => scope.updateBuffer("a", x)).toThrow(
      `Buffer "a" is f32 [2] and cannot become f32 [2, ${FEATURES}]`,
    );
    expect(() => scope.updateBuffer("a", ops.zeros([2], "u32"))).toThrow("cannot become u32 [2]");
    expect(() => scope.buffer("c", [2], { dtype: "f16" as never })).toThrow(
      "scope.buffer(): the dtype is one of f32, i32, u32, found f16",
    );
    expect(() => scope.buffer("d", [2], { initializer: ones() } as never)).toThrow(TypeError);
  });

  test("LA-08 in evaluation nothing becomes of it, and no gradient flows into what it becomes", () => {
    for (const isTraining of [true, false]) {
      const scope = root(isTraining);
      tracking(x, scope);
      expect([...scope.bufferUpdates.keys()]).toEqual(isTraining ? ["mean", "seen"] : []);
      for (const value of scope.bufferUpdates.values()) expect(value.op).toBe("stopGradient");
    }
  });
});
