import { afterAll, describe, expect } from "bun:test";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import type { HostState, StateInput } from "../../../src/checkpoint/capture/state_types.ts";
import { loadParts, type LoadPartsOptions } from "../../../src/checkpoint/compat/load_parts.ts";
import type { StateByName } from "../../../src/checkpoint/restore/restore_state.ts";
import { saveCheckpoint } from "../../../src/checkpoint/compat/save_checkpoint.ts";
import type { GpuDevice } from "../../../src/gpu/gpu_device.ts";
import { TensorStore } from "../../../src/tensor/tensor_store.ts";
import { gpuTest } from "../../helpers/gpu.ts";
import { contentsOf, errorOf, fillStore } from "../fixtures.ts";

const root = fs.mkdtempSync(path.join(os.tmpdir(), "cairn-parts-"));

afterAll(() => fs.rmSync(root, { recursive: true, force: true }));

interface Layers {
  readonly prefix?: string;
  readonly moments?: readonly string[];
  readonly bias?: number;
}

function storeOf(gpu: GpuDevice, { prefix = "", moments = ["m", "v"], bias = 2 }: Layers = {}): TensorStore {
  const store = TensorStore.on(gpu);
  store.define("model", [
    { name: `${prefix}weight`, dtype: "f32", shape: [4] },
    { name: `${prefix}bias`, dtype: "f32", shape: [bias] },
  ]);
  for (const moment of moments) store.mirror(`optimizer.${moment}`, "model");
  store.mirror("ema", "model");
  return store;
}

const stateOf = (n: number): StateByName => ({
  optimizer: n,
  scheduler: n,
  history: n,
  callbacks: n,
  extra: n,
});

async function saveRun(
  gpu: GpuDevice,
  tag: string,
  layers: Layers = {},
  state = stateOf(1),
): Promise<string> {
  const store = storeOf(gpu, layers);
  fillStore(store, 1);
  const { path: file } = await saveCheckpoint(root, { store, state }, { tag });
  await store.close();
  return file;
}

/** Which parts of the store and of the state changed. */
async function changed(
  gpu: GpuDevice,
  file: string,
  options: LoadPartsOptions,
  layers: Layers = {},
): Promise<{ parts: string[]; warnings: readonly string[] }> {
  const store = storeOf(gpu, layers);
  fillStore(store, 2);
  const before = await contentsOf(store);
  const state = stateOf(2);
  try {
    const { warnings } = await loadParts(file, { store, state }, options);
    const after = await contentsOf(store);
    const tensors = Object.keys(after).filter((name) => after[name] !== before[name]);
    return {
      parts: [
        ...new Set(tensors.map((name) => name.split(".")[0] ?? "")),
        ...Object.keys(state).filter((name) => state[name] === 1).map((name) => `state.${name}`),
      ],
      warnings,
    };
  } finally {
    await store.close();
  }
}

const TENSORS = ["model", "optimizer", "ema"];
const STATE = ["state.optimizer", "state.scheduler", "state.history", "state.callbacks", "state.extra"];

describe("loadParts", () => {
  gpuTest("NN-15 loads every part but those that are skipped", async (gpu) => {
    const file = await saveRun(gpu, "whole");
    const cases: [LoadPartsOptions, string[]][] = [
      [{}, []],
      [{ skipOptimizer: true }, ["optimizer", "state.optimizer"]],
      [{ skipScheduler: true }, ["state.scheduler"]],
      [{ skipHistory: true, skipCallbacks: true }, ["state.history", "state.callbacks"]],
      [{ skip: ["ema", "extra"] }, ["ema", "state.extra"]],
    ];
    for (const [options, left] of cases) {
      for (const strict of [true, false]) {
        const { parts, warnings } = await changed(gpu, file, { ...options, strict });
        expect(parts).toEqual([...TENSORS, ...STATE].filter((part) => !left.includes(part)));
        expect(warnings).toEqual([]);
      }
    }
  });

  gpuTest(
    "NN-15 an optimiser that does not fit is left out as a whole, and the schedule with it",
    async (gpu) => {
      const file = await saveRun(gpu, "sgd", { moments: ["m"] });
      const { parts, warnings } = await changed(gpu, file, { strict: false });
      expect(parts).toEqual([
        "model",
        "ema",
        "state.optimizer",
        "state.history",
        "state.callbacks",
        "state.extra",
      ]);
      expect(warnings).toEqual([
        'The optimiser was left out: "optimizer.v.weight" is missing or does not fit',
        'State "scheduler" was left out: so was the optimiser',
      ]);
      expect((await errorOf(changed(gpu, file, {}))).code).toBe("state_mismatch");
    },
  );

  gpuTest("NN-15 each part of the state fails softly, with a warning of its own", async (gpu) => {
    const { history: _, ...rest } = stateOf(1);
    const file = await saveRun(gpu, "soft", {}, rest);
    const store = storeOf(gpu);
    const failing = {
      stateDict: (): StateInput => 0,
      loadStateDict: (_: HostState): void => {
        throw new Error("of another version");
      },
    };
    const state: StateByName = { ...stateOf(2), callbacks: failing };
    const report = await loadParts(file, { store, state }, { strict: false });
    expect(report.warnings).toEqual([
      'State "history" was left out: it was not saved',
      'State "callbacks" was left out: of another version',
    ]);
    expect(report.state).toEqual({
      restored: ["optimizer", "scheduler", "extra"],
      missing: ["history"],
      unexpected: [],
    });
    expect(state).toMatchObject({ optimizer: 1, scheduler: 1, history: 2, extra: 1 });
    // An optimiser's own state that fails takes the schedule with it as well.
    const other: StateByName = { scheduler: 2, optimizer: failing };
    const second = await loadParts(file, { store, state: other }, { strict: false });
    expect(second.warnings).toEqual([
      'State "optimizer" was left out: of another version',
      'State "scheduler" was left out: so was the optimiser',
    ]);
    expect(other.scheduler).toBe(2);
    await store.close();
  });

  gpuTest("NN-15 strictly, anything missing is an error before anything changes", async (gpu) => {
    const { history: _, ...rest } = stateOf(1);
    const file = await saveRun(gpu, "strict", {}, rest);
    const store = storeOf(gpu);
    fillStore(store, 2);
    const before = await contentsOf(store);
    const state = stateOf(2);
    const error = await errorOf(loadParts(file, { store, state }));
    expect(error.code).toBe("state_mismatch");
    expect(error.message).toContain('it has no state named "history"');
    expect([await contentsOf(store), state]).toEqual([before, stateOf(2)]);
    await loadParts(file, { store, state }, { skipHistory: true });
    expect(state).toEqual({ ...stateOf(1), history: 2 });
    await store.close();
  });

  gpuTest(
    "NN-15 strips the prefix of wrapped models, and needs a file with a model that fits",
    async (gpu) => {
      const wrapped = await saveRun(gpu, "wrapped", { prefix: "module." });
      const options = { skipOptimizer: true, skip: ["ema"] };
      expect((await changed(gpu, wrapped, options)).parts[0]).toBe("model");
      const { path: none } = await saveCheckpoint(root, { state: stateOf(1) }, { tag: "none" });
      const error = await errorOf(changed(gpu, none, { strict: false }));
      expect(error.code).toBe("state_mismatch");
      expect(error.message).toContain("it has nothing that fits the model. Nothing was changed");
      expect((await errorOf(changed(gpu, path.join(root, "absent"), {}))).code).toBe("not_found");
      const wider = await changed(gpu, wrapped, { ...options, strict: false }, { bias: 3 });
      expect(wider.parts[0]).toBe("model");
      expect(wider.warnings).toEqual([
        '1 of the tensors did not fit, "model.bias" for one; the report names them all',
      ]);
    },
  );
});
