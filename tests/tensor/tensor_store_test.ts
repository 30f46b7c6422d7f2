import { describe, expect, test } from "bun:test";
import { byteSizeOf, type DType } from "../../src/base/dtype.ts";
import type { TensorSpec } from "../../src/container/format/layout.ts";
import type { CairnError } from "../../src/base/errors.ts";
import { GpuDevice } from "../../src/gpu/gpu_device.ts";
import { HostTensor } from "../../src/tensor/host_tensor.ts";
import { TensorStore } from "../../src/tensor/tensor_store.ts";
import { FakeDevice } from "../helpers/fake_device.ts";
import { gpuTest, gpuTestOptions, ownGpuTest } from "../helpers/gpu.ts";
import { thrownBy } from "../helpers/thrown.ts";

/** Bytes that hold every special bit pattern somewhere: NaN payloads, infinities, -0, subnormals. */
function oddBytes(byteLength: number, seed: number): Uint8Array<ArrayBuffer> {
  let state = seed;
  return new Uint8Array(byteLength).map(() => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return [0x7f, 0xff, 0x80, 0x01, 0xf8, 0x00, 0xc0][state >>> 29] ?? state >>> 24;
  });
}

const MODEL: TensorSpec[] = [
  { name: "0.weight", dtype: "f32", shape: [3, 5] },
  { name: "0.bias", dtype: "f32", shape: [3] },
  { name: "mask", dtype: "bool", shape: [7] },
];

describe("define", () => {
  gpuTest("names tensors after their group and places them in order", async (gpu) => {
    const store = TensorStore.on(gpu);
    const group = store.define("model", MODEL);
    expect(group.tensors.map(({ name, offset, byteLength }) => [name, offset, byteLength])).toEqual([
      ["model.0.weight", 0, 60],
      ["model.0.bias", 256, 12],
      ["model.mask", 512, 7],
    ]);
    expect(group.slabs.map(({ byteLength }) => byteLength)).toEqual([768]);
    const { buffer, offset, size } = store.tensor("model.0.bias").range;
    expect([buffer === group.slabs[0]?.buffer, offset, size]).toEqual([true, 256, 12]);
    expect([store.has("model.mask"), store.has("mask"), store.has("model")]).toEqual([true, false, false]);
    expect(store.tensors().map(({ group: name }) => name)).toEqual(["model", "model", "model"]);
    await store.close();
  });

  gpuTest("spreads tensors over slabs, and never one tensor over two", async (gpu) => {
    const store = TensorStore.on(gpu, { slabBytes: 512 });
    const group = store.define("model", [
      { name: "a", dtype: "f32", shape: [64] },
      { name: "b", dtype: "f32", shape: [65] },
      { name: "c", dtype: "f32", shape: [128] },
    ]);
    expect(group.tensors.map(({ slab, offset }) => [slab, offset])).toEqual([[0, 0], [1, 0], [2, 0]]);
    expect(group.slabs.map(({ byteLength }) => byteLength)).toEqual([256, 512, 512]);
    expect(store.stats()).toEqual({ tensors: 3, slabs: 3, bytes: 1280, liveBuffers: gpu.counters.buffers });
    expect(group.byteLength).toBe(1280);
    await store.close();
  });

  gpuTest("gives a tensor that is larger than a slab a slab of its own", async (gpu) => {
    const store = TensorStore.on(gpu, { slabBytes: 512 });
    const group = store.define("model", [
      { name: "a", dtype: "f32", shape: [64] },
      { name: "large", dtype: "f32", shape: [300] },
      { name: "b", dtype: "f32", shape: [64] },
    ]);
    expect(group.tensors.map(({ slab, offset }) => [slab, offset])).toEqual([[0, 0], [1, 0], [2, 0]]);
    expect(group.slabs.map(({ byteLength }) => byteLength)).toEqual([256, 1280, 256]);
    const large = HostTensor.from(Float32Array.from({ length: 300 }, (_, i) => i));
    store.write({ "model.large": large });
    expect((await store.read(["model.large"])).get("model.large")).toEqual(large);
    await store.close();
  });

  test("refuses a tensor larger than a buffer of the adapter, and leaves nothing behind", async () => {
    const fake = new FakeDevice({ limits: { maxStorageBufferBindingSize: 512, maxBufferSize: 1024 } });
    const store = await TensorStore.open({ device: fake.device });
    store.define("fits", [{ name: "large", dtype: "f32", shape: [256] }]);
    store.remove(["fits"]);
    const error = await thrownBy(() =>
      store.define("model", [{ name: "a", dtype: "u8", shape: [4] }, {
        name: "big",
        dtype: "f32",
        shape: [257],
      }])
    );
    expect((error as CairnError).code).toBe("limit_exceeded");
    expect(error.message).toMatch(/^Tensor "model\.big" has 1028 bytes, but a slab holds at most 1024: /);
    expect(fake.live).toEqual([]);
    expect([store.groups(), store.has("model.a")]).toEqual([[], false]);
    await store.close();
  });

  gpuTest(
    "binds 128 MiB or what the adapter has by default, and explains a slab size it cannot bind",
    async (gpu) => {
      const limit = gpu.limits.maxStorageBufferBindingSize;
      const store = TensorStore.on(gpu);
      expect(store.slabBytes).toBe(Math.min(128 * 1024 * 1024, Math.floor(limit / 256) * 256));
      await store.close();
      for (const slabBytes of [0, 100, 1.5, NaN, Math.ceil((limit + 1) / 256) * 256]) {
        expect(() => TensorStore.on(gpu, { slabBytes })).toThrow(RangeError);
      }
    },
  );

  gpuTest("refuses a second group or tensor of the same name", async (gpu) => {
    const store = TensorStore.on(gpu);
    store.define("a", [{ name: "b.c", dtype: "f32", shape: [1] }]);
    expect(() => store.define("a", [])).toThrow('There is a group "a" already; give');
    expect(() => store.define("a.b", [{ name: "c", dtype: "f32", shape: [1] }])).toThrow(
      new TypeError('There is a tensor "a.b.c" already'),
    );
    expect(() => store.define("d", [MODEL[0], MODEL[0]] as TensorSpec[])).toThrow(TypeError);
    expect(store.groups().map(({ name }) => name)).toEqual(["a"]);
    await store.close();
  });

  gpuTest("nested arrays are written as what the tensor is, and typed arrays in its shape", async (gpu) => {
    const store = TensorStore.on(gpu);
    store.define("t", [
      { name: "half", dtype: "f16", shape: [2, 2] },
      { name: "ids", dtype: "u32", shape: [2, 3] },
    ]);
    store.write({ "t.half": [[1, 2], [0.5, -4]], "t.ids": Uint32Array.of(1, 2, 3, 4, 5, 6) });
    const read = await store.read(["t.half", "t.ids"]);
    expect([...read.get("t.half")?.toArray() ?? []]).toEqual([1, 2, 0.5, -4]);
    expect([...read.get("t.ids")?.toArray() ?? []]).toEqual([1, 2, 3, 4, 5, 6]);
    const ragged = await thrownBy(() => store.write({ "t.half": [[1, 2], [3]] }));
    expect(ragged.message).toContain('"t.half"[1] is an array of 1 value');
    const other = await thrownBy(() => store.write({ "t.ids": new Float32Array(6) }));
    expect(other.code).toBe("dtype_mismatch");
    await store.close();
  });

  gpuTest("lets tied tensors share their memory", async (gpu) => {
    const store = TensorStore.on(gpu);
    const group = store.define("model", [
      { name: "embedding", dtype: "f32", shape: [2, 2] },
      { name: "head", dtype: "f32", shape: [2, 2], aliasOf: "embedding" },
    ]);
    expect(group.byteLength).toBe(256);
    expect(store.tensor("model.head").aliasOf).toBe("model.embedding");
    expect(store.tensor("model.head").offset).toBe(store.tensor("model.embedding").offset);
    store.write({ "model.head": HostTensor.from([[1, 2], [3, 4]]) });
    const read = await store.read(["model.embedding"]);
    expect([...(read.get("model.embedding")?.toArray() ?? [])]).toEqual([1, 2, 3, 4]);
    await store.close();
  });
});

describe("mirror", () => {
  gpuTest("lays another group out exactly like the first, ties included", async (gpu) => {
    const store = TensorStore.on(gpu, { slabBytes: 512 });
    const tied: TensorSpec = { name: "tied", dtype: "f32", shape: [3], aliasOf: "0.bias" };
    const model = store.define("model", [...MODEL, tied]);
    const moments = store.mirror("optimizer.m", "model");
    const layout = (group: typeof model) =>
      group.tensors.map(({ name, dtype, shape, slab, offset, aliasOf }) => ({
        name: name.replace(group.name, ""),
        aliasOf: aliasOf?.replace(group.name, ""),
        at: [dtype, shape, slab, offset],
      }));
    expect(layout(moments)).toEqual(layout(model));
    expect(moments.tensors[0]?.name).toBe("optimizer.m.0.weight");
    expect(moments.slabs.map(({ byteLength }) => byteLength)).toEqual(
      model.slabs.map(({ byteLength }) => byteLength),
    );
    expect(moments.slabs[0]?.buffer === model.slabs[0]?.buffer).toBe(false);
    expect(store.groups().map(({ name }) => name)).toEqual(["model", "optimizer.m"]);
    expect(() => store.mirror("x", "none")).toThrow(
      new TypeError('There is no group "none"; there is "model", "optimizer.m"'),
    );
    await store.close();
  });
});

describe("write and read", () => {
  const dtypes: DType[] = ["f32", "u32", "i32", "f16", "bf16", "u8", "i8", "bool", "u16", "f64", "i64"];
  for (const dtype of dtypes) {
    gpuTest(
      `give back every bit of ${dtype} tensors of any length, and leave the neighbours alone`,
      async (gpu) => {
        const store = TensorStore.on(gpu);
        const lengths = [0, 1, 2, 3, 5, 63, 64, 65, 257];
        store.define("t", lengths.map((length) => ({ name: `n${length}`, dtype, shape: [length] })));
        const tensors = lengths.map((length, i) =>
          HostTensor.fromBytes(oddBytes(length * byteSizeOf(dtype), 7 + i), dtype, [length])
        );
        const names = lengths.map((length) => `t.n${length}`);
        // Backwards, so that padding that spilled over would destroy a tensor that was written before.
        for (let i = names.length - 1; i >= 0; i--) {
          store.write({ [names[i] ?? ""]: tensors[i] as HostTensor });
        }
        const read = await store.read(names);
        expect([...read.keys()]).toEqual(names);
        names.forEach((name, i) => {
          expect([name, [...read.get(name)?.bytes ?? []]]).toEqual([name, [...tensors[i]?.bytes ?? []]]);
          expect([name, read.get(name)?.equals(tensors[i] as HostTensor)]).toEqual([name, true]);
        });
        await store.close();
      },
    );
  }

  gpuTest("keep exactly these NaN payloads, infinities, signed zeros and subnormals of f32", async (gpu) => {
    const bits = Uint32Array.of(
      0x7fc00000,
      0x7f800001,
      0xffc12345,
      0xffffffff,
      0x7f800000,
      0xff800000,
      0x80000000,
      1,
      0x807fffff, // deno-fmt-ignore
    );
    const store = TensorStore.on(gpu);
    store.define("t", [{ name: "x", dtype: "f32", shape: [9] }]);
    store.write({ "t.x": HostTensor.from(new Float32Array(bits.buffer)) });
    const bytes = (await store.read(["t.x"])).get("t.x")?.bytes.slice();
    expect([...new Uint32Array(bytes?.buffer ?? new ArrayBuffer(0))]).toEqual([...bits]);
    await store.close();
  });

  gpuTest("begin with zeros", async (gpu) => {
    const store = TensorStore.on(gpu);
    store.define("model", MODEL);
    const weight = (await store.read(["model.0.weight"])).get("model.0.weight");
    expect(weight?.equals(HostTensor.from(new Float32Array(15), [3, 5]))).toBe(true);
    await store.close();
  });

  gpuTest("take one submit each, however many tensors there are, and allocate nothing", async (gpu) => {
    const store = TensorStore.on(gpu);
    const names = Array.from({ length: 500 }, (_, i) => `t.${i}`);
    store.define("t", names.map((_, i) => ({ name: String(i), dtype: "f32", shape: [3] })));
    const before = gpu.counters;
    store.write(Object.fromEntries(names.map((name, i) => [name, HostTensor.from([i, -i, 0.5])])));
    const read = await store.read(names);
    expect(gpu.counters).toEqual({ ...before, submits: before.submits + 2 });
    expect([...(read.get("t.499")?.toArray() ?? [])]).toEqual([499, -499, 0.5]);
    await store.close();
  });

  gpuTest("refuse what does not fit, before anything is written", async (gpu) => {
    const store = TensorStore.on(gpu);
    store.define("model", MODEL);
    const good = HostTensor.from([1, 2, 3]);
    const dtype = await thrownBy(() =>
      store.write({ "model.0.bias": good, "model.0.weight": HostTensor.from(new Int32Array(15), [3, 5]) })
    );
    expect(dtype.code).toBe("dtype_mismatch");
    expect(dtype.message).toBe(
      'Cannot write tensor "model.0.weight": it has the dtype f32, and the value i32',
    );
    const shape = await thrownBy(() =>
      store.write({ "model.0.bias": good, "model.0.weight": HostTensor.from(new Float32Array(15), [5, 3]) })
    );
    expect(shape.code).toBe("shape_mismatch");
    expect(shape.message).toBe(
      'Cannot write tensor "model.0.weight": it has the shape [3, 5], and the value [5, 3]',
    );
    expect(shape.details).toEqual({ tensor: "model.0.weight" });
    const unknown = await thrownBy(() => store.write({ "model.0.bias": good, "0.bias": good }));
    expect(unknown).toBeInstanceOf(TypeError);
    expect(unknown.message).toBe(
      'There is no tensor "0.bias"; there is "model.0.weight", "model.0.bias", "model.mask"',
    );
    expect(await thrownBy(() => store.read(["none"]))).toBeInstanceOf(TypeError);
    expect([...((await store.read(["model.0.bias"])).get("model.0.bias")?.toArray() ?? [])]).toEqual([
      0,
      0,
      0,
    ]);
    await store.close();
  });
});

describe("the life of a store", () => {
  gpuTest("ends with as many live buffers as it began with", async (gpu) => {
    const before = gpu.counters.buffers;
    const store = TensorStore.on(gpu, { slabBytes: 256 });
    store.define("model", MODEL);
    store.mirror("optimizer.m", "model");
    expect(gpu.counters.buffers).toBe(before + 6);
    await store.close();
    await store.close();
    expect(gpu.counters.buffers).toBe(before);
    expect((await thrownBy(() => store.define("again", []))).code).toBe("closed");
    expect((await thrownBy(() => store.read([]))).code).toBe("closed");
    gpu.assertAlive();
  });

  gpuTest("opens a device of its own, and closes it", async () => {
    const store = await TensorStore.open(gpuTestOptions());
    const { gpu } = store;
    store.define("model", MODEL);
    await store.close();
    expect(gpu.counters.buffers).toBe(0);
    expect((await gpu.device.lost).reason).toBe("destroyed");
  });

  gpuTest("closes its device again when its options are wrong", async () => {
    expect(await thrownBy(() => TensorStore.open({ ...gpuTestOptions(), slabBytes: 3 }))).toBeInstanceOf(
      RangeError,
    );
  });

  ownGpuTest("every call notices a lost device", async (gpu) => {
    const store = TensorStore.on(gpu);
    store.define("model", MODEL);
    const reading = store.read(["model.mask"]).then(() => "read", (error) => error.code);
    gpu.device.destroy();
    expect(await reading).toBe("device_lost");
    for (
      const call of [
        () => store.define("late", []),
        () => store.write({ "model.0.bias": HostTensor.from([1, 2, 3]) }),
        () => store.read(["model.mask"]),
      ]
    ) {
      expect((await thrownBy(call)).code).toBe("device_lost");
    }
    await store.close();
  });
});

describe("rebuild", () => {
  ownGpuTest("on a new device gives the same groups, zero-filled, and works", async () => {
    const store = await TensorStore.open({ ...gpuTestOptions(), slabBytes: 512 });
    const model = store.define("model", MODEL);
    store.mirror("optimizer.m", "model");
    const value = HostTensor.from([1, 2, 3]);
    store.write({ "model.0.bias": value });
    store.variants.set("matmul", "cpu");
    const lost = store.gpu;
    lost.device.destroy();
    await lost.device.lost;
    expect((await thrownBy(() => store.read(["model.0.bias"]))).code).toBe("device_lost");
    const before = store.tensors().map(({ range: _, ...rest }) => rest);
    await store.rebuild();
    expect(store.gpu).not.toBe(lost);
    expect(lost.counters.buffers).toBe(0);
    expect((await thrownBy(() => lost.read([]))).code).toBe("closed");
    expect(store.tensors().map(({ range: _, ...rest }) => rest)).toEqual(before);
    expect(store.group("model").slabs[0]?.buffer === model.slabs[0]?.buffer).toBe(false);
    expect(store.variants.get("matmul")).toBe("cpu");
    expect((await store.read(["model.0.bias"])).get("model.0.bias")?.toArray()).toEqual(new Float32Array(3));
    store.write({ "model.0.bias": value });
    expect((await store.read(["model.0.bias"])).get("model.0.bias")?.equals(value)).toBe(true);
    store.define("more", [{ name: "a", dtype: "f32", shape: [4] }]);
    const { gpu } = store;
    await store.close();
    expect(gpu.counters.buffers).toBe(0);
    expect((await thrownBy(() => store.rebuild())).code).toBe("closed");
  });

  ownGpuTest("on a device of the caller's leaves both devices to the caller", async (first) => {
    const second = await GpuDevice.open(gpuTestOptions());
    const store = TensorStore.on(first);
    store.define("model", MODEL);
    expect((await thrownBy(() => store.rebuild())).message).toContain("give rebuild() one");
    expect((await thrownBy(() => store.rebuild(first))).message).toContain("on that device already");
    expect(store.canReopen).toBe(false);
    await store.rebuild(second);
    expect([first.counters.buffers, second.counters.buffers]).toEqual([0, 1]);
    await store.close();
    expect(second.counters.buffers).toBe(0);
    first.assertAlive();
    second.assertAlive();
    await second.close();
  });

  ownGpuTest("that fails changes nothing", async (first) => {
    const store = TensorStore.on(first);
    store.define("model", MODEL);
    const closed = await GpuDevice.open(gpuTestOptions());
    await closed.close();
    expect((await thrownBy(() => store.rebuild(closed))).code).toBe("closed");
    expect(store.gpu).toBe(first);
    store.write({ "model.0.bias": HostTensor.from([1, 2, 3]) });
    expect((await store.read(["model.0.bias"])).size).toBe(1);
    await store.close();
  });
});
