import { describe, expect, test } from "bun:test";
import type { Throughput } from "../../../src/base/work.ts";
import { loadInto } from "../load_into.ts";
import {
  compareTensors,
  type LoadReport,
  type TensorComparison,
  type TensorForm,
} from "../../../src/checkpoint/restore/load_report.ts";
import { ContainerReader } from "../../../src/container/read/container_reader.ts";
import { bytesSource } from "../../../src/container/source.ts";
import { writeContainer } from "../../../src/container/write/write_container.ts";
import type { GpuDevice } from "../../../src/gpu/gpu_device.ts";
import { HostTensor } from "../../../src/tensor/host_tensor.ts";
import { TensorStore } from "../../../src/tensor/tensor_store.ts";
import { gpuTest } from "../../helpers/gpu.ts";
import { containerOf, MANIFEST } from "../container_fixture.ts";
import { contentsOf, counterRandom, errorOf, fillStore, smallStore } from "../fixtures.ts";

const NOTHING_ELSE = {
  skipped: [],
  cast: [],
  sliced: [],
  padded: [],
  renamed: [],
  unmatched: [],
  suggestions: {},
};

function oneLayer(gpu: GpuDevice): TensorStore {
  const store = TensorStore.on(gpu);
  store.define("model", [{ name: "weight", dtype: "f32", shape: [2, 3] }, {
    name: "bias",
    dtype: "f32",
    shape: [3],
  }]);
  return store;
}

const WEIGHT = HostTensor.from([[1, 2, 3], [4, 5, 6]]);
const BIAS = HostTensor.from([7, 8, 9]);

function withoutThroughput({ seconds: _, bytesPerSecond: __, ...comparison }: LoadReport): TensorComparison {
  return comparison;
}

async function load(
  gpu: GpuDevice,
  tensors: Record<string, HostTensor>,
  options: Parameters<typeof loadInto>[2] = {},
): Promise<{
  report: TensorComparison | undefined;
  throughput: Partial<Throughput>;
  error: unknown;
  contents: Record<string, string>;
}> {
  const store = oneLayer(gpu);
  fillStore(store, 5);
  const reader = await ContainerReader.open(bytesSource(await containerOf(tensors)));
  const [outcome] = await Promise.allSettled([loadInto(store, reader, options)]);
  const contents = await contentsOf(store);
  await store.close();
  return {
    report: outcome.status === "fulfilled" ? withoutThroughput(outcome.value) : undefined,
    throughput: outcome.status === "fulfilled" ? outcome.value : {},
    error: outcome.status === "rejected" ? outcome.reason : undefined,
    contents,
  };
}

describe("loadInto", () => {
  gpuTest(
    "says how long it took, and how many bytes a second those of the loaded tensors are",
    async (gpu) => {
      const file = { "model.bias": BIAS, "model.weight": WEIGHT, "other.bias": BIAS };
      for (const [bytes, options] of [[36, { strict: false }], [0, { dryRun: true }]] as const) {
        const { seconds = NaN, bytesPerSecond = NaN } = (await load(gpu, file, options)).throughput;
        expect(seconds).toBeGreaterThanOrEqual(0);
        expect(bytesPerSecond * seconds).toBeCloseTo(seconds > 0 ? bytes : 0, 6);
      }
    },
  );

  gpuTest("loads by name, whatever the order in the file", async (gpu) => {
    const { report, contents } = await load(gpu, { "model.bias": BIAS, "model.weight": WEIGHT });
    expect(report).toEqual({
      loaded: ["model.weight", "model.bias"],
      missing: [],
      unexpected: [],
      mismatched: [],
      ...NOTHING_ELSE,
    });
    expect(contents).toEqual({ "model.weight": WEIGHT.bytes.join(","), "model.bias": BIAS.bytes.join(",") });
  });

  gpuTest("a strict load that does not fit names what, and changes nothing", async (gpu) => {
    const before = await load(gpu, { "model.weight": WEIGHT }, { groups: [] });
    const { error, contents } = await load(gpu, {
      "model.weight": HostTensor.from([[1, 2], [3, 4]]),
      "model.module.bias": BIAS,
    }, { from: 'checkpoint "x"' });
    expect(error).toMatchObject({ name: "CairnError", code: "state_mismatch" });
    expect((error as Error).message).toBe(
      'Cannot load checkpoint "x" strictly: "model.weight" is f32 [2, 2], expected f32 [2, 3]; "model.bias" is missing (is it ' +
        '"model.module.bias"?); "model.module.bias" is not expected. Nothing was changed; load with strict: false to take what fits',
    );
    expect(contents).toEqual(before.contents);
  });

  gpuTest("a lenient load takes what fits and reports the rest", async (gpu) => {
    const { report, contents } = await load(gpu, {
      "model.weight": WEIGHT,
      "model.bias": HostTensor.from([1, 2, 3], [3], "f16"),
      "other.bias": BIAS,
    }, { strict: false });
    expect(report).toEqual({
      loaded: ["model.weight"],
      missing: [],
      unexpected: ["other.bias"],
      mismatched: [{ name: "model.bias", found: "f16 [3]", expected: "f32 [3]" }],
      ...NOTHING_ELSE,
    });
    expect(contents["model.weight"]).toBe(WEIGHT.bytes.join(","));
  });

  gpuTest(
    "a file that is damaged anywhere changes nothing, not even tensors before the damage",
    async (gpu) => {
      const store = oneLayer(gpu);
      fillStore(store, 5);
      const before = await contentsOf(store);
      const file = await containerOf({ "model.weight": WEIGHT, "model.bias": BIAS });
      file[4096 + 256] = (file[4096 + 256] ?? 0) ^ 1;
      const reader = await ContainerReader.open(bytesSource(file));
      const error = await errorOf(loadInto(store, reader));
      expect(error.code).toBe("checksum_mismatch");
      expect(error.details.tensor).toBe("model.bias");
      expect(error.message).toContain(
        'Cannot load the container: Cannot read chunk 1 of "model.bias": its checksum is',
      );
      expect(await contentsOf(store)).toEqual(before);
      await store.close();
    },
  );

  gpuTest("groups that are not asked for are neither loaded nor missed", async (gpu) => {
    const store = oneLayer(gpu);
    store.mirror("optimizer.m", "model");
    fillStore(store, 5);
    const before = await contentsOf(store, "optimizer.");
    const reader = await ContainerReader.open(bytesSource(
      await containerOf({ "model.weight": WEIGHT, "model.bias": BIAS, "optimizer.v.bias": BIAS }),
    ));
    const report = await loadInto(store, reader, { groups: ["model"] });
    expect(report.loaded).toEqual(["model.weight", "model.bias"]);
    expect(report.unexpected).toEqual([]);
    expect(await contentsOf(store, "optimizer.")).toEqual(before);
    await store.close();
  });

  gpuTest("loads into slabs of another size, with every dtype, size and tie", async (gpu) => {
    const source = smallStore(gpu, 4096);
    fillStore(source, 11);
    const wanted = await contentsOf(source);
    const tensors = source.tensors();
    const values = await source.read(tensors.map(({ name }) => name));
    const container = await writeContainer({
      tensors: tensors.map(({ name, dtype, shape, aliasOf }) => ({
        spec: aliasOf === undefined ? { name, dtype, shape } : { name, dtype, shape, aliasOf },
        bytes: values.get(name)?.bytes ?? new Uint8Array(),
      })),
      manifest: MANIFEST,
      fileId: counterRandom()(16),
      chunkBytes: 512,
    });
    for (const slabBytes of [4096, 3840, 65536]) {
      const target = smallStore(gpu, slabBytes);
      const reader = await ContainerReader.open(bytesSource(container));
      const report = await loadInto(target, reader);
      expect(report.loaded.length).toBe(12);
      expect(await contentsOf(target)).toEqual(wanted);
      await target.close();
    }
    await source.close();
  });

  gpuTest("an abort before the copy leaves the store as it was", async (gpu) => {
    const reason = new Error("enough");
    const { error, contents } = await load(gpu, { "model.weight": WEIGHT, "model.bias": BIAS }, {
      signal: AbortSignal.abort(reason),
    });
    expect(error).toBe(reason);
    expect(contents["model.weight"]).not.toBe(WEIGHT.bytes.join(","));
  });
});

describe("compareTensors", () => {
  const form = (name: string, ...shape: number[]): TensorForm => ({ name, dtype: "f32", shape });
  const compare = (wanted: TensorForm[], found: TensorForm[], excused: string[] = []): TensorComparison =>
    compareTensors(wanted, new Map(found.map((tensor) => [tensor.name, tensor])), new Set(excused));

  test("suggests the tensor of the same form whose name ends most alike", () => {
    const report = compare(
      [form("model.0.weight", 2), form("model.1.weight", 2)],
      [
        form("module.model.1.weight", 2),
        form("module.model.0.weight", 2),
        form("module.model.0.weight.old", 2),
      ],
    );
    expect(report.suggestions).toEqual({
      "model.0.weight": "module.model.0.weight",
      "model.1.weight": "module.model.1.weight",
    });
  });

  test("does not miss what was left out on purpose", () => {
    expect(compare([form("a"), form("b")], [form("a")], ["b"]).missing).toEqual([]);
  });
});
