import { BytesSink } from "../../../src/container/source.ts";
import { describe, expect, test } from "bun:test";
import type { DType } from "../../../src/base/dtype.ts";
import { castingSink, planCasts } from "../../../src/checkpoint/capture/cast_tensors.ts";
import type { Engine } from "../../../src/checkpoint/engine/engine.ts";
import { Snapshot } from "../../../src/checkpoint/snapshot.ts";
import { castBytes } from "../../../src/container/read/cast.ts";
import type { TensorSpec } from "../../../src/container/format/layout.ts";
import type { HostTensor } from "../../../src/tensor/host_tensor.ts";
import { TensorStore } from "../../../src/tensor/tensor_store.ts";
import { gpuTest } from "../../helpers/gpu.ts";
import { codeOf, contentsOf, counterRandom, fillStore, memoryEngine, smallStore } from "../fixtures.ts";

/** The form and the bytes of a tensor in a checkpoint, and the codec's dtype of its first chunk. */
async function saved(engine: Engine, tag: string | number, name: string): Promise<HostTensor> {
  const checkpoint = await engine.load(tag);
  await checkpoint.verify();
  const tensor = await checkpoint.readObject(`tensors/${name}`) as HostTensor;
  await checkpoint.close();
  return tensor;
}

async function bytesOf(store: TensorStore, name: string): Promise<Uint8Array> {
  const read = await store.read([name]);
  return read.get(name)?.bytes ?? new Uint8Array();
}

describe("a hook on each tensor", () => {
  gpuTest("TS-17 weights are written as bf16, and everything else as it is", async (gpu) => {
    const engine = await memoryEngine();
    const store = smallStore(gpu);
    fillStore(store, 1);
    const asked: string[] = [];
    const snapshot = new Snapshot(engine, { store, history: new Float32Array([1.1]) }, {
      storedDType: ({ name, dtype, shape }) => {
        asked.push(name);
        expect(shape).toEqual(store.tensor(name).shape);
        return name.startsWith("model.") && dtype === "f32" ? "bf16" : undefined;
      },
    });
    await (await snapshot.save(1)).wait();
    // Once for each tensor that has memory of its own, and never for what is not in the store.
    expect(asked).toEqual(
      store.tensors().filter(({ aliasOf }) => aliasOf === undefined).map(({ name }) => name),
    );
    for (const { name, dtype, shape } of store.tensors()) {
      const wanted: DType = name.startsWith("model.") && dtype === "f32" ? "bf16" : dtype;
      const tensor = await saved(engine, 1, name);
      expect([name, tensor.dtype, tensor.shape]).toEqual([name, wanted, shape]);
      const bytes = await bytesOf(store, name);
      expect(tensor.bytes).toEqual(wanted === dtype ? bytes : castBytes(bytes, "f32", "bf16"));
    }
    const checkpoint = await engine.load(1);
    expect(checkpoint.reader.tensors.find(({ name }) => name === "model.tied")?.aliasOf).toBe(
      "model.0.weight",
    );
    expect(Object.fromEntries(checkpoint.castFrom)).toEqual({
      "model.0.weight": "f32",
      "model.0.bias": "f32",
      "model.nothing": "f32",
      "model.1.weight": "f32",
      "model.tied": "f32",
    });
    expect(await checkpoint.state()).toMatchObject({ history: new Float32Array([1.1]) });
    await checkpoint.close();
    await snapshot.close();
    await store.close();
  });

  gpuTest("TS-17 restoring casts back unasked, and reports it", async (gpu) => {
    const engine = await memoryEngine();
    const store = smallStore(gpu);
    fillStore(store, 1);
    const weights = await bytesOf(store, "model.0.weight");
    const moments = await contentsOf(store, "optimizer.");
    const storedDType = ({ name }: { name: string }): DType | undefined =>
      name === "model.0.weight" ? "f16" : undefined;
    const snapshot = new Snapshot(engine, { store }, { storedDType });
    await (await snapshot.save(1)).wait();
    fillStore(store, 2);
    const report = await snapshot.restore(1);
    const difference = { found: "f16 [20, 30]", expected: "f32 [20, 30]" };
    expect(report.cast).toEqual(
      ["model.0.weight", "model.tied"].map((name) => ({ name, ...difference })),
    );
    expect(await bytesOf(store, "model.0.weight")).toEqual(
      castBytes(castBytes(weights, "f32", "f16"), "f16", "f32"),
    );
    expect(await contentsOf(store, "optimizer.")).toEqual(moments);
    // A store that never had this dtype is cast only on request.
    const other = TensorStore.on(gpu);
    other.define("model", [{ name: "0.weight", dtype: "bf16", shape: [20, 30] }]);
    const elsewhere = new Snapshot(engine, { other });
    expect(await codeOf(elsewhere.restore(1, { only: ["model.0.weight"] }))).toBe("state_mismatch");
    const asked = await elsewhere.restore(1, { only: ["model.0.weight"], cast: true });
    expect(asked.cast.map(({ name }) => name)).toEqual(["model.0.weight"]);
    for (const each of [snapshot, elsewhere]) await each.close();
    for (const each of [store, other]) await each.close();
  });

  gpuTest(
    "TS-17 an unknown cast is refused before anything is saved, and the next save works",
    async (gpu) => {
      const engine = await memoryEngine();
      const store = smallStore(gpu);
      let wanted: DType | undefined = "u8";
      const snapshot = new Snapshot(engine, { store }, { storedDType: () => wanted });
      await expect(snapshot.save(1)).rejects.toThrow(
        'Cannot save "model.0.weight" as u8: it is f32, and only f32, f16 and bf16 are cast into each other',
      );
      expect(await engine.list()).toEqual([]);
      wanted = undefined;
      await (await snapshot.save(1)).wait();
      const checkpoint = await engine.load(1);
      expect(checkpoint.castFrom.size).toBe(0);
      await checkpoint.close();
      await snapshot.close();
      await store.close();
    },
  );

  gpuTest("TS-17 works without GPU memory for a copy, too", async (gpu) => {
    const engine = await memoryEngine();
    const store = smallStore(gpu);
    fillStore(store, 1);
    const storedDType = ({ dtype }: { dtype: DType }): DType | undefined =>
      dtype === "f32" ? "bf16" : undefined;
    const snapshot = new Snapshot(engine, { store }, { storedDType, memoryBudgetBytes: 0 });
    const weight = castBytes(await bytesOf(store, "model.1.weight"), "f32", "bf16");
    const pending = await snapshot.save(1);
    fillStore(store, 2);
    const { staged, total } = (await pending.wait(), pending.progress);
    expect(staged).toBe(total);
    expect((await saved(engine, 1, "model.1.weight")).bytes).toEqual(weight);
    await snapshot.close();
    await store.close();
  });
});

describe("casting a stream", () => {
  test("TS-17 gives the same bytes however the stream is cut", async () => {
    const from: TensorSpec[] = [
      { name: "a", dtype: "f32", shape: [3] },
      { name: "b", dtype: "f32", shape: [65] },
      { name: "none", dtype: "f32", shape: [0] },
      { name: "c", dtype: "bf16", shape: [129] },
      { name: "d", dtype: "u8", shape: [5] },
      { name: "e", dtype: "f32", shape: [100_000] },
      { name: "tied", dtype: "f32", shape: [65], aliasOf: "b" },
      { name: "f", dtype: "f32", shape: [64] },
    ];
    const wanted: Record<string, DType> = { b: "f16", none: "bf16", c: "f32", e: "bf16", f: "f16" };
    const { tensors: to } = planCasts(from, ({ name }) => wanted[name]);
    const random = counterRandom(3);
    const raw: Uint8Array[] = [];
    const expected: Uint8Array[] = [];
    for (const [index, { dtype, shape, aliasOf }] of from.entries()) {
      if (aliasOf !== undefined) continue;
      const bytes = random((shape[0] ?? 0) * { f32: 4, bf16: 2, u8: 1 }[dtype as "f32" | "bf16" | "u8"]);
      raw.push(padded(bytes));
      const stored = to[index]?.dtype ?? dtype;
      expected.push(padded(stored === dtype ? bytes : castBytes(bytes, dtype as "f32", stored as "f32")));
    }
    const source = concat(raw);
    for (const pieceBytes of [4, 12, 256, 1028, 65536, source.byteLength]) {
      const given = new BytesSink();
      const sink = castingSink(given, from, to);
      for (let at = 0; at < source.byteLength; at += pieceBytes) {
        await sink.write(source.subarray(at, at + pieceBytes));
      }
      expect(given.toBytes()).toEqual(concat(expected));
    }
  });
});

function padded(bytes: Uint8Array): Uint8Array {
  const whole = new Uint8Array(Math.ceil(bytes.byteLength / 256) * 256);
  whole.set(bytes);
  return whole;
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, { byteLength }) => sum + byteLength, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.byteLength;
  }
  return whole;
}
