import { describe, expect, test } from "bun:test";
import { CodecPool } from "../../src/container/codec/codec_pool.ts";
import { ContainerReader } from "../../src/container/read/container_reader.ts";
import { type ByteSource, bytesSource } from "../../src/container/source.ts";
import { writeContainer } from "../../src/container/write/write_container.ts";
import { thrownBy } from "../helpers/thrown.ts";
import { asBytes, FILE_ID, manifestOf, randomNumbers, type Tensor, tensorOf, weightsOf } from "./samples.ts";

const SEED = 20261122;

/** Tensors of several dtypes, some far larger than a chunk, some that share one, one empty, one tied. */
function someTensors(): Tensor[] {
  return [
    { spec: { name: "large", dtype: "f32", shape: [301, 7, 3] }, bytes: asBytes(weightsOf(6321, 1)) },
    tensorOf("bias", "f32", [5], 2),
    tensorOf("empty", "f32", [0, 4], 3),
    tensorOf("ids", "u16", [1000], 4),
    tensorOf("scalar", "f64", [], 5),
    { spec: { name: "tied", dtype: "f32", shape: [301, 7, 3], aliasOf: "large" }, bytes: new Uint8Array(0) },
  ];
}

function bytesByName(tensors: readonly Tensor[]): Map<string, Uint8Array> {
  const byName = new Map(tensors.map(({ spec, bytes }) => [spec.name, bytes]));
  byName.set("tied", byName.get("large") as Uint8Array);
  return byName;
}

/** As `toEqual`, which takes a hundred times as long. */
function expectBytes(bytes: Uint8Array, expected: Uint8Array): void {
  expect(Buffer.compare(bytes, expected)).toBe(0);
}

interface CountingSource extends ByteSource {
  readonly reads: [offset: number, byteLength: number][];
}

function counting(bytes: Uint8Array): CountingSource {
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

async function open(
  codec: "raw" | "deflate",
  chunkBytes: number,
  tensors = someTensors(),
): Promise<{ reader: ContainerReader; source: CountingSource; file: Uint8Array }> {
  const file = await writeContainer({
    tensors,
    codec,
    chunkBytes,
    fileId: FILE_ID,
    manifest: manifestOf(null),
  });
  const source = counting(file);
  const reader = await ContainerReader.open(source);
  source.reads.length = 0;
  return { reader, source, file };
}

for (const codec of ["raw", "deflate"] as const) {
  describe(`a part of a tensor (${codec})`, () => {
    test(`equals the same part of the whole, wherever it starts and ends (seed ${SEED})`, async () => {
      const next = randomNumbers(SEED);
      const integer = (limit: number): number => Math.floor(next() * limit);
      for (const chunkBytes of [256, 1024, 1 << 20]) {
        const { reader } = await open(codec, chunkBytes);
        for (const [name, whole] of bytesByName(someTensors())) {
          const { shape } = reader.tensor(name);
          for (let run = 0; run < 40; run++) {
            const start = integer(whole.byteLength + 1);
            const end = start + integer(whole.byteLength - start + 1);
            expectBytes(
              await reader.read(name, { slice: { bytes: [start, end] } }),
              whole.subarray(start, end),
            );
            const [rowCount] = shape;
            if (rowCount === undefined) continue;
            const rowBytes = rowCount === 0 ? 0 : whole.byteLength / rowCount;
            const first = integer(rowCount + 1);
            const last = first + integer(rowCount - first + 1);
            const rows = await reader.read(name, { slice: { rows: [first, last] } });
            expectBytes(rows, whole.subarray(first * rowBytes, last * rowBytes));
          }
        }
      }
    });

    test("reads and decodes only the chunks that it has a part in", async () => {
      const { reader, source } = await open(codec, 1024);
      const [, second, third, fourth] = reader.chunks;
      await reader.read("large", { slice: { bytes: [1023 + 1024, 3 * 1024 + 1] } });
      const start = second?.storedOffset as number;
      const total = source.reads.reduce((sum, [, length]) => sum + length, 0);
      const padded = (length = NaN): number => Math.ceil(length / 64) * 64;
      expect(Math.min(...source.reads.map(([offset]) => offset))).toBe(start);
      expect(total).toBe(
        padded(second?.storedLength) + padded(third?.storedLength) + padded(fourth?.storedLength),
      );
    });

    test("streams piece by piece what read gives in one", async () => {
      for (const chunkBytes of [256, 1024, 1 << 20]) {
        const { reader } = await open(codec, chunkBytes);
        for (const [name, whole] of bytesByName(someTensors())) {
          const start = Math.min(3, whole.byteLength);
          for (const options of [{}, { slice: { bytes: [start, whole.byteLength] } } as const]) {
            const expected = await reader.read(name, options);
            const bytes = new Uint8Array(expected.byteLength).fill(0xaa);
            let end = 0;
            for await (const piece of reader.stream(name, options)) {
              expect(piece.byteOffset).toBe(end);
              expect(piece.bytes.byteLength).toBeLessThanOrEqual(chunkBytes);
              bytes.set(piece.bytes, end);
              end += piece.bytes.byteLength;
            }
            expect(end).toBe(expected.byteLength);
            expect<Uint8Array>(bytes).toEqual(expected);
          }
        }
      }
    });

    test("readInto fills memory of the caller's, at any address", async () => {
      const { reader } = await open(codec, 1024);
      const whole = bytesByName(someTensors()).get("large") as Uint8Array;
      const floats = new Float32Array(6321);
      await reader.readInto("large", floats);
      expect(asBytes(floats)).toEqual(whole);
      const odd = new Uint8Array(whole.byteLength + 2);
      await reader.readInto("large", odd.subarray(1, -1));
      expect<Uint8Array>(odd.subarray(1, -1)).toEqual(whole);
      expect([odd[0], odd.at(-1)]).toEqual([0, 0]);
      const row = new DataView(new ArrayBuffer(84));
      await reader.readInto("large", row, { slice: { rows: [300, 301] } });
      expect(asBytes(row)).toEqual(whole.slice(300 * 84));
    });

    test("readMany gives each tensor once, in the order of the file, as read does", async () => {
      for (const chunkBytes of [256, 1024, 1 << 20]) {
        const { reader, source } = await open(codec, chunkBytes);
        const expected = bytesByName(someTensors());
        const names = ["tied", "scalar", "ids", "empty", "bias", "large", "ids"];
        const seen: string[] = [];
        for await (const { name, bytes } of reader.readMany(names)) {
          seen.push(name);
          expect(bytes).toEqual(expected.get(name) as Uint8Array);
          bytes.fill(0xff);
        }
        expect([...seen].sort()).toEqual([...expected.keys()].sort());
        const places = seen.map((name) => reader.tensor(name).rawOffset);
        expect(places).toEqual([...places].sort((a, b) => a - b));
        expect(source.reads.length).toBe(1);
      }
    });

    test("a damaged chunk spoils the parts that it is in, and no others", async () => {
      const { reader, file } = await open(codec, 1024);
      const chunk = reader.chunks[3] as (typeof reader.chunks)[number];
      file[chunk.storedOffset + 9] = (file[chunk.storedOffset + 9] as number) ^ 16;
      const whole = bytesByName(someTensors()).get("large") as Uint8Array;
      const sound = await reader.read("large", { slice: { bytes: [5, chunk.rawOffset] } });
      expect(sound).toEqual(whole.slice(5, chunk.rawOffset));
      const touching = { slice: { bytes: [5, chunk.rawOffset + 1] } } as const;
      const works: (() => Promise<unknown>)[] = [
        () => reader.read("large", touching),
        () => reader.readInto("large", new Uint8Array(chunk.rawOffset - 4), touching),
        () => last(reader.stream("large", touching)),
        () => last(reader.readMany(["large"])),
      ];
      for (const work of works) {
        const error = await thrownBy(work);
        expect(error.code).toBe("checksum_mismatch");
        expect(error.message).toContain('chunk 3 of "large"');
      }
      expect(await last(reader.readMany(["ids", "bias"]))).toMatchObject({ name: "ids" });
    });
  });
}

async function last<T>(values: AsyncIterable<T>): Promise<T | undefined> {
  let result: T | undefined;
  for await (const value of values) result = value;
  return result;
}

describe("parts of tensors", () => {
  test("a slice that is not inside is refused", async () => {
    const { reader } = await open("raw", 1024);
    const wrong = [[-1, 2], [2, 1], [0, 302], [0.5, 2], [0, NaN], [302, 302]] as const;
    for (const rows of wrong) {
      const error = await thrownBy(() => reader.read("large", { slice: { rows } }));
      expect(error).toBeInstanceOf(RangeError);
      expect(error.message).toContain("it has 301");
    }
    expect(await thrownBy(() => reader.read("bias", { slice: { bytes: [0, 21] } }))).toBeInstanceOf(
      RangeError,
    );
    expect(await thrownBy(() => reader.read("scalar", { slice: { rows: [0, 1] } }))).toBeInstanceOf(
      RangeError,
    );
    const nonsense = { slice: { columns: [0, 1] } } as unknown as { slice: { rows: [number, number] } };
    expect(await thrownBy(() => reader.read("large", nonsense))).toBeInstanceOf(TypeError);
    expect(await thrownBy(() => last(reader.stream("large", { slice: { rows: [0, 302] } }))))
      .toBeInstanceOf(RangeError);
  });

  test("readInto refuses memory of another size, or of elements of another width", async () => {
    const { reader } = await open("raw", 1024);
    for (const into of [new Uint8Array(19), new Uint8Array(21), new Float32Array(4), new Float64Array(2)]) {
      expect(await thrownBy(() => reader.readInto("bias", into))).toBeInstanceOf(RangeError);
    }
    expect(await thrownBy(() => reader.readInto("ids", new Float32Array(500)))).toBeInstanceOf(RangeError);
  });

  test("TS-13 readMany reads a file of small tensors in a few large reads, and leaves large holes out", async () => {
    const tensors = Array.from({ length: 64 }, (_, i) => tensorOf(`t${i}`, "u8", [64 << 10], i));
    const { reader, source } = await open("raw", 16 << 10, tensors);
    const total = 64 * (64 << 10);
    await last(reader.readMany(tensors.map(({ spec }) => spec.name)));
    expect(source.reads.length).toBe(4);
    expect(source.reads.reduce((sum, [, length]) => sum + length, 0)).toBe(total);
    source.reads.length = 0;
    await last(reader.readMany(["t40", "t3", "t41", "t60"]));
    expect(source.reads.map(([offset, length]) => [(offset - 4096) / (64 << 10), length / (64 << 10)]))
      .toEqual([[3, 1], [40, 2], [60, 1]]);
  });

  test("readMany merges across small holes", async () => {
    const tensors = Array.from({ length: 10 }, (_, i) => tensorOf(`t${i}`, "u8", [20 << 10], i));
    const { reader, source } = await open("raw", 4 << 10, tensors);
    await last(reader.readMany(["t0", "t4", "t9"]));
    expect(source.reads).toEqual([[4096, 5 * (20 << 10)], [4096 + 9 * (20 << 10), 20 << 10]]);
  });

  test("a source that answers slowly is asked for more at once", async () => {
    const tensors = Array.from({ length: 64 }, (_, i) => tensorOf(`t${i}`, "u8", [64 << 10], i));
    const { source } = await open("raw", 16 << 10, tensors);
    const slow = Object.assign(source, { preferredReadBytes: 2 << 20 });
    const reader = await ContainerReader.open(slow);
    source.reads.length = 0;
    await last(reader.readMany(tensors.map(({ spec }) => spec.name)));
    await reader.readRange(0, reader.rawByteLength);
    expect(source.reads.map(([, length]) => length)).toEqual([2 << 20, 2 << 20, 2 << 20, 2 << 20]);
  });

  test("readMany says what is not there before it reads anything", async () => {
    const { reader, source } = await open("raw", 1024);
    expect(await thrownBy(() => last(reader.readMany(["bias", "nothing"])))).toMatchObject({
      code: "not_found",
    });
    expect(await last(reader.readMany([]))).toBeUndefined();
    expect(source.reads).toEqual([]);
  });

  test("an abort or a close ends a stream between two pieces", async () => {
    const reason = new Error("stop");
    for (const start of ["stream", "readMany"] as const) {
      const { reader } = await open("raw", 1024);
      const controller = new AbortController();
      const options = { signal: controller.signal };
      const pieces = start === "stream"
        ? reader.stream("large", options)
        : reader.readMany(["large", "ids"], options);
      await pieces.next();
      controller.abort(reason);
      expect(await thrownBy(() => pieces.next())).toBe(reason);
      const closed = start === "stream" ? reader.stream("large") : reader.readMany(["large", "ids"]);
      await closed.next();
      await reader.close();
      expect(await thrownBy(() => closed.next())).toMatchObject({ code: "closed" });
    }
  });

  test("reports progress up to the whole", async () => {
    const { reader } = await open("deflate", 1024);
    const seen: number[] = [];
    const onProgress = ({ done, total }: { done: number; total: number }): void =>
      void seen.push(done, total);
    await reader.read("large", { onProgress });
    expect(seen.slice(-2)).toEqual([6321 * 4, 6321 * 4]);
    await last(reader.stream("large", { onProgress, cast: "f16" }));
    expect(seen.slice(-2)).toEqual([6321 * 2, 6321 * 2]);
    await last(reader.readMany(["bias", "ids"], { onProgress }));
    expect(seen.slice(-4)).toEqual([20, 2020, 2020, 2020]);
  });
});

describe("reading with a pool", () => {
  const tensors: Tensor[] = [
    { spec: { name: "a", dtype: "f32", shape: [1000, 257] }, bytes: asBytes(weightsOf(257_000, 1)) },
    { spec: { name: "b", dtype: "f32", shape: [70_001] }, bytes: asBytes(weightsOf(70_001, 2)) },
    tensorOf("noise", "u8", [300_000], 3),
  ];

  test("gives the same bytes as without, whole, in part, cast and many at once", async () => {
    const pool = CodecPool.open(2);
    expect(pool).toBeDefined();
    try {
      const file = await writeContainer({
        tensors,
        codec: "deflate",
        chunkBytes: 64 << 10,
        fileId: FILE_ID,
        manifest: manifestOf(null),
      });
      const alone = await ContainerReader.open(bytesSource(file));
      const pooled = await ContainerReader.open(bytesSource(file), { pool });
      for (const { spec: { name }, bytes } of tensors) {
        expect(Buffer.compare(await pooled.read(name), bytes)).toBe(0);
        const slice = { bytes: [3333, bytes.byteLength - 5] } as const;
        expect(Buffer.compare(await pooled.read(name, { slice }), await alone.read(name, { slice }))).toBe(0);
      }
      expect(await pooled.read("a", { cast: "bf16" })).toEqual(await alone.read("a", { cast: "bf16" }));
      const seen: string[] = [];
      for await (const { name, bytes } of pooled.readMany(["noise", "b", "a"])) {
        seen.push(name);
        expect(Buffer.compare(bytes, await alone.read(name))).toBe(0);
      }
      expect(seen).toEqual(["a", "b", "noise"]);
      const chunk = pooled.chunks[7] as (typeof pooled.chunks)[number];
      file[chunk.storedOffset + 40] = (file[chunk.storedOffset + 40] as number) ^ 1;
      const error = await thrownBy(() => pooled.read("a"));
      expect(error).toMatchObject({ code: "checksum_mismatch" });
      expect(error.message).toContain('chunk 7 of "a"');
      expect(Buffer.compare(await pooled.read("b"), tensors[1]?.bytes as Uint8Array)).toBe(0);
    } finally {
      await pool?.close();
    }
  });

  test("a stream that is left early leaves nothing behind, and a closed pool is no damage", async () => {
    const file = await writeContainer({
      tensors,
      codec: "deflate",
      chunkBytes: 64 << 10,
      fileId: FILE_ID,
      manifest: manifestOf(null),
    });
    const pool = CodecPool.open(1);
    const reader = await ContainerReader.open(bytesSource(file), { pool });
    for await (const { byteOffset } of reader.stream("a")) {
      expect(byteOffset).toBe(0);
      break;
    }
    await pool?.close();
    expect(await thrownBy(() => reader.read("a"))).toMatchObject({ code: "closed" });
  });
});
