import { Buffer } from "node:buffer";
import { describe, expect } from "bun:test";
import type { Engine } from "../../src/checkpoint/engine/engine.ts";
import { exportWeights } from "../../src/checkpoint/compat/export_weights.ts";
import { openCheckpoint } from "../../src/checkpoint/file/open_path.ts";
import { findGpu, requestAdapter } from "../../src/gpu/find_gpu.ts";
import { GpuDevice } from "../../src/gpu/gpu_device.ts";
import * as nn from "../../src/nn/nn.ts";
import { adamw, ema, lamb, sgd } from "../../src/nn/optim/optim.ts";
import type { CairnError } from "../../src/base/errors.ts";
import { DataLoader } from "../../src/data/data_loader.ts";
import { Predictor } from "../../src/predict/predictor.ts";
import { FileStorage } from "../../src/storage/file_storage.ts";
import { MemoryStorage } from "../../src/storage/memory_storage.ts";
import { HostTensor } from "../../src/tensor/host_tensor.ts";
import { TensorStore } from "../../src/tensor/tensor_store.ts";
import { Trainer, type TrainerOptions } from "../../src/train/trainer.ts";
import { gpuTest, gpuTestOptions } from "../helpers/gpu.ts";
import { inFolder } from "../helpers/in_folder.ts";
import { withLimits } from "../helpers/limited_gpu.ts";
import { thrownBy } from "../helpers/thrown.ts";
import { engineOn, tensorsOf } from "./fixtures.ts";

/** What the limited device binds at once. */
const LIMIT = 262_144;
/** 425 KiB of weights. */
const WORDS = 1700;
const WIDTH = 64;
const POSITIONS = 4;
const MIB = 1024 * 1024;
const QUIET = { progress: false } as const;

/** A language model whose output weights are those of its embedding. */
function language(): nn.Layer {
  const tokens = nn.embedding(WORDS, WIDTH, { weightInitializer: nn.normal(0, 0.125), paddingIndex: 0 });
  return nn.sequential(tokens, nn.linear(WIDTH, WIDTH), nn.tanh(), tokens.attend);
}

function languageRun(overrides: Partial<TrainerOptions> = {}): TrainerOptions {
  const token = (index: number): number => (index * 37 + 5) % WORDS;
  return {
    model: language(),
    loss: nn.crossEntropy(),
    optimizer: ema(adamw({ learningRate: 0.01 }), { decay: 0.9 }),
    clipGradients: { norm: 0.5 },
    data: DataLoader.from({
      inputs: HostTensor.from(Uint32Array.from({ length: 16 * POSITIONS }, (_, i) => token(i)), [
        16,
        POSITIONS,
      ]),
      labels: HostTensor.from(Uint32Array.from({ length: 16 * POSITIONS }, (_, i) => token(i + 1)), [
        16,
        POSITIONS,
      ]),
    }, { batchSize: 4, shuffle: true }),
    seed: 4,
    ...overrides,
  };
}

/** Runs `body` with a trainer in a store whose tensors lie alike, whatever the device binds. */
async function withTrainer<T>(
  gpu: GpuDevice,
  options: TrainerOptions,
  body: (trainer: Trainer, store: TensorStore) => Promise<T>,
): Promise<T> {
  const store = TensorStore.on(gpu, { slabBytes: LIMIT });
  try {
    const trainer = new Trainer(store, options);
    try {
      return await body(trainer, store);
    } finally {
      await trainer.close();
    }
  } finally {
    await store.close();
  }
}

/** The state after `steps`, of a run that resumes when it can and saves at its end. */
function trainTo(gpu: GpuDevice, steps: number, options: TrainerOptions, engine?: Engine): Promise<unknown> {
  return withTrainer(gpu, options, async (trainer, store) => {
    if (engine !== undefined) {
      trainer.autoSave({ savePath: engine, everySteps: steps });
      await trainer.resume();
    }
    await trainer.train({ steps, ...QUIET });
    return { tensors: await tensorsOf(store), losses: [...trainer.history.loss] };
  });
}

async function onLimited<T>(gpu: GpuDevice, body: (limited: GpuDevice) => Promise<T>): Promise<T> {
  return await withLimits(gpu, { maxStorageBufferBindingSize: LIMIT }, body);
}

describe("a model with a tensor above the binding limit", () => {
  gpuTest(
    "MP-02 trains, saves and resumes with the bits of one binding, its output tied to it",
    async (gpu) => {
      const storage = new MemoryStorage();
      const parts = await onLimited(gpu, async (limited) => {
        await trainTo(limited, 3, languageRun(), await engineOn(storage));
        return await trainTo(limited, 6, languageRun(), await engineOn(storage));
      });
      const whole = await trainTo(gpu, 6, languageRun());
      expect(parts).toEqual(whole);
    },
  );

  const variants: [what: string, options: () => Partial<TrainerOptions>][] = [
    ["a batch in pieces", () => ({ microBatchSize: 2 })],
    ["16 bits", () => ({ precision: "bf16" })],
    ["sgd with momentum", () => ({ optimizer: sgd({ learningRate: 0.1, momentum: 0.9 }) })],
  ];
  for (const [what, overrides] of variants) {
    gpuTest(`MP-02 has the bits of one binding in ${what}`, async (gpu) => {
      const parts = await onLimited(gpu, (limited) => trainTo(limited, 2, languageRun(overrides())));
      expect(parts).toEqual(await trainTo(gpu, 2, languageRun(overrides())));
    });
  }

  gpuTest("MP-02 keeps its bits where it is frozen", async (gpu) => {
    const optimizer = (): TrainerOptions["optimizer"] =>
      adamw({ learningRate: 0.01, groups: [{ parameters: "0.weight", frozen: true }] });
    await onLimited(
      gpu,
      (limited) =>
        withTrainer(limited, languageRun({ optimizer: optimizer() }), async (trainer, store) => {
          await trainer.train({ steps: 1, ...QUIET });
          const before = await tensorsOf(store);
          await trainer.train({ steps: 2, ...QUIET });
          const after = await tensorsOf(store);
          expect(after["model.0.weight"]).toBe(before["model.0.weight"] ?? "");
          expect(after["model.1.weight"]).not.toBe(before["model.1.weight"] ?? "");
        }),
    );
  });

  gpuTest(
    "MP-02 predicts, is exported and opened again, and is searched for what is not finite",
    async (gpu) => {
      const inputs = HostTensor.from(Uint32Array.from({ length: 2 * POSITIONS }, (_, i) => i * 71 % WORDS), [
        2,
        4,
      ]);
      const hex = (tensor: HostTensor): string => Buffer.from(tensor.bytes).toString("hex");
      await inFolder(async (folder) => {
        const predictions = async (device: GpuDevice, path: string): Promise<string[]> => {
          const trained = await withTrainer(device, languageRun(), async (trainer, store) => {
            await trainer.train({ steps: 2, ...QUIET });
            await trainer.save(path);
            const predicted = hex(await trainer.predict(inputs, { batchSize: 2 }) as HostTensor);
            store.write({
              "model.0.weight": HostTensor.from(new Float32Array(WORDS * WIDTH).fill(NaN), [WORDS, WIDTH]),
            });
            expect((await trainer.findNonFinite())?.op).toBe('parameter "0.weight"');
            return predicted;
          });
          const predictor = await Predictor.open(language(), path, { gpu: device, batchSize: 2 });
          const opened = hex(await predictor.predict(inputs));
          await predictor.close();
          return [trained, opened];
        };
        const parts = await onLimited(gpu, (limited) => predictions(limited, `${folder}/parts.cairn`));
        expect(parts[0]).toBe(parts[1] ?? "");
        expect(await predictions(gpu, `${folder}/whole.cairn`)).toEqual(parts);
        const { tensors } = await exportWeights(
          await openCheckpoint(`${folder}/parts.cairn`),
          await FileStorage.open(folder),
          "weights.cairn",
        );
        expect(tensors).toContain("0.weight");
      });
    },
  );

  gpuTest("MP-02 is refused by name with an optimiser that updates whole tensors", async (gpu) => {
    await onLimited(
      gpu,
      (limited) =>
        withTrainer(limited, languageRun({ optimizer: lamb() }), async (trainer) => {
          const error = await thrownBy(() => trainer.train({ steps: 1, ...QUIET }));
          expect((error as CairnError).code).toBe("limit_exceeded");
          expect(error.message).toBe(
            'The optimizer updates the parameter "0.weight" as a whole, which has 435200 bytes, and the adapter binds at ' +
              "most 262144 (maxStorageBufferBindingSize); give it one that updates ranges, such as adamw or sgd, or split " +
              "the parameter",
          );
        }),
    );
  });

  gpuTest("MP-02 an embedding of 200 MiB trains with WebGPU's default limits, and resumes", async (gpu) => {
    const wide = await openWithDefaults();
    try {
      expect(wide.limits.maxStorageBufferBindingSize).toBe(128 * MIB);
      await trainLarge(gpu, wide);
    } finally {
      await wide.close();
      wide.device.destroy();
    }
  });
});

/** A device as it is when no limits are asked for. */
async function openWithDefaults(): Promise<GpuDevice> {
  const options = gpuTestOptions();
  const adapter = await requestAdapter(await findGpu(options), options);
  return await GpuDevice.open({ device: await adapter.requestDevice() });
}

const ROWS = 50_000;
const COLUMNS = 1024;
/** Words of the examples: the first and the last, and those around the end of a part. */
const USED = [0, 1, 32_767, 32_768, 32_769, 40_000, 49_998, 49_999];

/** A classifier over 3 words, of which each example has some of `words`. */
function classifier(vocabulary: number, words: readonly number[]): TrainerOptions {
  const inputs = Uint32Array.from({ length: 3 * 16 }, (_, i) => words[i * 5 % words.length] ?? 0);
  return {
    model: nn.sequential(
      nn.embedding(vocabulary, COLUMNS, { weightInitializer: nn.filled(0.01) }),
      nn.flatten(),
      nn.linear(3 * COLUMNS, 3),
    ),
    loss: nn.crossEntropy(),
    optimizer: sgd({ learningRate: 0.5 }),
    data: DataLoader.from({
      inputs: HostTensor.from(inputs, [16, 3]),
      labels: HostTensor.from(Uint32Array.from({ length: 16 }, (_, i) => i % 3)),
    }, { batchSize: 8 }),
    seed: 4,
  };
}

/** The rows of a vocabulary of 50,000 that the examples name are those of a vocabulary of 8. */
async function trainLarge(gpu: GpuDevice, wide: GpuDevice): Promise<void> {
  const engine = await engineOn();
  const weights = async (
    device: GpuDevice,
    options: TrainerOptions,
    steps: readonly number[],
    savePath?: Engine,
  ): Promise<Float32Array> => {
    const store = TensorStore.on(device);
    const trainer = new Trainer(store, options);
    if (savePath !== undefined) {
      trainer.autoSave({ savePath, everySteps: 2 });
      await trainer.resume();
    }
    for (const each of steps) await trainer.train({ steps: each, ...QUIET });
    const read = (await store.read(["model.0.weight"])).get("model.0.weight");
    await trainer.close();
    await store.close();
    return read?.toArray() as Float32Array;
  };
  const small = await weights(gpu, classifier(USED.length, [...USED.keys()]), [3]);
  await weights(wide, classifier(ROWS, USED), [2], engine);
  const large = await weights(wide, classifier(ROWS, USED), [3], engine);
  expect(large.byteLength).toBeGreaterThan(195 * MIB);
  const rowOf = (table: Float32Array, row: number) => table.subarray(row * COLUMNS, (row + 1) * COLUMNS);
  USED.forEach((row, index) => {
    expect(
      Buffer.from(rowOf(large, row).slice().buffer).equals(Buffer.from(rowOf(small, index).slice().buffer)),
    ).toBe(
      true,
    );
  });
  const unused = Math.fround(0.01);
  const isUsed = new Set(USED);
  const changed = Array.from({ length: ROWS }, (_, row) => row).filter((row) =>
    !isUsed.has(row) && rowOf(large, row).some((element) => element !== unused)
  );
  expect(changed).toEqual([]);
  expect(USED.filter((row) => rowOf(large, row)[0] !== unused).length).toBeGreaterThan(4);
}
