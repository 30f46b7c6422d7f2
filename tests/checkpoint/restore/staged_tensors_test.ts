import { describe, expect } from "bun:test";
import { crc32 } from "../../../src/base/crc32/crc32.ts";
import { ContainerReader } from "../../../src/container/read/container_reader.ts";
import { type ByteSource, bytesSource } from "../../../src/container/source.ts";
import type { GpuDevice } from "../../../src/gpu/gpu_device.ts";
import { HostTensor } from "../../../src/tensor/host_tensor.ts";
import { TensorStore } from "../../../src/tensor/tensor_store.ts";
import { forged, poke } from "../../container/forge.ts";
import { gpuTest, ownGpuTest } from "../../helpers/gpu.ts";
import { hookedDevice } from "../../helpers/hooked_device.ts";
import { refuseBuffers } from "../../helpers/refuse_buffers.ts";
import { thrownBy } from "../../helpers/thrown.ts";
import { containerOf } from "../container_fixture.ts";
import { fillStore } from "../fixtures.ts";
import { loadInto } from "../load_into.ts";

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

async function checksumsOf(store: TensorStore): Promise<Record<string, number>> {
  const read = await store.read(store.tensors().map(({ name }) => name));
  return Object.fromEntries([...read].map(([name, { bytes }]) => [name, crc32(bytes)]));
}

/** Has a full GPU or one with room, by name. */
const ROOMS = { "the GPU has room": false, "the GPU is full": true };

describe("a load of tensors", () => {
  for (const [room, isFull] of Object.entries(ROOMS)) {
    ownGpuTest(`reads the file once, and leaves no memory behind, when ${room}`, async (gpu) => {
      const store = storeOf(gpu);
      if (isFull) refuseBuffers(gpu.device, /^load of /);
      const { buffers } = gpu.counters;
      const source = counted(await fileBytes());
      const reader = await ContainerReader.open(source);
      source.readBytes = 0;
      await loadInto(store, reader);
      const stored = reader.chunks.reduce((sum, { storedLength }) => sum + storedLength, 0);
      expect(Math.round(source.readBytes / stored)).toBe(1);
      for (const name of NAMES) {
        expect((await checksumsOf(store))[name]).toBe(crc32(await reader.read(name)));
      }
      expect(gpu.counters.buffers).toBe(buffers);
      await store.close();
    });

    ownGpuTest(
      `changes nothing when the last chunk is damaged, and names all that is: ${room}`,
      async (gpu) => {
        const store = storeOf(gpu);
        const before = await checksumsOf(store);
        if (isFull) refuseBuffers(gpu.device, /^load of /);
        const { buffers } = gpu.counters;
        const bytes = await damaged(await damaged(await fileBytes(), "model.c"), "model.b");
        const reader = await ContainerReader.open(bytesSource(bytes));
        const error = await thrownBy(() => loadInto(store, reader, { from: "it" }));
        expect(error.code).toBe("checksum_mismatch");
        expect(error.message).toContain('2 chunks are damaged, of "model.b", "model.c"');
        expect(await checksumsOf(store)).toEqual(before);
        expect(gpu.counters.buffers).toBe(buffers);
        await store.close();
      },
    );
  }

  gpuTest("refuses bytes between tensors that are not zero", async (gpu) => {
    const bytes = forged(await containerOf({ "model.w": HostTensor.from([1, 2]) }), (parts) => {
      parts.data[200] = 1;
      // The columns of a table of one chunk.
      for (const column of [16, 20]) poke(parts.chunks, column, 4, crc32(parts.data.subarray(0, 256)));
    });
    const store = TensorStore.on(gpu);
    store.define("model", [{ name: "w", dtype: "f32", shape: [2] }]);
    fillStore(store, 7);
    const before = await checksumsOf(store);
    const reader = await ContainerReader.open(bytesSource(bytes));
    const error = await thrownBy(() => loadInto(store, reader));
    expect(error.message).toContain("The raw bytes 8 to 256, between two tensors, are not zero");
    expect(await checksumsOf(store)).toEqual(before);
    await store.close();
  });

  gpuTest("changes nothing when it is stopped in the middle, or before the last moment", async (gpu) => {
    const store = storeOf(gpu);
    const before = await checksumsOf(store);
    const bytes = await fileBytes();
    for (const stopAt of [MiB, 2 * MiB, 3 * MiB]) {
      const reader = await ContainerReader.open(bytesSource(bytes));
      const abort = new AbortController();
      const reason = new Error("enough");
      const error = await thrownBy(() =>
        loadInto(store, reader, {
          signal: abort.signal,
          onProgress: ({ done }) => {
            if (done === stopAt) abort.abort(reason);
          },
        })
      );
      expect(error).toBe(reason);
      expect(await checksumsOf(store)).toEqual(before);
    }
    await store.close();
  });

  ownGpuTest("changes the store in one submit, which comes last", async (gpu) => {
    const calls: string[] = [];
    const { GpuDevice } = await import("../../../src/gpu/gpu_device.ts");
    const hooked = hookedDevice(gpu.device, ({ op, phase }) => phase === "called" && calls.push(op));
    const other = await GpuDevice.open({ device: hooked });
    const store = storeOf(other);
    const reader = await ContainerReader.open(bytesSource(await fileBytes()));
    const { changesOf } = other;
    const slabs = store.groups().flatMap((group) => group.slabs.map(({ buffer }) => buffer));
    const changes = changesOf.call(other, slabs);
    calls.length = 0;
    await loadInto(store, reader);
    expect(changesOf.call(other, slabs) - changes).toBe(2);
    expect(calls.at(-1)).toBe("submit");
    await store.close();
    await other.close();
  });
});
