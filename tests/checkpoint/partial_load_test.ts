import { describe, expect, test } from "bun:test";
import { loadInto, type LoadIntoOptions } from "./load_into.ts";
import type { LoadReport } from "../../src/checkpoint/restore/load_report.ts";
import { readFitted } from "../../src/checkpoint/restore/fitted_tensor.ts";
import type { DType } from "../../src/base/dtype.ts";
import { ContainerReader } from "../../src/container/read/container_reader.ts";
import { bytesSource } from "../../src/container/source.ts";
import type { GpuDevice } from "../../src/gpu/gpu_device.ts";
import { HostTensor } from "../../src/tensor/host_tensor.ts";
import { TensorStore } from "../../src/tensor/tensor_store.ts";
import { gpuTest } from "../helpers/gpu.ts";
import { containerOf, readerOf } from "./container_fixture.ts";
import { errorOf } from "./fixtures.ts";

/** Every element is -1, so that what was loaded can be told from what was not. */
function storeOf(gpu: GpuDevice, tensors: Record<string, [dtype: DType, shape: number[]]>): TensorStore {
  const store = TensorStore.on(gpu);
  store.define("model", Object.entries(tensors).map(([name, [dtype, shape]]) => ({ name, dtype, shape })));
  store.write(Object.fromEntries(
    store.tensors().map(({ name, dtype, shape }) => {
      const count = shape.reduce((product, size) => product * size, 1);
      return [name, HostTensor.from(new Array<number>(count).fill(-1), shape, dtype)];
    }),
  ));
  return store;
}

interface Outcome {
  report: LoadReport;
  values: Record<string, number[]>;
}

async function load(
  gpu: GpuDevice,
  into: Record<string, [dtype: DType, shape: number[]]>,
  file: Record<string, HostTensor>,
  options: LoadIntoOptions,
): Promise<Outcome> {
  const store = storeOf(gpu, into);
  try {
    const report = await loadInto(store, await readerOf(file), options);
    return { report, values: await valuesOf(store) };
  } finally {
    await store.close();
  }
}

async function valuesOf(store: TensorStore): Promise<Record<string, number[]>> {
  const read = await store.read(store.tensors().map(({ name }) => name));
  return Object.fromEntries([...read].map(([name, tensor]) => [name, Array.from(tensor.toArray(), Number)]));
}

const A = HostTensor.from([1, 2, 3]);
const B = HostTensor.from([4, 5]);
const C = HostTensor.from([[1, 2, 3], [4, 5, 6]]);

describe("loadInto, partially", () => {
  gpuTest("TS-04 takes a subset, and the rest is neither missed nor unexpected", async (gpu) => {
    const into = { a: ["f32", [3]], b: ["f32", [2]], c: ["f32", [2]] } as const;
    const file = { "model.a": A, "model.b": B, "model.d": B };
    const options: LoadIntoOptions[] = [{ only: ["model.a"] }, { exclude: ["model.b", /[cd]$/] }];
    for (const option of options) {
      const { report, values } = await load(gpu, copyOf(into), file, option);
      expect(report).toMatchObject({ loaded: ["model.a"], missing: [], unexpected: [], unmatched: [] });
      expect(values).toEqual({ "model.a": [1, 2, 3], "model.b": [-1, -1], "model.c": [-1, -1] });
    }
  });

  gpuTest("a pattern that matches nothing is an error, since it may be spelled wrong", async (gpu) => {
    const file = { "model.a": A };
    const options = { only: ["model.a", "model.wieght"] };
    const error = await errorOf(load(gpu, { a: ["f32", [3]] }, file, options));
    expect(error.code).toBe("state_mismatch");
    expect(error.message).toContain('strictly: only "model.wieght" matches no tensor. Nothing was changed');
    const { report } = await load(gpu, { a: ["f32", [3]] }, file, { ...options, strict: false });
    expect(report).toMatchObject({ loaded: ["model.a"], unmatched: ['only "model.wieght"'] });
  });

  gpuTest("renames by pattern, by expression and by function, and reports it", async (gpu) => {
    const { report, values } = await load(gpu, { a: ["f32", [3]], b1: ["f32", [2]], c: ["f32", [2]] }, {
      "module.a": A,
      "model.b0": B,
      "model.c": B,
    }, {
      rename: [
        { from: "module.*", to: "model.*" },
        { from: /b(\d)$/, to: (_, number) => `b${Number(number) + 1}` },
      ],
    });
    expect(report.renamed).toEqual([
      { from: "module.a", to: "model.a" },
      { from: "model.b0", to: "model.b1" },
    ]);
    expect(report.loaded).toEqual(["model.a", "model.b1", "model.c"]);
    expect(values).toEqual({ "model.a": [1, 2, 3], "model.b1": [4, 5], "model.c": [4, 5] });
  });

  gpuTest("a tensor that fits nowhere keeps the file's name, also in suggestions", async (gpu) => {
    const { report } = await load(gpu, { "0.a": ["f32", [3]] }, { "net.enc.0.a": A }, {
      strict: false,
      rename: [{ from: "net.*", to: "other.*" }],
    });
    expect(report).toMatchObject({
      missing: ["model.0.a"],
      unexpected: ["net.enc.0.a"],
      suggestions: { "model.0.a": "net.enc.0.a" },
    });
  });

  gpuTest("two tensors with one name are refused, and nothing is loaded", async (gpu) => {
    const store = storeOf(gpu, { a: ["f32", [3]] });
    const reader = await readerOf({ "model.a": A, "model.b": A });
    const error: unknown = await loadInto(store, reader, {
      rename: [{ from: "*b", to: "*a" }],
      strict: false,
    })
      .catch((cause: unknown) => cause);
    expect(error).toBeInstanceOf(TypeError);
    expect((error as Error).message).toBe(
      '"model.a" and "model.b" would both be loaded as "model.a"; see rename',
    );
    expect(await valuesOf(store)).toEqual({ "model.a": [-1, -1, -1] });
    await store.close();
  });

  gpuTest("another shape is refused, skipped, sliced or padded, as the policy says", async (gpu) => {
    const larger = { file: { "model.c": C }, into: { c: ["f32", [1, 2]] } } as const;
    const smaller = { file: { "model.c": C }, into: { c: ["f32", [3, 4]] } } as const;
    const mixed = { file: { "model.c": C }, into: { c: ["f32", [3, 2]] } } as const;
    const run = async (
      { file, into }: { file: Record<string, HostTensor>; into: { c: readonly [DType, readonly number[]] } },
      shapePolicy: "error" | "skip" | "slice" | "pad",
    ): Promise<Outcome | string> =>
      await load(gpu, copyOf(into), file, { shapePolicy }).catch((error: { code: string }) => error.code);
    expect(await run(larger, "slice")).toMatchObject({
      report: {
        loaded: ["model.c"],
        sliced: [{ name: "model.c", found: "f32 [2, 3]", expected: "f32 [1, 2]" }],
      },
      values: { "model.c": [1, 2] },
    });
    expect(await run(smaller, "pad")).toMatchObject({
      report: {
        loaded: ["model.c"],
        padded: [{ name: "model.c", found: "f32 [2, 3]", expected: "f32 [3, 4]" }],
      },
      values: { "model.c": [1, 2, 3, 0, 4, 5, 6, 0, 0, 0, 0, 0] },
    });
    for (const each of [larger, smaller, mixed]) {
      expect(await run(each, "error")).toBe("state_mismatch");
      const outcome = await run(each, "skip");
      expect(outcome).toMatchObject({
        report: { loaded: [], skipped: [{ name: "model.c" }], mismatched: [] },
      });
      expect(new Set((outcome as Outcome).values["model.c"])).toEqual(new Set([-1]));
    }
    expect(await run(larger, "pad")).toBe("state_mismatch");
    expect(await run(smaller, "slice")).toBe("state_mismatch");
    expect([await run(mixed, "slice"), await run(mixed, "pad")]).toEqual([
      "state_mismatch",
      "state_mismatch",
    ]);
    const flat = { file: { "model.c": A }, into: { c: ["f32", [3, 1]] } } as const;
    expect([await run(flat, "slice"), await run(flat, "pad")]).toEqual(["state_mismatch", "state_mismatch"]);
  });

  gpuTest("converts between floats only when told to, and never any other dtype", async (gpu) => {
    const dtypes = ["f32", "f16", "bf16"] as const;
    for (const from of dtypes) {
      for (const to of dtypes) {
        const file = { "model.a": HostTensor.from([1.5, -2, 0.001], [3], from) };
        const { report, values } = await load(gpu, { a: [to, [3]] }, file, { cast: true });
        expect(report.cast.length).toBe(from === to ? 0 : 1);
        const stored = file["model.a"].toArray() as Float32Array;
        expect(values).toEqual({ "model.a": [...HostTensor.from(stored, [3], to).toArray()].map(Number) });
        if (from === to) continue;
        expect((await errorOf(load(gpu, { a: [to, [3]] }, file, {}))).code).toBe("state_mismatch");
      }
    }
    const integers = { "model.a": HostTensor.from([1, 2, 3], [3], "i32") };
    const error = await errorOf(load(gpu, { a: ["f32", [3]] }, integers, { cast: true }));
    expect(error.message).toContain('"model.a" is i32 [3], expected f32 [3]');
  });

  gpuTest("casts and slices at once, beside tensors that are copied as they are", async (gpu) => {
    const file = {
      "model.a": A,
      "model.c": HostTensor.from([[1, 2, 3], [4, 5, 6]], [2, 3], "bf16"),
      "model.b": B,
    };
    const into = { a: ["f32", [3]], c: ["f32", [2, 1]], b: ["f32", [2]] } as const;
    const { report, values } = await load(gpu, copyOf(into), file, { cast: true, shapePolicy: "slice" });
    expect(report).toMatchObject({
      loaded: ["model.a", "model.c", "model.b"],
      cast: [{ name: "model.c" }],
      sliced: [{ name: "model.c" }],
    });
    expect(values).toEqual({ "model.a": [1, 2, 3], "model.c": [1, 4], "model.b": [4, 5] });
  });

  gpuTest(
    "a dry run reports what a strict load would refuse, reads no data and changes nothing",
    async (gpu) => {
      const store = storeOf(gpu, { a: ["f32", [3]], b: ["f32", [3]], c: ["f16", [2, 3]] });
      const file = await containerOf({ "model.a": A, "model.b": B, "model.c": C, "model.d": B });
      const source = bytesSource(file);
      const reader = await ContainerReader.open(source);
      let reads = 0;
      const read = source.read.bind(source);
      source.read = (offset, bytes) => {
        reads++;
        return read(offset, bytes);
      };
      const options = { shapePolicy: "pad", cast: true, dryRun: true } as const;
      const { seconds: _, bytesPerSecond, ...planned } = await loadInto(store, reader, options);
      expect(bytesPerSecond).toBe(0);
      expect(reads).toBe(0);
      expect(new Set(Object.values(await valuesOf(store)).flat())).toEqual(new Set([-1]));
      expect(planned).toMatchObject({
        loaded: ["model.a", "model.b", "model.c"],
        padded: [{ name: "model.b" }],
        cast: [{ name: "model.c" }],
        unexpected: ["model.d"],
      });
      // And it is what the load then says.
      expect(await loadInto(store, reader, { ...options, dryRun: false, strict: false })).toMatchObject(
        planned,
      );
      expect(reads).toBeGreaterThan(0);
      await store.close();
    },
  );

  gpuTest(
    "a tied tensor takes what the one that it is tied to has, though the file has them apart",
    async (gpu) => {
      const store = TensorStore.on(gpu);
      const tensor = { dtype: "f32" as const, shape: [2] };
      store.define("model", [{ name: "a", ...tensor }, { name: "tied", ...tensor, aliasOf: "a" }]);
      const reader = await readerOf({ "model.a": B, "model.tied": HostTensor.from([8, 9]) });
      await loadInto(store, reader);
      expect(await valuesOf(store)).toEqual({ "model.a": [4, 5], "model.tied": [4, 5] });
      await loadInto(store, reader, { only: ["model.tied"] });
      expect(await valuesOf(store)).toEqual({ "model.a": [8, 9], "model.tied": [8, 9] });
      await store.close();
    },
  );

  gpuTest("damage anywhere changes nothing in a partial load either", async (gpu) => {
    const store = storeOf(gpu, { a: ["f32", [2]], b: ["f32", [2]] });
    const file = await containerOf({ "model.a": A, "model.b": B });
    file[4096 + 256] = (file[4096 + 256] ?? 0) ^ 1;
    const reader = await ContainerReader.open(bytesSource(file));
    const options = { shapePolicy: "slice", only: ["model.a"] } as const;
    expect((await errorOf(loadInto(store, reader, options))).code).toBe("checksum_mismatch");
    expect(await valuesOf(store)).toEqual({ "model.a": [-1, -1], "model.b": [-1, -1] });
    await store.close();
  });
});

describe("readFitted", () => {
  test("slices and pads in every dimension, whatever the chunks", async () => {
    const shapes = [[5, 7, 3], [300], [2, 0, 3], [1, 130], [9, 1, 1, 2]];
    for (const found of shapes) {
      const count = found.reduce((product, size) => product * size, 1);
      const tensor = HostTensor.from(Float32Array.from({ length: count }, (_, i) => i + 1), found);
      const reader = await readerOf({ x: tensor });
      for (const change of [-3, -2, -1, 1, 2, 70]) {
        for (let dimension = 0; dimension < found.length; dimension++) {
          const shape = found.map((size, i) => i === dimension ? Math.max(0, size + change) : size);
          const bytes = await readFitted(reader, reader.tensor("x"), { name: "x", dtype: "f32", shape });
          expect([...HostTensor.fromBytes(bytes, "f32", shape).toArray()])
            .toEqual(overlap([...tensor.toArray()] as number[], found, shape));
        }
      }
    }
  });
});

/** Element by element, by their indices. */
function overlap(values: readonly number[], from: readonly number[], to: readonly number[]): number[] {
  const count = to.reduce((product, size) => product * size, 1);
  return Array.from({ length: count }, (_, flat) => {
    const indices: number[] = [];
    for (let rest = flat, i = to.length - 1; i >= 0; i--) {
      indices.unshift(rest % (to[i] ?? 1));
      rest = Math.floor(rest / (to[i] ?? 1));
    }
    if (indices.some((index, i) => index >= (from[i] ?? 0))) return 0;
    return values[indices.reduce((at, index, i) => at * (from[i] ?? 1) + index, 0)] ?? NaN;
  });
}

function copyOf(
  specs: Readonly<Record<string, readonly [DType, readonly number[]]>>,
): Record<string, [DType, number[]]> {
  return Object.fromEntries(
    Object.entries(specs).map(([name, [dtype, shape]]) => [name, [dtype, [...shape]]]),
  );
}
