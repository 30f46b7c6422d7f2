import process from "node:process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "bun:test";
import { type DType, DTYPES } from "../../../src/base/dtype.ts";
import type { TensorsToWrite } from "../../../src/exchange/outgoing.ts";
import { openSafetensors } from "../../../src/exchange/safetensors/open_safetensors.ts";
import { readSafetensors } from "../../../src/exchange/safetensors/read_safetensors.ts";
import { saveSafetensors } from "../../../src/exchange/safetensors/save_safetensors.ts";
import { SAFETENSORS_DTYPES } from "../../../src/exchange/safetensors/safetensors_dtype.ts";
import {
  type SafetensorsOptions,
  writeSafetensors,
} from "../../../src/exchange/safetensors/write_safetensors.ts";
import { type ByteSource, BytesSink, bytesSource } from "../../../src/container/source.ts";
import { MemoryStorage } from "../../../src/storage/memory_storage.ts";
import { HostTensor } from "../../../src/tensor/host_tensor.ts";
import { atEveryOperation, FaultStorage, fileNames } from "../../checkpoint/fixtures.ts";
import { thrownBy } from "../../helpers/thrown.ts";
import { pythonWith, runPython } from "../python.ts";
import { BAD_SAFETENSORS, entry, fileOf } from "../safetensors_files.ts";

const text = new TextDecoder();

/** The header of a file as text. */
function headerOf(file: Uint8Array): string {
  const length = Number(new DataView(file.buffer, file.byteOffset).getBigUint64(0, true));
  return text.decode(file.subarray(8, 8 + length));
}

async function written(tensors: TensorsToWrite, options?: SafetensorsOptions): Promise<Uint8Array> {
  const sink = new BytesSink();
  const report = await writeSafetensors(sink, tensors, options);
  expect(report.fileBytes).toBe(sink.toBytes().byteLength);
  return sink.toBytes();
}

/** A tensor of every dtype, with bytes that are all different. */
function everyDType(): Record<string, HostTensor> {
  return Object.fromEntries((Object.keys(DTYPES) as DType[]).map((dtype, i) => {
    const bytes = Uint8Array.from(
      { length: 6 * DTYPES[dtype].byteSize },
      (_, at) => dtype === "bool" ? at & 1 : at * 37 + i,
    );
    return [`of.${dtype}`, HostTensor.fromBytes(bytes, dtype, [2, 3])];
  }));
}

describe("safetensors files", () => {
  for (const [name, code, message, bytes] of BAD_SAFETENSORS) {
    test(`${name}: refused with ${code}`, async () => {
      const error = await thrownBy(() => readSafetensors(bytesSource(bytes)));
      expect([error.name, error.code]).toEqual(["CairnError", code]);
      expect(error.message).toMatch(message);
      expect(error.message.length).toBeLessThan(500);
    });
  }

  test("ST-01 a header may have any spacing and padding behind it, and nothing but the file bounds it", async () => {
    const spaced = ` ${entry("a", "U8", [3], 0, 3)} `.replaceAll(",", " ,\n\t");
    const file = await readSafetensors(bytesSource(fileOf(`{${spaced}}    `, Uint8Array.of(1, 2, 3))));
    expect([...(await file.read("a")).bytes]).toEqual([1, 2, 3]);
    expect((await readSafetensors(bytesSource(fileOf("{}")))).names()).toEqual([]);
  });

  test("ST-01 a header is not read before its length is known to be in the file", async () => {
    const reads: [number, number][] = [];
    const bytes = fileOf("{}");
    const counting: ByteSource = {
      byteLength: bytes.byteLength,
      read: (offset, into) => {
        reads.push([offset, into.byteLength]);
        return bytesSource(bytes).read(offset, into);
      },
    };
    await readSafetensors(counting);
    expect(reads).toEqual([[0, 8], [8, 2]]);
  });

  test("ST-01 the writer pads the header with spaces so that tensors begin at a multiple of 8", async () => {
    for (let length = 1; length <= 9; length++) {
      const file = await written({ ["n".repeat(length)]: HostTensor.from([1]) });
      const header = headerOf(file);
      expect(header.length % 8).toBe(0);
      expect(header).toMatch(/^\{.*\} *$/);
      expect(header.length - header.trimEnd().length).toBeLessThan(8);
    }
  });

  test("ST-02 metadata is text by name, and comes back", async () => {
    const metadata = { format: "pt", "größe": '1 " \\ \n', "": "", "2": "two" };
    const file = await readSafetensors(bytesSource(await written({ a: HostTensor.from([1]) }, { metadata })));
    expect(Object.fromEntries(file.metadata)).toEqual(metadata);
    expect(file.names()).toEqual(["a"]);
    const wrong = { step: 1 } as unknown as Record<string, string>;
    expect((await thrownBy(() => written({}, { metadata: wrong }))).message).toMatch(
      /"step" is number, expected text/,
    );
  });

  test("ST-03 tensors tile the buffer, in whatever order the header has them", async () => {
    const header = `{${entry("b", "U8", [2], 4, 6)},${entry("none", "F32", [0], 4, 4)},${
      entry("a", "F32", [1], 0, 4)
    }}`;
    const file = await readSafetensors(bytesSource(fileOf(header, Uint8Array.of(0, 0, 128, 63, 7, 8))));
    expect(file.names()).toEqual(["a", "none", "b"]);
    expect((await file.read("a")).item()).toBe(1);
    expect([...(await file.read("b")).bytes]).toEqual([7, 8]);
  });

  test("ST-03 no truncation and no extension of a file is accepted", async () => {
    const file = await written({ a: HostTensor.from([1, 2, 3]), b: HostTensor.from([true, false]) });
    for (let length = 0; length < file.byteLength; length++) {
      expect((await thrownBy(() => readSafetensors(bytesSource(file.slice(0, length))))).name).toBe(
        "CairnError",
      );
    }
    const longer = new Uint8Array(file.byteLength + 1);
    longer.set(file);
    expect((await thrownBy(() => readSafetensors(bytesSource(longer)))).code).toBe("invalid_file");
  });

  test("ST-04 scalars, tensors without elements and any name go both ways", async () => {
    const tensors: [string, HostTensor][] = [
      ["", HostTensor.from(7, [])],
      ["10", HostTensor.from([], [0, 5], "f32")],
      ["9", HostTensor.from([], [3, 0, 2], "i64")],
      ["__proto__", HostTensor.from([1, 2])],
      ["constructor", HostTensor.from([3])],
      ['größe 重み 😀 \u0000 "', HostTensor.from([4])],
      ["x".repeat(5000), HostTensor.from([5])],
    ];
    const file = await readSafetensors(bytesSource(await written(tensors)));
    expect([...file.names()].sort()).toEqual(tensors.map(([name]) => name).sort());
    for (const [name, tensor] of tensors) {
      const back = await file.read(name);
      expect([back.dtype, back.shape, [...back.bytes]]).toEqual([tensor.dtype, tensor.shape, [
        ...tensor.bytes,
      ]]);
    }
    expect((await thrownBy(() => written([...tensors, ["", HostTensor.from([1])]]))).message)
      .toMatch(/two tensors named ""/);
    const reserved = await thrownBy(() => written([["__metadata__", HostTensor.from([1])]]));
    expect(reserved.message).toMatch(/keeps for itself/);
    expect((await thrownBy(() => file.read("missing"))).code).toBe("not_found");
  });

  test("ST-05 every dtype of Cairn goes both ways, bit by bit", async () => {
    const tensors = everyDType();
    const file = await readSafetensors(bytesSource(await written(tensors)));
    expect(file.names().length).toBe(Object.keys(DTYPES).length);
    for (const [name, tensor] of Object.entries(tensors)) {
      expect((await file.read(name)).equals(tensor)).toBe(true);
    }
  });

  test("ST-05 the writer puts the widest dtype first, then goes by name in the order of UTF-8", async () => {
    const names = ["b", "a", "\uffee", "😀", "B"];
    const file = await written([
      ...names.map((name): [string, HostTensor] => [name, HostTensor.from([1], [1], "f32")]),
      ["z.i64", HostTensor.from([1n])],
      ["a.bool", HostTensor.from([true])],
      ["z.u64", HostTensor.from([1n], [1], "u64")],
      ["a.bf16", HostTensor.from([1], [1], "bf16")],
      ["a.f16", HostTensor.from([1], [1], "f16")],
    ]);
    expect((await readSafetensors(bytesSource(file))).names())
      .toEqual(["z.u64", "z.i64", "B", "a", "b", "\uffee", "😀", "a.bf16", "a.f16", "a.bool"]);
    const offsets = [...headerOf(file).matchAll(/"data_offsets":\[(\d+),/g)].map(([, begin]) =>
      Number(begin)
    );
    expect(offsets).toEqual([0, 8, 16, 20, 24, 28, 32, 36, 38, 40]);
  });

  test("ST-05 a dtype that Cairn does not have is listed, named when it is read, and open as bytes", async () => {
    for (const { name, bits, dtype } of SAFETENSORS_DTYPES) {
      const byteLength = bits;
      const data = Uint8Array.from({ length: byteLength + 4 }, (_, i) => i);
      const header = `{${entry("a", name, [8], 0, byteLength)},${
        entry("b", "F32", [1], byteLength, byteLength + 4)
      }}`;
      const file = await readSafetensors(bytesSource(fileOf(header, data)));
      expect(await file.describe("a")).toEqual({
        name: "a",
        ...dtype === undefined ? {} : { dtype },
        storedAs: name,
        shape: [8],
        byteLength,
      });
      expect([...await file.readBytes("a")]).toEqual([...data.subarray(0, byteLength)]);
      expect((await file.read("b")).dtype).toBe("f32");
      if (dtype !== undefined) continue;
      const error = await thrownBy(() => file.read("a"));
      expect(error.code).toBe("unsupported");
      expect(error.message).toContain(`dtype ${name}`);
    }
    const nine = `{${entry("a", "U8", [1, 1, 1, 1, 1, 1, 1, 1, 1], 0, 1)}}`;
    const file = await readSafetensors(bytesSource(fileOf(nine, 1)));
    expect((await thrownBy(() => file.read("a"))).message).toMatch(/9 dimensions/);
  });

  test("ST-06 elements are little-endian and row-major, and NaN and infinities pass", async () => {
    const file = await written({ a: HostTensor.from([NaN, -Infinity, 258], [3], "f32") });
    expect([...file.slice(-12)]).toEqual([0, 0, 192, 127, 0, 0, 128, 255, 0, 0, 129, 67]);
  });

  test("ST-06 tensors that are the same memory are written once, and the metadata says which were dropped", async () => {
    const shared = HostTensor.from([1, 2, 3, 4], [2, 2]);
    const again = HostTensor.fromBytes(shared.bytes, "f32", [2, 2]);
    const bytes = await written({ "head.weight": shared, "embed.weight": again, bias: HostTensor.from([5]) });
    const file = await readSafetensors(bytesSource(bytes));
    expect(file.names()).toEqual(["bias", "embed.weight"]);
    expect(Object.fromEntries(file.metadata)).toEqual({ "head.weight": "embed.weight" });
    expect([...file.aliases()]).toEqual([["head.weight", "embed.weight"]]);
    expect((await file.read("embed.weight")).equals(shared)).toBe(true);
    const spec = { dtype: "u8", shape: [2], pieces: () => [Uint8Array.of(1, 2)] } as const;
    const report = await writeSafetensors(new BytesSink(), [{ name: "b", ...spec }, {
      name: "a",
      ...spec,
      aliasOf: "b",
    }]);
    expect([report.tensors, ...report.dropped]).toEqual([1, ["b", "a"]]);
  });

  test("ST-06 tensors that share memory only in part are refused", async () => {
    const { bytes } = HostTensor.from([1, 2, 3, 4]);
    const parts = {
      first: HostTensor.fromBytes(bytes.subarray(0, 12), "f32", [3]),
      second: HostTensor.fromBytes(bytes.subarray(8), "f32", [2]),
    };
    expect((await thrownBy(() => written(parts))).message).toMatch(/"first" and "second" share memory/);
    const reshaped = {
      a: HostTensor.fromBytes(bytes, "f32", [4]),
      b: HostTensor.fromBytes(bytes, "f32", [2, 2]),
    };
    expect(await thrownBy(() => written(reshaped))).toBeInstanceOf(TypeError);
    const halves = {
      a: HostTensor.fromBytes(bytes.subarray(0, 8), "f32", [2]),
      b: HostTensor.fromBytes(bytes.subarray(8), "f32", [2]),
    };
    expect((await readSafetensors(bytesSource(await written(halves)))).names()).toEqual(["a", "b"]);
  });

  test("a tensor can come and go in pieces, and has to have all of its bytes", async () => {
    const length = (1 << 21) + 5;
    const pieces = function* (): Generator<Uint8Array> {
      for (let at = 0; at < length; at += 100_000) {
        yield new Uint8Array(Math.min(100_000, length - at)).fill(at / 100_000);
      }
    };
    const bytes = await written([{ name: "a", dtype: "u8", shape: [length], pieces }]);
    const file = await readSafetensors(bytesSource(bytes));
    let at = bytes.byteLength - length;
    for await (const piece of file.pieces("a")) {
      expect(piece.byteLength).toBeLessThanOrEqual(1 << 20);
      expect(piece.every((value, i) => value === bytes[at + i])).toBe(true);
      at += piece.byteLength;
    }
    expect(at).toBe(bytes.byteLength);
    for (const wrong of [length - 1, length + 1]) {
      const tensors = [{ name: "a", dtype: "u8" as const, shape: [wrong], pieces }];
      expect((await thrownBy(() => written(tensors))).message).toMatch(/takes \d+ bytes; its pieces are/);
    }
  });

  test("a closed file says so, and an abort is what stops a read or a write", async () => {
    let closed = 0;
    const bytes = await written({ a: HostTensor.from([1]) });
    const file = await readSafetensors({
      ...bytesSource(bytes),
      close: () => Promise.resolve(void closed++),
    });
    const signal = AbortSignal.abort(new Error("enough"));
    expect((await thrownBy(() => file.read("a", { signal }))).message).toBe("enough");
    expect((await thrownBy(() => written({ a: HostTensor.from([1]) }, { signal }))).message).toBe("enough");
    await file.close();
    await file.close();
    expect(closed).toBe(1);
    expect((await thrownBy(() => file.read("a"))).code).toBe("closed");
  });
});

describe("safetensors headers of many tensors", () => {
  const names: [kind: string, nameOf: (i: number) => string][] = [
    ["of layers", (i) => `model.layers.${i}.weight`],
    ["that are numbers, backwards", (i) => `${4_000_000 - i}`],
    ["that differ in their first letters only", (i) => `${i}.${"weight".repeat(10)}`],
    ["with escapes", (i) => `\\u0061\\n${i}`],
  ];
  for (const [kind, nameOf] of names) {
    test(`names ${kind}: four times the tensors take about four times the processor's time`, async () => {
      const fileWith = (count: number): Uint8Array => {
        const entries = Array.from(
          { length: count },
          (_, i) => `"${nameOf(i)}":{"dtype":"U8","shape":[1],"data_offsets":[${i},${i + 1}]}`,
        );
        return fileOf(`{${entries.join(",")}}`, count);
      };
      const microsecondsOf = async (count: number): Promise<number> => {
        const file = fileWith(count);
        const before = process.cpuUsage();
        expect((await readSafetensors(bytesSource(file))).names().length).toBe(count);
        const { user } = process.cpuUsage(before);
        return user;
      };
      await microsecondsOf(2_000);
      const few = Math.max(await microsecondsOf(8_000), await microsecondsOf(8_000));
      // In quadratic time it would be 16 times as much.
      expect(await microsecondsOf(32_000) / few).toBeLessThan(10);
    }, 600_000);
  }
});

describe("safetensors in a storage", () => {
  const before = { a: HostTensor.from([1, 2]) };
  const after = { a: HostTensor.from([3, 4]) };

  test("ST-07 a file is replaced completely or not at all, wherever the machine stops", async () => {
    for (const takesEffect of [false, true]) {
      const points = await atEveryOperation(async (at) => {
        const inner = new MemoryStorage();
        await saveSafetensors(inner, "runs/m.safetensors", before);
        const storage = new FaultStorage(inner);
        storage.crashAt(at, { takesEffect });
        const outcome = await saveSafetensors(storage, "runs/m.safetensors", after, { overwrite: true })
          .then(() => "saved", () => "failed");
        const file = await openSafetensors(inner, "runs/m.safetensors");
        const found = await file.read("a");
        expect(found.equals(after.a) || (outcome === "failed" && found.equals(before.a))).toBe(true);
        await file.close();
        return storage;
      });
      expect(points).toBeGreaterThan(6);
    }
  });

  test("ST-07 nothing is replaced unasked, and a failed save leaves no file behind", async () => {
    const storage = new MemoryStorage();
    await saveSafetensors(storage, "m.safetensors", before);
    expect((await thrownBy(() => saveSafetensors(storage, "m.safetensors", after))).code).toBe(
      "already_exists",
    );
    const broken = [{ name: "a", dtype: "u8" as const, shape: [5], pieces: () => [new Uint8Array(4)] }];
    expect(await thrownBy(() => saveSafetensors(storage, "n.safetensors", broken))).toBeInstanceOf(
      RangeError,
    );
    expect(await fileNames(storage)).toEqual(["m.safetensors"]);
    expect(await thrownBy(() => saveSafetensors(storage, "m.pt", after))).toBeInstanceOf(TypeError);
    const missing = await thrownBy(() => openSafetensors(storage, "x.safetensors"));
    expect(missing.code).toBe("not_found");
  });

  const large = {
    a: HostTensor.from([1, 2, 3]),
    b: HostTensor.from([4, 5]),
    c: HostTensor.from([6]),
    d: HostTensor.from(new Float64Array(10)),
  };
  const tied = { ...large, e: HostTensor.fromBytes(large.b.bytes, "f32", [2]) };

  test("ST-08 a model that is too large for one file gets several and an index, and opens as one", async () => {
    const storage = new MemoryStorage();
    const seen: number[] = [];
    const saved = await saveSafetensors(storage, "out/model.safetensors", tied, {
      maxFileBytes: 20,
      metadata: { format: "pt" },
      onProgress: ({ done, total }) => seen.push(done / total),
    });
    const files = [1, 2, 3].map((i) => `model-0000${i}-of-00003.safetensors`);
    expect((await storage.list("out")).map(({ name }) => name)).toEqual([
      ...files,
      "model.safetensors.index.json",
    ]);
    expect(saved.path).toBe("out/model.safetensors.index.json");
    expect(saved.files).toEqual(files.map((file) => `out/${file}`));
    expect([...saved.dropped]).toEqual([["e", "b"]]);
    expect(seen.at(-1)).toBe(1);
    const model = await openSafetensors(storage, saved.path);
    expect(model.names()).toEqual(["a", "b", "c", "d"]);
    for (const [name, tensor] of Object.entries(large)) {
      expect((await model.read(name)).equals(tensor)).toBe(true);
    }
    expect((await model.describe("d")).storedAs).toBe("F64");
    expect((await thrownBy(() => model.read("e"))).code).toBe("not_found");
    await model.close();
    expect((await thrownBy(() => model.read("a"))).code).toBe("closed");
    expect(await indexOf(storage, saved.path)).toEqual({
      metadata: { total_size: 104 },
      weight_map: { a: files[0], b: files[0], c: files[1], d: files[2] },
    });
  });

  test("ST-08 the index comes last, and a model in several files is never replaced", async () => {
    await atEveryOperation(async (at) => {
      const inner = new MemoryStorage();
      const storage = new FaultStorage(inner);
      storage.crashAt(at, { takesEffect: true });
      const outcome = await saveSafetensors(storage, "m.safetensors", large, { maxFileBytes: 20 })
        .then(() => "saved", () => "failed");
      const hasIndex = (await fileNames(inner)).includes("m.safetensors.index.json");
      if (outcome === "saved") expect(hasIndex).toBe(true);
      if (hasIndex) {
        const model = await openSafetensors(inner, "m.safetensors.index.json");
        for (const [name, tensor] of Object.entries(large)) {
          expect((await model.read(name)).equals(tensor)).toBe(true);
        }
        const again = await thrownBy(() =>
          saveSafetensors(inner, "m.safetensors", large, { maxFileBytes: 20, overwrite: true })
        );
        expect(again.code).toBe("already_exists");
        expect((await model.read("a")).equals(large.a)).toBe(true);
      } else {
        await saveSafetensors(inner, "m.safetensors", large, { maxFileBytes: 20 });
      }
      return storage;
    });
  });

  test("ST-08 a refused save touches no file, and a tensor is never cut", async () => {
    const storage = new MemoryStorage();
    const saved = await saveSafetensors(storage, "m.safetensors", large, { maxFileBytes: 1 });
    expect(saved.files.length).toBe(4);
    const others = Object.fromEntries(Object.keys(large).map((name) => [name, HostTensor.from([9, 9, 9])]));
    const error = await thrownBy(() =>
      saveSafetensors(storage, "m.safetensors", others, { maxFileBytes: 1 })
    );
    expect(error.code).toBe("already_exists");
    const model = await openSafetensors(storage, saved.path);
    for (const [name, tensor] of Object.entries(large)) {
      expect((await model.read(name)).equals(tensor)).toBe(true);
    }
  });

  const badIndexes: [name: string, code: string, message: RegExp, index: string][] = [
    ["that is no JSON", "invalid_file", /not JSON/, "{"],
    ["without a weight_map", "invalid_file", /no object weight_map/, '{"metadata":{}}'],
    ["with a list for a weight_map", "invalid_file", /no object weight_map/, '{"weight_map":[]}'],
    ["that points above", "invalid_file", /no file beside it/, '{"weight_map":{"a":"../m.safetensors"}}'],
    [
      "that points to an absolute path",
      "invalid_file",
      /no file beside it/,
      '{"weight_map":{"a":"/etc/m.safetensors"}}',
    ],
    [
      "that points to another drive",
      "invalid_file",
      /no file beside it/,
      '{"weight_map":{"a":"C:m.safetensors"}}',
    ],
    ["that points to a pickle", "invalid_file", /no file beside it/, '{"weight_map":{"a":"m.bin"}}'],
    ["that points to a number", "invalid_file", /no file beside it/, '{"weight_map":{"a":1}}'],
    [
      "with a tensor twice",
      "invalid_file",
      /"a" twice/,
      '{"weight_map":{"a":"m.safetensors","a":"m.safetensors"}}',
    ],
    ["that names a missing file", "not_found", /n\.safetensors/, '{"weight_map":{"a":"n.safetensors"}}'],
    [
      "that names a missing tensor",
      "invalid_file",
      /no such tensor/,
      '{"weight_map":{"a":"m.safetensors","x":"m.safetensors"}}',
    ],
    [
      "that forgets a tensor",
      "invalid_file",
      /"b", which it does not list/,
      '{"weight_map":{"a":"m.safetensors"}}',
    ],
  ];
  for (const [name, code, message, index] of badIndexes) {
    test(`ST-08 an index ${name} is refused`, async () => {
      const storage = new FaultStorage(new MemoryStorage());
      await saveSafetensors(storage, "m.safetensors", { a: large.a, b: large.b });
      const writer = await storage.createExclusive("m.safetensors.index.json");
      await writer.write(new TextEncoder().encode(index));
      await writer.close();
      const error = await thrownBy(() => openSafetensors(storage, "m.safetensors.index.json"));
      expect([error.name, error.code]).toEqual(["CairnError", code]);
      expect(error.message).toMatch(message);
      expect(storage.openHandles).toBe(0);
    });
  }

  test("ST-08 shards of a distributed run keep what their metadata says about them", async () => {
    const note = { DCP_SHARDING_INFO: '{"a":{"saved_offsets":[0,4]}}' };
    const file = await readSafetensors(bytesSource(await written(before, { metadata: note })));
    expect(file.metadata.get("DCP_SHARDING_INFO")).toBe(note.DCP_SHARDING_INFO);
  });
});

describe("files of the reference implementation (files/make_safetensors.py)", () => {
  test("ST-05 a file with every dtype is read, and written again byte for byte", async () => {
    const bytes = realFile("every_dtype.safetensors");
    const file = await readSafetensors(bytesSource(bytes));
    expect(file.names().length).toBe(14);
    expect([...(await file.read("model.weight")).toArray()]).toEqual([0, 0.25, 0.5, 0.75, 1, 1.25]);
    expect([...(await file.read("a.bf16")).toArray()]).toEqual([1.5, -2]);
    expect((await file.read("i64")).toArray()[0]).toBe(-4n);
    expect((await file.read("größe 😀")).shape).toEqual([0, 4]);
    const tensors: [string, HostTensor][] = [];
    for (const name of file.names()) tensors.unshift([name, await file.read(name)]);
    expect(await written(tensors, { metadata: Object.fromEntries(file.metadata) })).toEqual(bytes);
  });

  test("ST-06 tied weights are dropped under the same name as there, byte for byte", async () => {
    const bytes = realFile("tied.safetensors");
    const weight = HostTensor.from([[1, 2], [3, 4]]);
    const model = { "head.weight": weight, "head.bias": HostTensor.from([5, 6]), "embed.weight": weight };
    expect(await written(model)).toEqual(bytes);
    expect([...(await readSafetensors(bytesSource(bytes))).aliases()]).toEqual([[
      "head.weight",
      "embed.weight",
    ]]);
  });
});

/** Prints what the reference finds in a file, and writes the same again. */
const PROGRAM = `
import sys
from safetensors.numpy import load, save
found = load(open(sys.argv[1], "rb").read())
for name, array in sorted(found.items()):
    print(name, array.dtype.str[1:], list(array.shape), array.tobytes().hex())
open(sys.argv[2], "wb").write(save(found))
`;

test("ST-05 the reference implementation itself reads what is written here, and writes the same bytes", async () => {
  const python = pythonWith("safetensors", "numpy");
  if (python === undefined) return;
  const folder = mkdtempSync(join(tmpdir(), "cairn-safetensors-"));
  try {
    const there = join(folder, "there");
    const back = join(folder, "back");
    // NumPy has no bf16.
    const { "of.bf16": _, ...others } = everyDType();
    const tensors: Record<string, HostTensor> = {
      ...others,
      scalar: HostTensor.from(7, []),
      empty: HostTensor.from([], [0, 2], "f32"),
    };
    const bytes = await written(tensors);
    writeFileSync(there, bytes);
    const lines = runPython(python, "-c", PROGRAM, there, back).trim().split("\n");
    const expected = Object.entries(tensors).sort(([a], [b]) => a < b ? -1 : 1).map(([name, tensor]) => {
      const code = tensor.dtype === "bool" ? "b1" : `${tensor.dtype[0]}${DTYPES[tensor.dtype].byteSize}`;
      const hex = [...tensor.bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
      return `${name} ${code} [${tensor.shape.join(", ")}] ${hex}`.trim();
    });
    expect(lines.map((line) => line.trim())).toEqual(expected);
    const again: Uint8Array = new Uint8Array(readFileSync(back));
    expect(again).toEqual(bytes);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

function realFile(name: string): Uint8Array {
  return new Uint8Array(readFileSync(new URL(`../files/${name}`, import.meta.url)));
}

async function indexOf(storage: MemoryStorage, path: string): Promise<unknown> {
  const reader = await storage.openRead(path);
  const bytes = new Uint8Array(reader.byteLength);
  await reader.read(0, bytes);
  await reader.close();
  return JSON.parse(text.decode(bytes));
}
