import { describe, expect } from "bun:test";
import { crc32 } from "../../src/base/crc32.ts";
import { loadInto } from "../../src/checkpoint/load_into.ts";
import { StoreCopy } from "../../src/checkpoint/store_copy.ts";
import { undoBy } from "../../src/checkpoint/undo.ts";
import { ContainerReader } from "../../src/container/read/container_reader.ts";
import { type ByteSource, bytesSource } from "../../src/container/source.ts";
import type { GpuDevice } from "../../src/gpu/gpu_device.ts";
import { HostTensor } from "../../src/tensor/host_tensor.ts";
import { TensorStore } from "../../src/tensor/tensor_store.ts";
import { gpuTest } from "../helpers/gpu.ts";
import { thrownBy } from "../helpers/thrown.ts";
import { forged, poke } from "../container/forge.ts";
import { containerOf } from "./container_fixture.ts";
import { contentsOf, fillStore } from "./fixtures.ts";

const MiB = 1024 * 1024;
const NAMES = ["model.a", "model.b", "model.c"];

/** A store of three MiB in two slabs, with something in it. */
function storeOf(gpu: GpuDevice): TensorStore {
  const store = TensorStore.on(gpu, { slabBytes: 2 * MiB });
  store.define("model", ["a", "b", "c"].map((name) => ({ name, dtype: "f32" as const, shape: [MiB / 4] })));
  fillStore(store, 7);
  return store;
}

/** A file with other values for it, a chunk each. */
async function fileBytes(): Promise<Uint8Array> {
  const values = new Float32Array(MiB / 4).map((_, index) => Math.sin(index));
  return await containerOf(
    Object.fromEntries(NAMES.map((name, index) => [name, HostTensor.from(values.map((v) => v + index))])),
  );
}

/** A source that counts what is read from it. */
function counted(bytes: Uint8Array): ByteSource & { readBytes: number } {
  const source = bytesSource(bytes);
  const counting = {
    byteLength: source.byteLength,
    readBytes: 0,
    read: (offset: number, into: Uint8Array) => {
      counting.readBytes += into.byteLength;
      return source.read(offset, into);
    },
  };
  return counting;
}

/** The file with one bit of a tensor's last chunk flipped. */
async function damaged(bytes: Uint8Array, name: string): Promise<Uint8Array> {
  const reader = await ContainerReader.open(bytesSource(bytes));
  const { rawOffset, byteLength } = reader.tensor(name);
  const chunk = reader.chunks.findLast((each) => each.rawOffset < rawOffset + byteLength);
  const copy = bytes.slice();
  const at = (chunk?.storedOffset ?? 0) + 100;
  copy[at] = (copy[at] ?? 0) ^ 1;
  return copy;
}

describe("a load that can be undone", () => {
  gpuTest(
    "reads the file once, and twice without a copy, with one in use, and with no room for one",
    async (gpu) => {
      const bytes = await fileBytes();
      const store = storeOf(gpu);
      const copy = new StoreCopy(store);
      const small = new StoreCopy(store, { memoryBudgetBytes: MiB });
      const used = new StoreCopy(store);
      const moment = used.take();
      const results = new Set<string>();
      for (const [undo, times] of [[copy, 1], [undefined, 2], [used, 2], [small, 2]] as const) {
        fillStore(store, 7);
        const source = counted(bytes);
        const reader = await ContainerReader.open(source);
        source.readBytes = 0;
        await loadInto(store, reader, { undo: undo && undoBy(store, undo) });
        const stored = reader.chunks.reduce((sum, { storedLength }) => sum + storedLength, 0);
        expect(Math.round(source.readBytes / stored)).toBe(times);
        results.add(JSON.stringify(await contentsOf(store)));
      }
      expect(results.size).toBe(1);
      expect(copy.isTaken).toBe(false);
      moment.release();
      for (const each of [copy, small, used]) each.close();
      await store.close();
    },
  );

  gpuTest("puts everything back when the last chunk is damaged, and names all that is", async (gpu) => {
    const store = storeOf(gpu);
    const copy = new StoreCopy(store);
    const before = await contentsOf(store);
    const bytes = await damaged(await damaged(await fileBytes(), "model.c"), "model.b");
    const reader = await ContainerReader.open(bytesSource(bytes));
    const error = await thrownBy(() => loadInto(store, reader, { undo: undoBy(store, copy), from: "it" }));
    expect(error.code).toBe("checksum_mismatch");
    expect(error.message).toContain('2 chunks are damaged, of "model.b", "model.c"');
    expect(await contentsOf(store)).toEqual(before);
    expect(copy.isTaken).toBe(false);
    copy.close();
    await store.close();
  });

  gpuTest("refuses bytes between tensors that are not zero, as a load that reads twice does", async (gpu) => {
    const bytes = forged(await containerOf({ "model.w": HostTensor.from([1, 2]) }), (parts) => {
      parts.data[200] = 1;
      // The columns of a table of one chunk.
      for (const column of [16, 20]) poke(parts.chunks, column, 4, crc32(parts.data.subarray(0, 256)));
    });
    const store = TensorStore.on(gpu);
    store.define("model", [{ name: "w", dtype: "f32", shape: [2] }]);
    fillStore(store, 7);
    const before = await contentsOf(store);
    const copy = new StoreCopy(store);
    for (const undo of [undefined, undoBy(store, copy)]) {
      const reader = await ContainerReader.open(bytesSource(bytes));
      const error = await thrownBy(() => loadInto(store, reader, { undo }));
      expect(error.message).toContain("The raw bytes 8 to 256, between two tensors, are not zero");
      expect(await contentsOf(store)).toEqual(before);
    }
    copy.close();
    await store.close();
  });

  gpuTest("puts everything back when it is stopped in the middle", async (gpu) => {
    const store = storeOf(gpu);
    const copy = new StoreCopy(store);
    const before = await contentsOf(store);
    const reader = await ContainerReader.open(bytesSource(await fileBytes()));
    const abort = new AbortController();
    const reason = new Error("enough");
    const error = await thrownBy(() =>
      loadInto(store, reader, {
        undo: undoBy(store, copy),
        signal: abort.signal,
        onProgress: ({ done }) => {
          if (done === 2 * MiB) abort.abort(reason);
        },
      })
    );
    expect(error).toBe(reason);
    expect(await contentsOf(store)).toEqual(before);
    copy.close();
    await store.close();
  });

  gpuTest("puts back every tensor that the work changed, whatever it failed with", async (gpu) => {
    const store = storeOf(gpu);
    const copy = new StoreCopy(store);
    const before = await contentsOf(store);
    const failure = new Error("no");
    const error = await thrownBy(() =>
      undoBy(store, copy).attempt(() => {
        fillStore(store, 99);
        return Promise.reject(failure);
      })
    );
    expect(error).toBe(failure);
    expect(await contentsOf(store)).toEqual(before);
    expect(await undoBy(store, copy).attempt(() => Promise.resolve(fillStore(store, 99)))).toBe(true);
    expect(await contentsOf(store)).not.toEqual(before);
    copy.close();
    await store.close();
  });
});
