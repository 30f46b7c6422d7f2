import type { ContainerWriterOptions } from "../../../src/container/write/container_writer_options.ts";
import { describe, expect, test } from "bun:test";
import { crc32 } from "../../../src/base/crc32/crc32.ts";
import { type EncodedChunk, encodeSmallest } from "../../../src/container/codec/choose.ts";
import { CodecPool } from "../../../src/container/codec/codec_pool.ts";
import type { CodecName } from "../../../src/container/codec/table.ts";
import { ContainerReader } from "../../../src/container/read/container_reader.ts";
import { ContainerWriter } from "../../../src/container/write/container_writer.ts";
import { BytesSink, bytesSource } from "../../../src/container/source.ts";
import { encodeState } from "../../../src/container/format/encode_state.ts";
import { type StateValue, TensorRef } from "../../../src/container/format/state_tree.ts";
import { trailerChecksum } from "../../../src/container/format/trailer.ts";
import { writeContainer, writeContainerTo } from "../../../src/container/write/write_container.ts";
import { thrownBy } from "../../helpers/thrown.ts";
import { turnsDuring } from "../../helpers/turns.ts";
import { LARGE_TREES } from "../large_trees.ts";
import {
  asBytes,
  bytesOf,
  FILE_ID,
  manifestOf,
  sampleManifest,
  sampleTensors,
  tensorOf,
  weightsOf,
} from "../samples.ts";

const specs = sampleTensors().map((tensor) => tensor.spec);
const options: ContainerWriterOptions = { tensors: specs, fileId: FILE_ID, chunkBytes: 256 };

/** The raw space of some tensors, with `gap` in every byte that belongs to none. */
function rawSpaceOf(writer: ContainerWriter, gap: number): Uint8Array {
  const raw = new Uint8Array(writer.layout.rawByteLength).fill(gap);
  for (const [index, record] of writer.layout.tensors.entries()) {
    if (record.aliasOf === undefined) raw.set(sampleTensors()[index]?.bytes ?? [], record.rawOffset);
  }
  return raw;
}

async function written(pieceBytes: number, gap: number, codec: "raw" | "deflate"): Promise<Uint8Array> {
  const sink = new BytesSink();
  const writer = await ContainerWriter.create(sink, { ...options, codec });
  const raw = rawSpaceOf(writer, gap);
  for (let at = 0; at < raw.byteLength; at += pieceBytes) {
    // One buffer for all pieces, spoilt after each: the writer must not look at it later.
    const piece = raw.slice(at, at + pieceBytes);
    await writer.write(piece);
    piece.fill(0xee);
  }
  await writer.finish(sampleManifest());
  return sink.toBytes();
}

describe("ContainerWriter", () => {
  for (const codec of ["raw", "deflate"] as const) {
    test(`${codec}: equal contents give equal bytes, in whatever pieces they come`, async () => {
      const whole = await written(1 << 20, 0, codec);
      for (const pieceBytes of [1, 3, 64, 255, 256, 257, 512]) {
        expect(await written(pieceBytes, 0, codec)).toEqual(whole);
      }
      expect(
        await writeContainer({ ...options, codec, tensors: sampleTensors(), manifest: sampleManifest() }),
      )
        .toEqual(whole);
    });

    test(`${codec}: the report has the checksum that stands in the trailer, which is what an index pins`, async () => {
      const sink = new BytesSink();
      const contents = { ...options, codec, tensors: sampleTensors(), manifest: sampleManifest() };
      const { checksum, fileBytes } = await writeContainerTo(sink, contents);
      const bytes = sink.toBytes();
      expect(fileBytes).toBe(bytes.byteLength);
      expect(checksum).toBe(trailerChecksum(bytes.subarray(-128)));
    });

    test(`${codec}: bytes between tensors become zero, whatever came`, async () => {
      const clean = await written(1 << 20, 0, codec);
      expect(await written(1 << 20, 0xff, codec)).toEqual(clean);
      expect(await written(7, 0xff, codec)).toEqual(clean);
    });
  }

  test("takes chunks that are encoded already, in order with those that a pool is at", async () => {
    const weights = asBytes(weightsOf(6 << 15, 1));
    const tensors = [
      { spec: { name: "w", dtype: "f32", shape: [6 << 15] }, bytes: weights },
      tensorOf("odd", "u8", [300], 2),
    ] as const;
    const chunkBytes = 1 << 17;
    const common = { fileId: FILE_ID, codec: "levels", chunkBytes } as const;
    const whole = await writeContainer({ ...common, tensors, manifest: manifestOf(null) });
    const pool = CodecPool.open(2);
    const sink = new BytesSink();
    const writer = await ContainerWriter.create(sink, {
      ...common,
      pool,
      tensors: tensors.map(({ spec }) => spec),
    });
    expect(writer.cuts.map(({ rawLength, hasGap }) => [rawLength, hasGap])).toEqual([
      ...Array.from({ length: 6 }, () => [chunkBytes, false]),
      [512, true],
    ]);
    expect(writer.choices).toEqual(new Set(["levels"]));
    for (const [index, { rawOffset, rawLength, hasGap, dtype }] of writer.cuts.entries()) {
      if (hasGap) await writer.write(tensors[1].bytes);
      else if (index % 3 === 1) {
        const raw = weights.subarray(rawOffset, rawOffset + rawLength);
        const chunk = encodeSmallest(raw, dtype, ["levels"]);
        await writer.writeEncoded(chunk);
        chunk.stored.fill(0xee);
      } else await writer.write(weights.slice(rawOffset, rawOffset + rawLength));
    }
    await writer.write(new Uint8Array(212));
    await writer.finish(manifestOf(null));
    await pool?.close();
    expect(sink.toBytes()).toEqual(whole);
  });

  test("raw tensors start at 4096 and lie in the file as in memory", async () => {
    const weights = asBytes(weightsOf(1000, 1));
    const file = await writeContainer({
      tensors: [{ spec: { name: "w", dtype: "f32", shape: [1000] }, bytes: weights }],
      fileId: FILE_ID,
      codec: "raw",
      manifest: manifestOf(null),
    });
    expect<Uint8Array>(file.slice(4096, 8096)).toEqual(weights);
    expect(file.byteLength % 64).toBe(0);
  });

  test("chunks that do not get smaller are stored raw", async () => {
    const sink = new BytesSink();
    const report = await writeContainerTo(sink, {
      tensors: [tensorOf("noise", "u8", [1024], 1), {
        ...tensorOf("zeros", "f32", [256], 1),
        bytes: new Uint8Array(1024),
      }],
      fileId: FILE_ID,
      chunkBytes: 512,
      manifest: manifestOf(null),
    });
    expect(report.codecs).toEqual({ raw: 2, planes: 2 });
    expect(report.chunks).toBe(4);
    expect(report.rawBytes).toBe(2048);
    expect(report.storedBytes).toBeLessThan(1400);
    expect(report.ratio).toBe(report.rawBytes / report.storedBytes);
    expect(report.fileBytes).toBe(sink.toBytes().byteLength);
    expect(report.fileId).toBe("0111213141516171819" + "1a1b1c1d1e1f1");
  });

  test("no tensors at all make a container too", async () => {
    const sink = new BytesSink();
    const report = await writeContainerTo(sink, {
      tensors: [],
      fileId: FILE_ID,
      manifest: manifestOf({ a: 1 }),
    });
    expect([report.rawBytes, report.storedBytes, report.ratio, report.chunks]).toEqual([0, 0, 1, 0]);
    const reader = await ContainerReader.open(bytesSource(sink.toBytes()));
    expect(reader.manifest.state).toEqual({ a: 1 });
    expect(await reader.verify()).toEqual({ ok: true, damaged: [] });
  });

  test("holds one chunk, and gives the sink pieces no larger", async () => {
    let largest = 0;
    const sink = {
      write(bytes: Uint8Array): Promise<void> {
        largest = Math.max(largest, bytes.byteLength);
        return Promise.resolve();
      },
    };
    const tensors = [{ name: "big", dtype: "u8", shape: [1 << 22] }] as const;
    const writer = await ContainerWriter.create(sink, { tensors, fileId: FILE_ID, chunkBytes: 1 << 14 });
    await writer.write(bytesOf(1 << 22, 1));
    await writer.finish(manifestOf(null));
    expect(largest).toBe(1 << 14);
  });

  test("reports progress chunk by chunk, up to the total", async () => {
    const seen: number[] = [];
    const onProgress = ({ done, total }: { done: number; total: number }): void => {
      expect(total).toBe(768);
      seen.push(done);
    };
    await writeContainer({ ...options, tensors: sampleTensors(), manifest: sampleManifest(), onProgress });
    expect(seen).toEqual([256, 512, 768]);
  });

  test("an abort before, between and at the end rejects with the signal's reason", async () => {
    const reason = new Error("stop");
    for (let after = 0; after <= 6; after++) {
      const controller = new AbortController();
      let writes = 0;
      const sink = {
        write(): Promise<void> {
          if (++writes > after) controller.abort(reason);
          return Promise.resolve();
        },
      };
      if (after === 0) controller.abort(reason);
      const work = writeContainerTo(sink, {
        ...options,
        codec: "raw",
        tensors: sampleTensors(),
        manifest: sampleManifest(),
        signal: controller.signal,
      });
      // Header, three chunks and the tail make five writes; an abort during the last comes too late.
      if (after >= 4) await work;
      else expect(await thrownBy(() => work)).toBe(reason);
    }
  });
});

describe("ContainerWriter refuses", () => {
  const create = (change: object): Promise<ContainerWriter> =>
    ContainerWriter.create(new BytesSink(), { ...options, ...change } as ContainerWriterOptions);

  const badOptions: [string, object, typeof TypeError | typeof RangeError][] = [
    ["a file id of fifteen bytes", { fileId: new Uint8Array(15) }, TypeError],
    ["a file id in hexadecimal", { fileId: "00".repeat(16) }, TypeError],
    ["no file id", { fileId: undefined }, TypeError],
    ["an unknown codec", { codec: "lz4" }, TypeError],
    ["a chunk size of 100", { chunkBytes: 100 }, RangeError],
    ["a chunk size of 32 MiB", { chunkBytes: 32 << 20 }, RangeError],
    ["two tensors of one name", { tensors: [specs[0], specs[0]] }, TypeError],
    ["a bad shape", { tensors: [{ name: "a", dtype: "f32", shape: [-1] }] }, RangeError],
  ];
  for (const [name, change, type] of badOptions) {
    test(`${name}, before it writes a byte`, async () => {
      const sink = new BytesSink();
      const work = ContainerWriter.create(sink, { ...options, ...change } as ContainerWriterOptions);
      expect(await thrownBy(() => work)).toBeInstanceOf(type);
      expect(sink.toBytes().byteLength).toBe(0);
    });
  }

  test("so many tensors or chunks that a reader would refuse the file", async () => {
    const long = Array.from(
      { length: 20_000 },
      (_, i) => ({ name: `${i}`.padEnd(1000, "x"), dtype: "u8", shape: [0] }),
    );
    for (const change of [{ tensors: long }, { tensors: [{ name: "a", dtype: "u8", shape: [2 ** 28] }] }]) {
      expect((await thrownBy(() => create(change))).code).toBe("limit_exceeded");
    }
  });

  test("more bytes than the layout has, and goes on as before", async () => {
    const writer = await create({});
    await writer.write(new Uint8Array(700));
    const error = await thrownBy(() => writer.write(new Uint8Array(69)));
    expect(error).toBeInstanceOf(RangeError);
    expect(error.message).toMatch(/69 bytes: the layout takes 68/);
    await writer.write(new Uint8Array(68));
    await writer.finish(sampleManifest());
  });

  test("an encoded chunk where none begins, of another length, or with a gap in it, and goes on as before", async () => {
    const writer = await create({ tensors: [specs[0], { name: "b", dtype: "f32", shape: [64] }] });
    const chunkOf = (byteLength: number, codec: CodecName): EncodedChunk => {
      const stored = new Uint8Array(byteLength);
      return { codec, stored, storedCrc: crc32(stored), rawCrc: crc32(stored) };
    };
    const refused = async (chunk: EncodedChunk, message: RegExp): Promise<void> => {
      const error = await thrownBy(() => writer.writeEncoded(chunk));
      expect(error).toBeInstanceOf(RangeError);
      expect(error.message).toMatch(message);
    };
    await refused(chunkOf(256, "raw"), /for 256 raw bytes at 0: there are bytes between tensors/);
    await writer.write(new Uint8Array(100));
    await refused(chunkOf(100, "planes"), /at 100: none begins there/);
    await writer.write(new Uint8Array(156));
    await refused(chunkOf(252, "raw"), /252 bytes \(raw\) for 256 raw bytes at 256$/);
    await refused(chunkOf(256, "planes"), /256 bytes \(planes\)/);
    await writer.writeEncoded(chunkOf(256, "raw"));
    await refused(chunkOf(256, "raw"), /at 512: none begins there/);
    expect((await writer.finish(manifestOf(null))).chunks).toBe(2);
  });

  test("to finish early", async () => {
    const writer = await create({});
    for (const bytes of [0, 767]) {
      await writer.write(new Uint8Array(bytes));
      const error = await thrownBy(() => writer.finish(sampleManifest()));
      expect(error).toBeInstanceOf(RangeError);
      expect(error.message).toMatch(new RegExp(`${bytes} of 768`));
    }
  });

  test("a manifest that cannot be kept, and takes a better one", async () => {
    const writer = await create({});
    await writer.write(new Uint8Array(768));
    const bad = [manifestOf(null, { f: () => 1 } as never), manifestOf({ w: new TensorRef("missing") })];
    for (const manifest of bad) {
      expect(await thrownBy(() => writer.finish(manifest))).toBeInstanceOf(TypeError);
    }
    expect((await thrownBy(() => writer.finish(manifestOf("x".repeat(17 << 20))))).code).toBe(
      "limit_exceeded",
    );
    expect((await writer.finish(sampleManifest())).chunks).toBe(3);
  });

  test("anything after finish", async () => {
    const writer = await create({});
    await writer.write(new Uint8Array(768));
    await writer.finish(sampleManifest());
    expect((await thrownBy(() => writer.write(new Uint8Array(0)))).code).toBe("closed");
    expect((await thrownBy(() => writer.finish(sampleManifest()))).code).toBe("closed");
  });

  test("a second call before the first has resolved", async () => {
    const writer = await create({});
    const first = writer.write(new Uint8Array(768));
    expect(await thrownBy(() => writer.write(new Uint8Array(0)))).toBeInstanceOf(TypeError);
    expect(await thrownBy(() => writer.finish(sampleManifest()))).toBeInstanceOf(TypeError);
    await first;
    await writer.finish(sampleManifest());
  });

  test("to go on after its sink has failed, whose error it passes on", async () => {
    const failure = new Error("disk");
    for (let failAt = 0; failAt < 5; failAt++) {
      let writes = 0;
      const sink = {
        write: (): Promise<void> => writes++ === failAt ? Promise.reject(failure) : Promise.resolve(),
      };
      if (failAt === 0) {
        expect(await thrownBy(() => ContainerWriter.create(sink, options))).toBe(failure);
        continue;
      }
      const writer = await ContainerWriter.create(sink, { ...options, codec: "raw" });
      const work = async (): Promise<void> => {
        await writer.write(new Uint8Array(768));
        await writer.finish(sampleManifest());
      };
      expect(await thrownBy(work)).toBe(failure);
      expect((await thrownBy(() => writer.write(new Uint8Array(0)))).code).toBe("closed");
    }
  });

  test("bytes of the wrong length for a tensor", async () => {
    const [first, ...rest] = sampleTensors();
    if (first === undefined) throw new Error("no sample");
    const tensors = [{ ...first, bytes: first.bytes.subarray(1) }, ...rest];
    const error = await thrownBy(() => writeContainer({ ...options, tensors, manifest: sampleManifest() }));
    expect(error).toBeInstanceOf(RangeError);
    expect(error.message).toMatch(/"weight" \(f32 \[4,8\]\) takes 128 bytes; 127 were given/);
  });
});

describe("user metadata that the writer refuses (H3)", () => {
  const cycle: Record<string, unknown> = {};
  cycle.self = cycle;
  const refused: [string, unknown][] = [
    ["a function", () => 1],
    ["an object with toJSON", { toJSON: () => "x" }],
    ["a symbol", Symbol("x")],
    ["a cycle", cycle],
    ["a getter", Object.defineProperty({}, "x", { get: () => 1, enumerable: true })],
    ["a typed array", new Float64Array(1)],
    ["an ArrayBuffer", new ArrayBuffer(1)],
    ["an instance of a class", new (class Model {})()],
    ["an Error", new Error("x")],
    ["a RegExp", /x/],
    ["a boxed string", Object("x")],
    ["a WeakSet", new WeakSet()],
    ["a lone surrogate", "\udc00"],
    ["a key __proto__", JSON.parse('{"__proto__":1}')],
    ["a hole in an array", Object.assign([], { length: 1 })],
    ["a reference to a tensor that is not there", new TensorRef("nowhere")],
  ];
  for (const [name, user] of refused) {
    test(name, async () => {
      const manifest = manifestOf(null, { user } as never);
      expect(await thrownBy(() => writeContainer({ ...options, tensors: sampleTensors(), manifest })))
        .toBeInstanceOf(TypeError);
    });
  }

  test("but NaN, the infinities, -0, bigints, dates and undefined are kept, never turned into null", async () => {
    const user = {
      nan: NaN,
      inf: [Infinity, -Infinity],
      zero: -0,
      big: 1n,
      at: new Date(5),
      none: undefined,
    };
    const file = await writeContainer({
      ...options,
      tensors: sampleTensors(),
      manifest: manifestOf(null, user),
    });
    expect((await ContainerReader.open(bytesSource(file))).manifest.user).toStrictEqual(user);
  });
});

describe("a large manifest", () => {
  for (const [what, treeOf] of LARGE_TREES) {
    test(`leaves the event loop its turns while it is written and read: ${what}`, async () => {
      const [few, many] = [await turnsFor(treeOf(100)), await turnsFor(treeOf(100_000))];
      expect(few).toBeLessThan(100);
      // To write: encoding, checking as a reader does, and text. To read: text, comparing with it, and the tree.
      expect(many).toBeGreaterThanOrEqual(300);
    });
  }

  test("is written without interruption: other calls are refused meanwhile", async () => {
    const writer = await ContainerWriter.create(new BytesSink(), { tensors: [], fileId: FILE_ID });
    const user = Array.from({ length: 5000 }, (_, index) => index);
    const finished = writer.finish(manifestOf(null, user));
    expect(await thrownBy(() => writer.write(new Uint8Array(0)))).toBeInstanceOf(TypeError);
    expect(await thrownBy(() => writer.finish(manifestOf(null, null)))).toBeInstanceOf(TypeError);
    expect((await finished).fileBytes).toBeGreaterThan(5000);
  });

  /** Turns that others get while a container with this tree is written and opened. */
  async function turnsFor(user: StateValue): Promise<number> {
    return await turnsDuring(async () => {
      const file = await writeContainer({ fileId: FILE_ID, tensors: [], manifest: manifestOf(null, user) });
      const reader = await ContainerReader.open(bytesSource(file));
      expect(encodeState(reader.manifest.user)).toEqual(encodeState(user));
    });
  }
});
