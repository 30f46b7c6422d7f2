import { afterAll, describe, expect } from "bun:test";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { initializeFromCheckpoint } from "../../../src/checkpoint/compat/initialize_from_checkpoint.ts";
import { saveCheckpoint } from "../../../src/checkpoint/compat/save_checkpoint.ts";
import type { GpuDevice } from "../../../src/gpu/gpu_device.ts";
import { HostTensor } from "../../../src/tensor/host_tensor.ts";
import { TensorStore } from "../../../src/tensor/tensor_store.ts";
import { gpuTest } from "../../helpers/gpu.ts";
import { containerOf } from "../container_fixture.ts";
import { contentsOf, errorOf, fillStore } from "../fixtures.ts";

const root = fs.mkdtempSync(path.join(os.tmpdir(), "cairn-initialize-"));

afterAll(() => fs.rmSync(root, { recursive: true, force: true }));

const WEIGHT = HostTensor.from([[1, 2], [3, 4]]);
const BIAS = HostTensor.from([5, 6]);

/** A model with a twin for the optimiser, filled with noise. */
function modelOf(gpu: GpuDevice, prefix = ""): TensorStore {
  const store = TensorStore.on(gpu);
  store.define("model", [
    { name: `${prefix}0.weight`, dtype: "f32", shape: [2, 2] },
    { name: `${prefix}0.bias`, dtype: "f32", shape: [2] },
  ]);
  store.mirror("optimizer.m", "model");
  fillStore(store, 3);
  return store;
}

async function fileOf(name: string, tensors: Record<string, HostTensor>): Promise<string> {
  const file = path.join(root, `${name}.cairn`);
  fs.writeFileSync(file, await containerOf(tensors));
  return file;
}

describe("initializeFromCheckpoint", () => {
  gpuTest("NN-16 takes the weights of a whole run's file and nothing else, and says so", async (gpu) => {
    const source = modelOf(gpu);
    fillStore(source, 1);
    const { path: file } = await saveCheckpoint(root, { store: source, state: { step: 9 } }, { tag: "run" });
    const store = modelOf(gpu);
    const optimizer = await contentsOf(store, "optimizer.");
    const report = await initializeFromCheckpoint(store, file);
    expect(report.loaded).toEqual(["model.0.weight", "model.0.bias"]);
    expect(report.warnings).toEqual([
      `"${file}" holds a whole run: 2 tensors of it and its state were left out`,
    ]);
    expect(await contentsOf(store, "model.")).toEqual(await contentsOf(source, "model."));
    expect(await contentsOf(store, "optimizer.")).toEqual(optimizer);
    for (const closing of [source, store]) await closing.close();
  });

  gpuTest("NN-16 adapts a module. prefix both ways, with and without the group", async (gpu) => {
    const prefixes = ["", "module.", "model.", "model.module.", "module.model."];
    for (const [index, prefix] of prefixes.entries()) {
      const tensors = { [`${prefix}0.weight`]: WEIGHT, [`${prefix}0.bias`]: BIAS };
      const file = await fileOf(`prefix${index}`, tensors);
      for (const own of ["", "module."]) {
        const store = modelOf(gpu, own);
        const report = await initializeFromCheckpoint(store, file);
        expect(report).toMatchObject({
          loaded: [`model.${own}0.weight`, `model.${own}0.bias`],
          missing: [],
          unexpected: [],
          warnings: [],
        });
        expect(await contentsOf(store, "model.")).toEqual({
          [`model.${own}0.weight`]: WEIGHT.bytes.join(","),
          [`model.${own}0.bias`]: BIAS.bytes.join(","),
        });
        await store.close();
      }
    }
  });

  gpuTest(
    "NN-16 is strict by default: what is missing or not known is an error, and nothing changes",
    async (gpu) => {
      const store = modelOf(gpu);
      const before = await contentsOf(store);
      const files: [Record<string, HostTensor>, string][] = [
        [{ "module.0.weight": WEIGHT }, '"model.0.bias" is missing'],
        [{ "0.weight": WEIGHT, "0.bias": BIAS, "1.bias": BIAS }, '"1.bias" is not expected'],
        [
          { "model.0.weight": BIAS, "model.0.bias": BIAS },
          '"model.0.weight" is f32 [2], expected f32 [2, 2]',
        ],
      ];
      for (const [index, [tensors, message]] of files.entries()) {
        const file = await fileOf(`strict${index}`, tensors);
        const error = await errorOf(initializeFromCheckpoint(store, file));
        expect(error.code).toBe("state_mismatch");
        expect(error.message).toContain(message);
        expect(await contentsOf(store)).toEqual(before);
      }
      const lenient = await initializeFromCheckpoint(store, path.join(root, "strict0"), { strict: false });
      expect(lenient).toMatchObject({ loaded: ["model.0.weight"], missing: ["model.0.bias"] });
      const absent = await errorOf(initializeFromCheckpoint(store, path.join(root, "absent")));
      expect(absent.code).toBe("not_found");
      await store.close();
    },
  );

  gpuTest("NN-16 an exact name wins over one with a prefix", async (gpu) => {
    const file = await fileOf("both", {
      "model.0.weight": WEIGHT,
      "model.0.bias": BIAS,
      "model.module.0.bias": BIAS,
    });
    const store = modelOf(gpu);
    const report = await initializeFromCheckpoint(store, file, { strict: false });
    expect(report).toMatchObject({
      loaded: ["model.0.weight", "model.0.bias"],
      unexpected: ["model.module.0.bias"],
    });
    await store.close();
  });
});
