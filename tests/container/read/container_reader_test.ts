import { describe, expect, test } from "bun:test";
import type { CairnError } from "../../../src/base/errors.ts";
import { ContainerReader } from "../../../src/container/read/container_reader.ts";
import { type ByteSource, bytesSource } from "../../../src/container/source.ts";
import { TensorRef } from "../../../src/container/format/state_tree.ts";
import { writeContainer } from "../../../src/container/write/write_container.ts";
import { forged, poke } from "../forge.ts";
import { thrownBy } from "../../helpers/thrown.ts";
import {
  ALL_DTYPES,
  asBytes,
  bytesOf,
  FILE_ID,
  manifestOf,
  sampleManifest,
  sampleTensors,
  type Tensor,
  tensorOf,
  weightsOf,
  withoutBuiltins,
} from "../samples.ts";

type Codec = "raw" | "deflate";

async function opened(tensors: Tensor[], codec: Codec, chunkBytes: number): Promise<ContainerReader> {
  const file = await writeContainer({
    tensors,
    codec,
    chunkBytes,
    fileId: FILE_ID,
    manifest: manifestOf(null),
  });
  return await ContainerReader.open(bytesSource(file));
}

async function expectAll(reader: ContainerReader, tensors: readonly Tensor[]): Promise<void> {
  for (const { spec, bytes } of tensors) {
    const { name, dtype, shape, byteLength } = reader.tensor(spec.name);
    expect({ name, dtype, shape, byteLength }).toEqual({
      name: spec.name,
      dtype: spec.dtype,
      shape: [...spec.shape],
      byteLength: bytes.byteLength,
    });
    expect(Buffer.compare(await reader.read(spec.name), bytes)).toBe(0);
  }
  expect(await reader.verify()).toEqual({ ok: true, damaged: [] });
}

/** A source that counts reads. */
function counting(bytes: Uint8Array): ByteSource & { reads: [number, number][] } {
  const inner = bytesSource(bytes);
  const reads: [number, number][] = [];
  return {
    byteLength: bytes.byteLength,
    reads,
    read(offset, into) {
      reads.push([offset, into.byteLength]);
      return inner.read(offset, into);
    },
  };
}

for (const codec of ["raw", "deflate"] as const) {
  describe(`a container of the codec ${codec}`, () => {
    test("round-trips every dtype", async () => {
      const tensors = ALL_DTYPES.map((dtype, i) => tensorOf(`t.${dtype}`, dtype, [3, 5, 7], i));
      await expectAll(await opened(tensors, codec, 1024), tensors);
    });

    test("round-trips every bit of NaN payloads, denormals and -0", async () => {
      const bits = Uint32Array.of(
        0x7fc00001,
        0xffc12345,
        0x7f800001,
        0x80000000,
        0x00000001,
        0xff800000,
        0xffffffff,
      );
      const tensors = [{ spec: { name: "nan", dtype: "f32" as const, shape: [7] }, bytes: asBytes(bits) }];
      await expectAll(await opened(tensors, codec, 256), tensors);
    });

    test("round-trips scalars, empty tensors and ranks up to 8", async () => {
      const tensors = [
        tensorOf("empty first", "f64", [0], 1),
        tensorOf("scalar", "f32", [], 2),
        tensorOf("rank 8", "i16", [1, 2, 1, 2, 1, 2, 1, 3], 3),
        tensorOf("no columns", "bf16", [3, 0, 5], 4),
        tensorOf("one", "u8", [1], 5),
        tensorOf("empty last", "i32", [0, 0], 6),
      ];
      await expectAll(await opened(tensors, codec, 512), tensors);
      await expectAll(await opened(tensors.slice(0, 1), codec, 512), tensors.slice(0, 1));
    });

    test("round-trips tensors that span many chunks and chunks that hold many tensors", async () => {
      const next = weightsOf(40_000, 1);
      const tensors: Tensor[] = [
        { spec: { name: "large", dtype: "f32", shape: [200, 200] }, bytes: asBytes(next) },
        ...Array.from({ length: 50 }, (_, i) => tensorOf(`small.${i}`, i % 7 === 0 ? "f16" : "f32", [i], i)),
        tensorOf("noise", "f32", [3001], 9),
      ];
      for (const chunkBytes of [256, 1024, 1 << 20]) {
        await expectAll(await opened(tensors, codec, chunkBytes), tensors);
      }
    });

    test("an alias gives the bytes of its target and takes none of its own", async () => {
      const tensors = sampleTensors();
      const reader = await opened(tensors, codec, 256);
      expect(await reader.read("tied")).toEqual(await reader.read("weight"));
      expect(reader.tensor("tied").aliasOf).toBe("weight");
      expect(reader.tensor("tied").rawOffset).toBe(reader.tensor("weight").rawOffset);
      expect(reader.rawByteLength).toBe(768);
    });

    test("names in any language come back", async () => {
      const names = ["größe", "重み.0", "😀", "a b", "constructor", "x".repeat(1024)];
      const tensors = names.map((name, i) => tensorOf(name, "u8", [i + 1], i));
      const reader = await opened(tensors, codec, 256);
      expect(reader.tensors.map((tensor) => tensor.name)).toEqual(names);
      await expectAll(reader, tensors);
    });

    test("readRange gives any part of the raw space, and refuses what is outside", async () => {
      const raw = bytesOf(5000, 3).map((byte) => byte & 3);
      const reader = await opened(
        [{ spec: { name: "a", dtype: "u8", shape: [5000] }, bytes: raw }],
        codec,
        1024,
      );
      for (
        const [at, length] of [[0, 0], [0, 1], [1023, 2], [1000, 3000], [0, 5000], [4999, 1], [
          1024,
          1024,
        ]] as const
      ) {
        expect(await reader.readRange(at, length)).toEqual(raw.slice(at, at + length));
      }
      expect(await reader.readRange(5000, 120)).toEqual(new Uint8Array(120));
      expect(await reader.readRange(5120, 0)).toEqual(new Uint8Array(0));
      for (
        const [at, length] of [[-1, 1], [0, 5121], [5120, 1], [0.5, 1], [0, -1], [NaN, 1], [
          2 ** 53,
          0,
        ]] as const
      ) {
        expect(await thrownBy(() => reader.readRange(at, length))).toBeInstanceOf(RangeError);
      }
    });

    test("rawChunks gives the raw space in order", async () => {
      const tensors = [tensorOf("a", "f32", [300], 1), tensorOf("b", "u8", [10], 2)];
      const reader = await opened(tensors, codec, 512);
      const raw = new Uint8Array(reader.rawByteLength).fill(0xaa);
      const seen: number[] = [];
      let end = 0;
      for await (
        const { rawOffset, bytes } of reader.rawChunks({ onProgress: ({ done }) => seen.push(done) })
      ) {
        expect(rawOffset).toBe(end);
        raw.set(bytes, rawOffset);
        end += bytes.byteLength;
      }
      expect(end).toBe(reader.rawByteLength);
      expect<Uint8Array>(raw).toEqual(await reader.readRange(0, reader.rawByteLength));
      expect(seen).toEqual([512, 1024, 1280, 1536]);
    });

    test("is the same file to a runtime without node:zlib", async () => {
      const tensors = [{
        spec: { name: "w", dtype: "f32" as const, shape: [5000] },
        bytes: asBytes(weightsOf(5000, 1)),
      }];
      const bare = { fileId: FILE_ID, codec, manifest: manifestOf(null), tensors };
      const before = process.getBuiltinModule;
      const native = await writeContainer(bare);
      try {
        process.getBuiltinModule = () => undefined;
        await expectAll(await ContainerReader.open(bytesSource(native)), tensors);
        const portable = await writeContainer(bare);
        process.getBuiltinModule = before;
        await expectAll(await ContainerReader.open(bytesSource(portable)), tensors);
        if (codec === "raw") expect(portable).toEqual(native);
      } finally {
        process.getBuiltinModule = before;
      }
      expect(withoutBuiltins(() => 1)).toBe(1);
    });
  });
}

describe("ContainerReader", () => {
  const contents = { tensors: sampleTensors(), fileId: FILE_ID, chunkBytes: 256, manifest: sampleManifest() };

  test("knows what the file says", async () => {
    const reader = await ContainerReader.open(bytesSource(await writeContainer(contents)));
    expect(reader.manifest).toStrictEqual(sampleManifest());
    expect((reader.manifest.state as { first: TensorRef }).first).toBeInstanceOf(TensorRef);
    expect(reader.fileId).toBe("01112131415161718191a1b1c1d1e1f1");
    expect(reader.has("bias")).toBe(true);
    expect(reader.has("Bias")).toBe(false);
    expect(reader.has("constructor")).toBe(false);
    const error = await thrownBy(() => reader.tensor("nothing"));
    expect(error.code).toBe("not_found");
    expect(await thrownBy(() => reader.read("nothing"))).toMatchObject({ code: "not_found" });
  });

  test("opens in two reads, whatever the number of tensors", async () => {
    const names = Array.from({ length: 10_000 }, (_, i) => `model.layers.${i}.weight`);
    const state = Object.fromEntries(names.map((name) => [name, new TensorRef(name)]));
    for (const count of [1, 300, 3000, 10_000]) {
      for (const manifest of [manifestOf(null), manifestOf(count === 10_000 ? state : null)]) {
        const tensors = names.slice(0, count).map((name, i) => tensorOf(name, "u8", [2], i));
        const source = counting(await writeContainer({ tensors, manifest, fileId: FILE_ID, codec: "raw" }));
        const reader = await ContainerReader.open(source);
        expect(source.reads.length).toBe(2);
        expect(reader.tensors.map((tensor) => tensor.name)).toEqual(names.slice(0, count));
      }
    }
  });

  test("asks once more where the manifest is longer than its hint, and never for more than its limit", async () => {
    const manifest = manifestOf("x".repeat(300_000));
    const source = counting(await writeContainer({ ...contents, manifest, tensors: [] }));
    expect((await ContainerReader.open(source)).manifest).toEqual(manifest);
    expect(source.reads.length).toBe(3);
    const tensors = Array.from({ length: 3000 }, (_, i) => tensorOf(`${i}`, "u8", [2], i));
    const many = counting(await writeContainer({ ...contents, tensors, manifest: manifestOf(null) }));
    const refused = await thrownBy(() => ContainerReader.open(many, { maxTableBytes: 1000 }));
    expect(refused.code).toBe("limit_exceeded");
    expect(many.reads.map(([, length]) => length)).toEqual([4096, 1000]);
  });

  test("the hint of how long the tail is may be anything", async () => {
    const file = await writeContainer(contents);
    for (const hint of [1, 2, 0xffff]) {
      const hinted = counting(forged(file, ({ header }) => poke(header, 18, 2, hint)));
      const reader = await ContainerReader.open(hinted);
      expect(hinted.reads.length).toBe(2);
      expect(await reader.verify()).toEqual({ ok: true, damaged: [] });
    }
  });

  test("reads a raw tensor's own chunks and no others", async () => {
    const tensors = [
      tensorOf("a", "u8", [1024], 1),
      tensorOf("b", "u8", [512], 2),
      tensorOf("c", "u8", [1024], 3),
    ];
    const source = counting(
      await writeContainer({ ...contents, tensors, codec: "raw", manifest: manifestOf(null) }),
    );
    const reader = await ContainerReader.open(source);
    source.reads.length = 0;
    await reader.read("b");
    expect(source.reads).toEqual([[4096 + 1024, 512]]);
  });

  test("reads a chunk that many tensors share once", async () => {
    const tensors = Array.from({ length: 20 }, (_, i) => tensorOf(`t${i}`, "f32", [3], i));
    const source = counting(
      await writeContainer({ ...contents, tensors, chunkBytes: 1 << 20, manifest: manifestOf(null) }),
    );
    const reader = await ContainerReader.open(source);
    source.reads.length = 0;
    await expect(reader.read("t0")).resolves.toEqual(tensors[0]?.bytes as Uint8Array);
    for (const { spec, bytes } of tensors) expect(await reader.read(spec.name)).toEqual(bytes);
    expect(source.reads.length).toBe(1);
  });

  test("what it returns belongs to the caller", async () => {
    const reader = await ContainerReader.open(bytesSource(await writeContainer(contents)));
    const first = await reader.read("weight");
    first.fill(0xff);
    expect(await reader.read("weight")).toEqual(sampleTensors()[0]?.bytes as Uint8Array);
  });

  test("many reads at once do not disturb each other", async () => {
    const tensors = Array.from(
      { length: 30 },
      (_, i) => tensorOf(`t${i}`, i % 2 ? "f32" : "u8", [100 + i], i),
    );
    const file = await writeContainer({ ...contents, tensors, manifest: manifestOf(null) });
    const reader = await ContainerReader.open(bytesSource(file));
    const all = await Promise.all(tensors.map(({ spec }) => reader.read(spec.name)));
    expect(all).toEqual(tensors.map(({ bytes }) => bytes));
  });

  test("an abort rejects with the signal's reason, before and on the way", async () => {
    const file = await writeContainer({ ...contents, codec: "raw" });
    const reason = new Error("stop");
    const aborted = AbortSignal.abort(reason);
    expect(await thrownBy(() => ContainerReader.open(bytesSource(file), { signal: aborted }))).toBe(reason);
    const reader = await ContainerReader.open(bytesSource(file));
    expect(await thrownBy(() => reader.read("weight", { signal: aborted }))).toBe(reason);
    const controller = new AbortController();
    const onProgress = (): void => controller.abort(reason);
    expect(await thrownBy(() => reader.verify({ signal: controller.signal, onProgress }))).toBe(reason);
    expect(await thrownBy(() => reader.readRange(0, 768, { signal: controller.signal }))).toBe(reason);
    const all = async (): Promise<void> => {
      for await (const _ of reader.rawChunks({ signal: controller.signal }));
    };
    expect(await thrownBy(all)).toBe(reason);
    expect((await reader.verify()).ok).toBe(true);
  });

  test("closes its source once, and then refuses to read", async () => {
    let closed = 0;
    const source = {
      ...bytesSource(await writeContainer(contents)),
      close: () => Promise.resolve(void closed++),
    };
    const reader = await ContainerReader.open(source);
    await reader.close();
    await reader[Symbol.asyncDispose]();
    expect(closed).toBe(1);
    for (
      const work of [
        () => reader.read("bias"),
        () => reader.readRange(0, 1),
        () => reader.verify(),
        () => reader.rawChunks().next(),
      ]
    ) {
      expect((await thrownBy(work)).code).toBe("closed");
    }
  });

  test("passes on what the source throws, and does not call it damage", async () => {
    const inner = bytesSource(await writeContainer(contents));
    const failure = new Error("cable");
    let isBroken = false;
    const source: ByteSource = {
      byteLength: inner.byteLength,
      read: (offset, into) => isBroken ? Promise.reject(failure) : inner.read(offset, into),
    };
    const reader = await ContainerReader.open(source);
    isBroken = true;
    expect(await thrownBy(() => reader.read("weight"))).toBe(failure);
    expect(await thrownBy(() => reader.verify())).toBe(failure);
    expect(await thrownBy(() => ContainerReader.open(source))).toBe(failure);
  });

  test("a file that shrinks while it is open is truncated, not garbage", async () => {
    const file = await writeContainer({ ...contents, codec: "raw" });
    let length = file.byteLength;
    const source: ByteSource = {
      byteLength: file.byteLength,
      read: (offset, into) => bytesSource(file.subarray(0, length)).read(offset, into),
    };
    const reader = await ContainerReader.open(source);
    length = 4096 + 300;
    await reader.read("weight");
    expect((await thrownBy(() => reader.read("bias"))).code).toBe("truncated");
    expect((await reader.verify()).damaged.map((damage) => damage.chunk)).toEqual([1, 2]);
  });

  test("maxTableBytes limits what is read, and is limited itself", async () => {
    const file = await writeContainer(contents);
    const error = await thrownBy(() =>
      ContainerReader.open(bytesSource(file), { maxTableBytes: 500 })
    ) as CairnError;
    expect(error.code).toBe("limit_exceeded");
    expect(error.details.limit).toBe(500);
    expect(error.message).toMatch(/maxTableBytes/);
    const tableBytes = file.byteLength -
      Number(new DataView(file.buffer).getBigUint64(file.byteLength - 128, true));
    await ContainerReader.open(bytesSource(file), { maxTableBytes: tableBytes });
    const below = { maxTableBytes: tableBytes - 1 };
    expect((await thrownBy(() => ContainerReader.open(bytesSource(file), below))).code).toBe(
      "limit_exceeded",
    );
    for (const maxTableBytes of [0, -1, 1.5, NaN, 100_000_001]) {
      expect(await thrownBy(() => ContainerReader.open(bytesSource(file), { maxTableBytes }))).toBeInstanceOf(
        RangeError,
      );
    }
    await ContainerReader.open(bytesSource(file), { maxTableBytes: 100_000_000 });
  });
});
