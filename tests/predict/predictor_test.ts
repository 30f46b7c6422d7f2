import { join } from "node:path";
import { describe, expect } from "bun:test";
import { exportWeights } from "../../src/checkpoint/compat/export_weights.ts";
import { openCheckpoint } from "../../src/checkpoint/file/open_path.ts";
import { saveSafetensors } from "../../src/exchange/safetensors/save_safetensors.ts";
import type { GpuDevice } from "../../src/gpu/gpu_device.ts";
import * as nn from "../../src/nn/nn.ts";
import { adamw, ema } from "../../src/nn/optim/optim.ts";
import { Predictor, type PredictorOptions } from "../../src/predict/predictor.ts";
import { FileStorage } from "../../src/storage/file_storage.ts";
import { HostTensor } from "../../src/tensor/host_tensor.ts";
import { gpuTest } from "../helpers/gpu.ts";
import { thrownBy } from "../helpers/thrown.ts";
import { expectClose } from "../kernels/numbers.ts";
import { torchCases } from "../nn/torch/torch_cases.ts";
import { CLASSES, FEATURES, HIDDEN, numbers, smallRun, withTrainer } from "../train/fixtures.ts";
import { inFolder } from "../helpers/in_folder.ts";

const QUIET = { progress: false } as const;
const NEAR = { absolute: 1e-6, relative: 1e-6 };
/** The layers of {@link smallRun}. */
const model = (): nn.Layer =>
  nn.sequential(nn.linear(FEATURES, HIDDEN), nn.relu(), nn.dropout(0.25), nn.linear(HIDDEN, CLASSES));

function examples(count: number): HostTensor {
  const random = numbers(count + 1);
  return HostTensor.from(Float32Array.from({ length: count * FEATURES }, random), [count, FEATURES]);
}

async function withPredictor<T>(
  gpu: GpuDevice,
  path: string,
  work: (predictor: Predictor) => Promise<T>,
  { layer = model(), ...options }: PredictorOptions & { readonly layer?: nn.Layer } = {},
): Promise<T> {
  const predictor = await Predictor.open(layer, path, { gpu, ...options });
  try {
    return await work(predictor);
  } finally {
    await predictor.close();
  }
}

function elements(tensor: HostTensor): number[] {
  return Array.from(tensor.toArray(), Number);
}

/** What a predictor of the file at `path` gives for `inputs`. */
async function predicted(
  gpu: GpuDevice,
  path: string,
  inputs: HostTensor,
  options: PredictorOptions & { readonly layer?: nn.Layer } = {},
): Promise<number[]> {
  return await withPredictor(gpu, path, async (each) => elements(await each.predict(inputs)), options);
}

describe("a Predictor", () => {
  gpuTest("IN-02 gives what the trainer predicts, with nothing but the weights on the GPU", async (gpu) => {
    await inFolder(async (folder) => {
      await withTrainer(gpu, smallRun(), async ({ trainer }) => {
        await trainer.train({ epochs: 1, ...QUIET });
        const path = join(folder, "run.cairn");
        await trainer.save(path);
        const before = gpu.counters.buffers;
        await withPredictor(gpu, path, async (predictor) => {
          // The weights are one slab; moments would be two more.
          expect(gpu.counters.buffers - before).toBe(1);
          for (const count of [1, 19]) {
            const inputs = examples(count);
            const outputs = elements(await predictor.predict(inputs));
            expectClose(outputs, elements(await trainer.predict(inputs)), NEAR);
          }
          expect((await predictor.predict(examples(0))).shape).toEqual([0, CLASSES]);
        });
      });
    });
  });

  gpuTest("IN-02 serves any number of examples with one compiled program", async (gpu) => {
    await inFolder(async (folder) => {
      const path = join(folder, "run.cairn");
      await withTrainer(gpu, smallRun(), async ({ trainer }) => void await trainer.save(path));
      await withPredictor(gpu, path, async (predictor) => {
        const inputs = examples(19);
        const all = elements(await predictor.predict(inputs));
        const { buffersCreated, pipelinesCreated } = gpu.counters;
        for (const count of [1, 4, 5, 23]) {
          const outputs = await predictor.predict(examples(count));
          expect(outputs.shape).toEqual([count, CLASSES]);
        }
        const rows = Array.from({ length: 19 }, (_, row) => {
          return elements(inputs).slice(row * FEATURES, (row + 1) * FEATURES);
        });
        expect(elements(await predictor.predict(rows))).toEqual(all);
        const each = [];
        for (const row of rows) each.push(...elements(await predictor.predict([row])));
        expectClose(each, all, NEAR);
        expect(gpu.counters).toMatchObject({ buffersCreated, pipelinesCreated });
      }, { batchSize: 4 });
    });
  });

  gpuTest(
    "IN-02 takes the averages of the weights where there are some, if not told otherwise",
    async (gpu) => {
      await inFolder(async (folder) => {
        const [fresh, path] = [join(folder, "fresh.cairn"), join(folder, "run.cairn")];
        const optimizer = ema(adamw({ learningRate: 0.02 }), { decay: 0.9 });
        const inputs = examples(8);
        await withTrainer(gpu, smallRun({ optimizer }), async ({ trainer }) => {
          // Before the first update the averages hold nothing.
          await trainer.save(fresh);
          expectClose(await predicted(gpu, fresh, inputs), elements(await trainer.predict(inputs)), NEAR);
          await trainer.train({ epochs: 1, ...QUIET });
          await trainer.save(path);
          const averaged = elements(await trainer.predict(inputs));
          expectClose(await predicted(gpu, path, inputs), averaged, NEAR);
          const plain = await predicted(gpu, path, inputs, { averaged: false });
          expect(Math.max(...plain.map((x, at) => Math.abs(x - (averaged[at] ?? NaN))))).toBeGreaterThan(
            1e-3,
          );
        });
      });
    },
  );

  gpuTest("IN-02 takes exported weights, those of 16 bits too, and safetensors", async (gpu) => {
    await inFolder(async (folder) => {
      const inputs = examples(8);
      const expected = await withTrainer(gpu, smallRun(), async ({ trainer }) => {
        await trainer.save(join(folder, "run.cairn"));
        return elements(await trainer.predict(inputs));
      });
      const storage = await FileStorage.open(folder);
      const checkpoint = await openCheckpoint(join(folder, "run.cairn"));
      await exportWeights(checkpoint, storage, "whole.safetensors");
      await exportWeights(checkpoint, storage, "small.cairn", { dtype: "bf16" });
      await exportWeights(checkpoint, storage, "small.safetensors", { dtype: "f16" });
      await checkpoint.close();
      const bounds = { "whole.safetensors": 1e-6, "small.cairn": 0.02, "small.safetensors": 2e-3 };
      for (const [name, absolute] of Object.entries(bounds)) {
        expectClose(await predicted(gpu, join(folder, name), inputs), expected, { absolute, relative: 0 });
      }
    });
  });

  gpuTest("IN-02 says which weights the model lacks, and which it does not ask for", async (gpu) => {
    await inFolder(async (folder) => {
      const path = join(folder, "run.cairn");
      await withTrainer(gpu, smallRun(), async ({ trainer }) => void await trainer.save(path));
      const layer = nn.sequential(nn.linear(FEATURES, HIDDEN), nn.relu(), nn.linear(HIDDEN, 2));
      const input = { dtype: "f32", shape: [FEATURES] } as const;
      const error = await thrownBy(() => Predictor.open(layer, path, { gpu, input }));
      expect(error).toMatchObject({ code: "state_mismatch" });
      expect(error.message).toContain(`"2.weight" (f32 [2, ${HIDDEN}]) is missing`);
      expect(error.message).toContain('the model asks for no "3.weight"');
      const rename = [{ from: "3.*", to: "2.*" }];
      const renamed = await thrownBy(() => Predictor.open(layer, path, { gpu, input, rename }));
      const differs = `"2.weight" is f32 [${CLASSES}, ${HIDDEN}] and the model asks for f32 [2, ${HIDDEN}]`;
      expect(renamed.message).toContain(differs);
      const late = await Predictor.open(layer, path, { gpu });
      expect((await thrownBy(() => late.predict(examples(1)))).message).toContain('"2.weight"');
      await late.close();
      expect(await thrownBy(() => late.predict(examples(1)))).toMatchObject({ code: "closed" });
      const unknown = await thrownBy(() => Predictor.open(layer, path, { gpu, exclude: ["4.*"] }));
      expect(unknown.message).toContain('exclude "4.*"');
    });
  });

  const TORCH: Readonly<Record<string, nn.Layer>> = {
    linear: nn.linear(5, 3),
    "conv2d with groups and dilation": nn.conv2d(4, 6, 2, { groups: 2, dilation: 2 }),
    layerNorm: nn.layerNorm(7),
    gru: nn.gru(3, 4),
    embedding: nn.embedding(5, 3),
  };
  for (const [name, layer] of Object.entries(TORCH)) {
    gpuTest(`IN-04 weights of PyTorch's names give PyTorch's outputs: ${name}`, async (gpu) => {
      const found = torchCases().layers.find((each) => each.name === name);
      if (found === undefined) throw new Error(`there is no case ${name}`);
      await inFolder(async (folder) => {
        const tensors = Object.entries(found.parameters).map(([own, { shape, values }]) => {
          return [`encoder.block.${own}`, HostTensor.from(Float32Array.from(values), shape)] as const;
        });
        await saveSafetensors(
          await FileStorage.open(folder),
          "torch.safetensors",
          Object.fromEntries(tensors),
        );
        const outputs = await predicted(
          gpu,
          join(folder, "torch.safetensors"),
          found.inputGradient === undefined
            ? HostTensor.from(Int32Array.from(found.x), found.shape)
            : HostTensor.from(Float32Array.from(found.x), found.shape),
          { layer: nn.sequential(layer), rename: [{ from: "encoder.block.*", to: "0.*" }], batchSize: 3 },
        );
        const largest = Math.max(...found.output.map(Math.abs), 0.5);
        expectClose(outputs, found.output, { absolute: 1e-5 * largest, relative: 1e-5 });
      });
    });
  }
});
