import { Buffer } from "node:buffer";
import { describe, expect, test } from "bun:test";
import { byteSizeOf, type DType } from "../../src/base/dtype.ts";
import { CairnError } from "../../src/base/errors.ts";
import { FileMaker } from "../../src/checkpoint/engine/file_maker.ts";
import { type CheckpointState, FrozenCheckpoint } from "../../src/checkpoint/capture/frozen_checkpoint.ts";
import { type GpuEncoding, MeasuredGpuEncoding } from "../../src/gpu_codec/gpu_encoding.ts";
import type { CheckpointSource } from "../../src/checkpoint/capture/checkpoint_source.ts";
import { PreparedCheckpoint } from "../../src/checkpoint/engine/prepared_checkpoint.ts";
import { StoreCopy } from "../../src/checkpoint/capture/store_copy.ts";
import { writeCheckpoint } from "../../src/checkpoint/file/write_checkpoint.ts";
import { ContainerReader } from "../../src/container/read/container_reader.ts";
import type { Coding } from "../../src/container/write/coding.ts";
import type { WriteReport } from "../../src/container/write/container_writer.ts";
import { BytesSink, bytesSource } from "../../src/container/source.ts";
import { GpuDevice } from "../../src/gpu/gpu_device.ts";
import { measureEncodingRates } from "../../src/gpu_codec/encoding_rates.ts";
import { MemoryStorage } from "../../src/storage/memory_storage.ts";
import type { Storage } from "../../src/storage/storage.ts";
import { HostTensor } from "../../src/tensor/host_tensor.ts";
import { TensorStore } from "../../src/tensor/tensor_store.ts";
import { ALL_DTYPES, asBytes, bytesOf, FILE_ID, weightsOf } from "../container/samples.ts";
import { FakeDevice } from "../helpers/fake_device.ts";
import { ownGpuTest } from "../helpers/gpu.ts";
import { thrownBy } from "../helpers/thrown.ts";
import { contentsOf, fileNames, fillStore, memoryEngine, RUN_ID } from "../checkpoint/fixtures.ts";

const CHUNK_BYTES = 4096;

/** Has the GPU encode all it can, whatever that costs. */
const ALWAYS: GpuEncoding = {
  shareOf: () => Promise.resolve({ choices: new Set(["levels", "fast"] as const), leastBytes: 0 }),
  wrote: () => {},
};
const NONE = { choices: new Set() };
const LEVELS = { codec: "levels", chunkBytes: CHUNK_BYTES } as const;

/** Memory that the host can map is never encoded by the GPU: here the tests' adapter has some of its own. */
function asRealGpu(gpu: GpuDevice): GpuDevice {
  return Object.defineProperty(gpu, "isCpuAdapter", { value: false });
}

/**
 * Weights over several slabs, sizes that leave gaps and chunks that are cut short, tied and empty tensors, and of
 * `dtypes` two tensors each.
 */
function mixedStore(gpu: GpuDevice, dtypes: readonly DType[] = ["u8"]): TensorStore {
  const store = TensorStore.on(gpu, { slabBytes: 10 * CHUNK_BYTES });
  store.define("model", [
    { name: "weight", dtype: "f32", shape: [5 * CHUNK_BYTES / 4 + 192] },
    { name: "noise", dtype: "f32", shape: [CHUNK_BYTES / 2] },
    { name: "bias", dtype: "f32", shape: [30] },
    { name: "tied", dtype: "f32", shape: [30], aliasOf: "bias" },
    { name: "nothing", dtype: "f32", shape: [0, 4] },
    { name: "frozen", dtype: "f32", shape: [CHUNK_BYTES] },
    { name: "more", dtype: "f32", shape: [4 * CHUNK_BYTES / 4] },
  ]);
  store.mirror("optimizer.m", "model");
  store.define(
    "every",
    dtypes.flatMap((dtype) => [
      { name: dtype, dtype, shape: [2 * CHUNK_BYTES / byteSizeOf(dtype)] },
      { name: `odd ${dtype}`, dtype, shape: [7] },
    ]),
  );
  // What the host adds is of the same dtype: the last chunk of the store goes on with it.
  store.define("last", [{ name: "weight", dtype: "f32", shape: [CHUNK_BYTES / 4 + 64] }]);
  store.write(Object.fromEntries(
    store.tensors().filter(({ aliasOf }) => aliasOf === undefined).map((tensor, seed) => {
      const { name, dtype, shape, byteLength } = tensor;
      const isNoise = name.endsWith("noise");
      const bytes = isNoise
        ? bytesOf(byteLength, seed)
        : asBytes(weightsOf(Math.ceil(byteLength / 4), seed)).slice(0, byteLength);
      if (dtype === "bool") bytes.forEach((byte, index) => bytes[index] = byte & 1);
      return [name, HostTensor.fromBytes(bytes, dtype, shape)];
    }),
  ));
  return store;
}

const STATE = { step: 7, history: new Float32Array(300).map((_, index) => index / 7) };

/** Counts what the GPU encodes, and calls `onEncoded` before it is written. */
function counting(
  frozen: FrozenCheckpoint,
  onEncoded: (count: number) => unknown = () => {},
): { source: CheckpointSource; counts: { levels: number; raw: number } } {
  const counts = { levels: 0, raw: 0 };
  const { tensors, manifest, encodingGpu } = frozen;
  if (encodingGpu === undefined) throw new Error("expected tensors on a GPU");
  const source: CheckpointSource = {
    tensors,
    manifest,
    encodingGpu,
    writeTo: (sink, signal, encoded) =>
      frozen.writeTo(
        sink,
        signal,
        encoded && {
          ...encoded,
          writeEncoded: async (chunk) => {
            counts[chunk.codec === "raw" ? "raw" : "levels"]++;
            await onEncoded(counts.levels + counts.raw);
            await encoded.writeEncoded(chunk);
          },
        },
      ),
    assertAlive: () => frozen.assertAlive(),
  };
  return { source, counts };
}

async function fileOf(
  source: CheckpointSource,
  coding: Coding = {},
  gpuEncoding?: GpuEncoding,
): Promise<{ bytes: Uint8Array; report: WriteReport }> {
  const sink = new BytesSink();
  const report = await writeCheckpoint(sink, source, {
    fileId: FILE_ID,
    provenance: {},
    coding: { ...LEVELS, ...coding },
    gpuEncoding,
  });
  return { bytes: sink.toBytes(), report };
}

/** Writes the files of a checkpoint `a`, short of committing them. */
function prepare(
  storage: Storage,
  source: CheckpointSource,
  signal?: AbortSignal,
): Promise<PreparedCheckpoint> {
  return PreparedCheckpoint.write(storage, "a.cairn", source, {
    newFiles: Object.assign(new FileMaker({ ...LEVELS, runId: RUN_ID }), { gpuEncoding: ALWAYS }),
    overwrite: false,
    parts: [],
    provenance: { runId: RUN_ID, tag: "a" },
    signal,
  });
}

/** Runs `work` on a frozen checkpoint, and frees everything. */
async function frozenOf<T>(
  state: CheckpointState,
  work: (frozen: FrozenCheckpoint) => Promise<T>,
  memoryBudgetBytes: number = Infinity,
): Promise<T> {
  const copy = new StoreCopy(state.store as TensorStore, { memoryBudgetBytes });
  const frozen = FrozenCheckpoint.of(state, copy);
  try {
    return await work(frozen);
  } finally {
    frozen.release();
    copy.close();
  }
}

/** Both files have to be the same; gives how many chunks the GPU encoded. */
async function sameFiles(
  frozen: FrozenCheckpoint,
  coding: Coding = {},
): Promise<{ counts: { levels: number; raw: number }; report: WriteReport }> {
  const { source, counts } = counting(frozen);
  const onGpu = await fileOf(source, coding, ALWAYS);
  const onCpu = await fileOf(frozen, coding);
  expect(Buffer.compare(onGpu.bytes, onCpu.bytes)).toBe(0);
  expect(onGpu.report).toEqual(onCpu.report);
  return { counts, report: onGpu.report };
}

describe("a save that the GPU encodes", () => {
  ownGpuTest("is the CPU's file, byte by byte, and is restored to the last bit", async (gpu) => {
    const store = mixedStore(asRealGpu(gpu), ALL_DTYPES);
    const saved = await contentsOf(store);
    const buffers = gpu.counters.buffers;
    await frozenOf({ store, state: STATE }, async (frozen) => {
      const { counts, report } = await sameFiles(frozen);
      // Most of it; of gaps, slab ends and what the host has the CPU does the encoding.
      expect(counts.levels).toBeGreaterThan(25);
      expect(counts.raw).toBeGreaterThan(0);
      expect(report.codecs.levels ?? 0).toBeGreaterThan(counts.levels);
      const engine = await memoryEngine();
      const prepared = await prepare(engine.storage, frozen);
      await prepared.commit({ verify: true });
      fillStore(store, 1);
      const checkpoint = await engine.load("a");
      await checkpoint.loadInto(store);
      expect(await checkpoint.state()).toEqual(STATE);
      await checkpoint.close();
      expect(await contentsOf(store)).toEqual(saved);
    });
    expect(gpu.counters.buffers).toBe(buffers);
    await store.close();
  });

  ownGpuTest("leaves out what is excluded, and what was asked for otherwise", async (gpu) => {
    const store = mixedStore(asRealGpu(gpu));
    const state = { store, state: STATE, excludedTensors: ["model.frozen", "optimizer.m.bias"] };
    await frozenOf(state, async (frozen) => {
      const all = (await sameFiles(frozen)).counts;
      // Of `fast` the bytes are another matter, since the CPU has another codec for it.
      const tensorCodecs = { "model.weight": "balanced", "model.more": "raw", "every.u8": "levels" } as const;
      const some = await sameFiles(frozen, { tensorCodecs });
      expect(some.counts.levels).toBeLessThan(all.levels - 6);
      expect(some.counts.levels).toBeGreaterThan(0);
      expect(some.report.codecs.planes).toBeGreaterThan(3);
    });
    await frozenOf(
      { ...state, storedDType: ({ dtype }) => dtype === "f32" ? "bf16" : undefined },
      async (frozen) => {
        expect(frozen.encodingGpu).toBeUndefined();
        const nothing = (): Promise<void> =>
          Promise.reject(new Error("a chunk was encoded as it is in memory"));
        const cuts = [{ rawOffset: 0, rawLength: 1024, dtype: "f32", isForGpu: true }] as const;
        await frozen.writeTo(new BytesSink(), undefined, { cuts, leastBytes: 0, writeEncoded: nothing });
      },
    );
    await frozenOf({ store }, async (frozen) => {
      const { source, counts } = counting(frozen);
      const { bytes } = await fileOf(source, { codec: undefined, mode: "fast" }, ALWAYS);
      expect(counts.levels).toBeGreaterThan(10);
      const reader = await ContainerReader.open(bytesSource(bytes));
      expect(await reader.verify()).toEqual({ ok: true, damaged: [] });
    });
    await store.close();
  });

  ownGpuTest("streams what there is no memory for, and encodes the copy of the rest", async (gpu) => {
    const store = mixedStore(asRealGpu(gpu));
    const all = await frozenOf({ store }, (frozen) => sameFiles(frozen));
    const { bytes } = store.stats();
    for (const budget of [0, bytes / 2]) {
      await frozenOf({ store }, async (frozen) => {
        const { streamedBytes } = await frozen.staging();
        expect(streamedBytes).toBeGreaterThanOrEqual(bytes - budget);
        const { counts } = await sameFiles(frozen);
        expect(counts.levels).toBeLessThan(all.counts.levels);
        expect(counts.levels > 0).toBe(budget > 0);
      }, budget);
    }
    await store.close();
  });

  ownGpuTest("encodes no more than there is memory for", async (gpu) => {
    const store = mixedStore(asRealGpu(gpu));
    const createBuffer = gpu.createBuffer.bind(gpu);
    gpu.createBuffer = (label, ...rest) => {
      if (label === "levels stored") throw new CairnError("out_of_memory", "the GPU is full");
      return createBuffer(label, ...rest);
    };
    await frozenOf({ store, state: STATE }, async (frozen) => {
      expect((await sameFiles(frozen)).counts).toEqual({ levels: 0, raw: 0 });
    });
    await store.close();
  });

  ownGpuTest(
    "fails with what writing an encoded chunk fails with, though that is a lack of memory",
    async (gpu) => {
      const store = mixedStore(asRealGpu(gpu));
      const storage = new MemoryStorage();
      await frozenOf({ store }, async (frozen) => {
        const { source, counts } = counting(frozen, (count) => {
          if (count === 3) throw new CairnError("out_of_memory", "the host is full");
        });
        expect((await thrownBy(() => prepare(storage, source))).message).toBe("the host is full");
        expect(counts.levels + counts.raw).toBe(3);
      });
      expect(await fileNames(storage)).toEqual([]);
      await store.close();
    },
  );

  ownGpuTest("is refused when the canary comes back wrong, and nothing is left of it", async (gpu) => {
    const store = mixedStore(asRealGpu(gpu));
    let canary: GPUBuffer | undefined;
    const createBuffer = gpu.createBuffer.bind(gpu);
    gpu.createBuffer = (label, ...rest) => {
      const buffer = createBuffer(label, ...rest);
      if (label === "shadow of canary") canary = buffer;
      return buffer;
    };
    const storage = new MemoryStorage();
    await frozenOf({ store }, async (frozen) => {
      gpu.write(canary as GPUBuffer, 8, new Uint8Array(4));
      const error = await thrownBy(() => prepare(storage, frozen));
      expect([error.code, error.message.includes("canary")]).toEqual(["gpu_validation", true]);
    });
    expect(await fileNames(storage)).toEqual([]);
    await store.close();
  });

  ownGpuTest("is aborted in the middle, and the next one is complete", async (gpu) => {
    const store = mixedStore(asRealGpu(gpu));
    const buffers = gpu.counters.buffers;
    const storage = new MemoryStorage();
    await frozenOf({ store }, async (frozen) => {
      const abort = new AbortController();
      const { source, counts } = counting(
        frozen,
        (count) => count === 12 && abort.abort(new Error("enough")),
      );
      expect((await thrownBy(() => prepare(storage, source, abort.signal))).message).toBe("enough");
      expect(counts.levels + counts.raw).toBe(12);
      expect(await fileNames(storage)).toEqual([]);
      expect((await sameFiles(frozen)).counts.levels).toBeGreaterThan(12);
    });
    expect(gpu.counters.buffers).toBe(buffers);
    await store.close();
  });

  ownGpuTest("fails when the device is lost in the middle, and nothing is left of it", async (gpu) => {
    const store = mixedStore(asRealGpu(gpu));
    const storage = new MemoryStorage();
    await frozenOf({ store }, async (frozen) => {
      const { source } = counting(frozen, (count) => {
        if (count === 12) gpu.device.destroy();
      });
      expect((await thrownBy(() => prepare(storage, source))).code).toBe("device_lost");
    });
    expect(await fileNames(storage)).toEqual([]);
  });
});

describe("MeasuredGpuEncoding", () => {
  ownGpuTest("measures no CPU adapter, and no other choices than two", async (gpu) => {
    const encoding = new MeasuredGpuEncoding();
    const { submits } = gpu.counters;
    if (gpu.isCpuAdapter) {
      expect(await encoding.shareOf(gpu, new Set(["levels", "fast"]))).toMatchObject(NONE);
    }
    const others = new Set(["balanced", "small", "raw", "planes", "zstd", "deflate"] as const);
    expect(await encoding.shareOf(asRealGpu(gpu), others)).toMatchObject(NONE);
    expect(gpu.counters.submits).toBe(submits);
  });

  ownGpuTest("measures a device once, and leaves to the CPU what it does faster", async (gpu) => {
    const isCpu = gpu.isCpuAdapter;
    const store = mixedStore(asRealGpu(gpu));
    const buffers = gpu.counters.buffers;
    const gpuEncoding = new MeasuredGpuEncoding((gpu, options) =>
      measureEncodingRates(gpu, { ...options, byteLength: 1 << 19 })
    );
    const coding = { codec: undefined, mode: "fast" } as const;
    const rates: unknown[] = [];
    for (let round = 0; round < 2; round++) {
      // Without room for a copy: what is measured is no change of the tensors.
      await frozenOf({ store }, async (frozen) => {
        const { report } = await fileOf(frozen, coding, gpuEncoding);
        expect(report.codecs.levels).toBeUndefined();
        rates.push(report.rates?.gpu);
      }, 0);
    }
    expect(rates[0]).toMatchObject({ gpuStoredPerRaw: expect.any(Number), readBack: expect.any(Number) });
    expect(rates[1]).toEqual(rates[0]);
    expect(gpu.counters.buffers).toBe(buffers);
    const { choices } = await gpuEncoding.shareOf(gpu, new Set(["fast"]));
    if (isCpu) expect(choices.size).toBe(0);
    await store.close();
  });

  ownGpuTest("goes by the rates: of `fast` by those of the last file, too", async (gpu) => {
    asRealGpu(gpu);
    const GB = 1e9;
    let measured = 0;
    const encoding = new MeasuredGpuEncoding(async (_, { encodeOnCpu }) => {
      await encodeOnCpu(asBytes(weightsOf(300_000, 1)));
      measured++;
      return { gpuEncode: 80 * GB, readBack: 20 * GB, cpuEncode: 5 * GB, gpuStoredPerRaw: 0.84 };
    });
    const chosen = async (...choices: ("levels" | "fast" | "balanced")[]): Promise<string> =>
      [...(await encoding.shareOf(gpu, new Set(choices))).choices].join();
    expect(await chosen("levels", "fast", "balanced")).toBe("levels");
    encoding.wrote(6 * GB);
    expect(await chosen("levels", "fast", "balanced")).toBe("levels,fast");
    expect(await chosen("fast")).toBe("fast");
    encoding.wrote(1 * GB);
    expect(await chosen("fast", "balanced")).toBe("");
    expect(measured).toBe(2);
  });

  test("does without a GPU that has no memory to be measured, and leaves it as it was", async () => {
    const fake = new FakeDevice();
    const gpu = await GpuDevice.open({ device: fake.device });
    fake.allocate = () => "out-of-memory";
    const share = await new MeasuredGpuEncoding().shareOf(gpu, new Set(["levels"]));
    expect([share.choices.size, share.rates]).toEqual([0, undefined]);
    await gpu.idle();
    expect(gpu.counters.buffers).toBe(0);
    await gpu.close();
  });

  ownGpuTest("does not do without the device", async (gpu) => {
    asRealGpu(gpu).createBuffer = () => {
      gpu.device.destroy();
      throw new CairnError("gpu_validation", "no such device");
    };
    const gone = new MeasuredGpuEncoding().shareOf(gpu, new Set(["fast"]));
    expect((await thrownBy(() => gone)).code).toBe("device_lost");
  });
});
