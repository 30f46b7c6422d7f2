import { describe, expect, test } from "bun:test";
import { crc32OfTables } from "../../src/base/crc32/crc32_tables.ts";
import { ContainerReader } from "../../src/container/read/container_reader.ts";
import { type ByteSource, bytesSource } from "../../src/container/source.ts";
import { writeContainer } from "../../src/container/write/write_container.ts";
import { cpuMs } from "../helpers/cpu_time.ts";
import { thrownBy } from "../helpers/thrown.ts";
import { BAD, plane } from "./bad_files.ts";
import { both, chunk, codeOf, deflated, goodFile, header, planes, renameTo } from "./file_edits.ts";
import { forged, poke } from "./forge.ts";
import { FILE_ID, manifestOf, sampleTensors } from "./samples.ts";

const file = await goodFile();

describe("a faulty file with correct checksums", () => {
  test("is accepted when nothing is changed, which shows that the forge is right", async () => {
    expect(forged(file, () => {})).toEqual(file);
    expect(await codeOf(forged(file, () => {}))).toBe("accepted");
    const good = planes(plane, plane, plane, plane);
    expect(await codeOf(forged(file, deflated(good)))).toBe("accepted");
    expect(await codeOf(forged(file, renameTo(1, "Größe")))).toBe("accepted");
  });

  test("there are enough of them, and no name twice", () => {
    expect(BAD.length).toBeGreaterThanOrEqual(150);
    expect(new Set(BAD.map(([name]) => name)).size).toBe(BAD.length);
  });

  for (const [name, code, edit] of BAD) {
    test(`${name} is ${code}`, async () => {
      const bytes = forged(file, edit);
      const before = cpuMs();
      expect(await codeOf(bytes)).toBe(code);
      expect(cpuMs() - before).toBeLessThan(10_000);
      expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
    });
  }

  /** A file of one tensor of zeros, whose chunks are then told to be others; `columns` are all of the table. */
  async function withChunks(rawBytes: number, columns: {
    stored: [offset: number, byteLength: number][];
    raw: number[];
    codec: number;
  }): Promise<Uint8Array> {
    const { stored, raw, codec } = columns;
    const zeros = new Uint8Array(rawBytes);
    const tensors = [{ spec: { name: "a", dtype: "u8" as const, shape: [rawBytes] }, bytes: zeros }];
    const contents = { tensors, fileId: FILE_ID, manifest: manifestOf(null), codec: "raw" as const };
    return forged(await writeContainer(contents), (parts) => {
      parts.chunkCount = raw.length;
      parts.chunks = new Uint8Array(26 * raw.length);
      for (const [index, [offset, byteLength]] of stored.entries()) {
        const rawLength = raw[index] as number;
        const crc = crc32OfTables(zeros.subarray(0, rawLength));
        poke(parts.chunks, 8 * index, 8, 4096 + offset);
        for (const [column, value] of [byteLength, rawLength, crc, crc].entries()) {
          poke(parts.chunks, (8 + 4 * column) * raw.length + 4 * index, 4, value);
        }
        poke(parts.chunks, 24 * raw.length + index, 1, codec);
        poke(parts.chunks, 25 * raw.length + index, 1, 2);
      }
      const [offset, byteLength] = stored.at(-1) as [number, number];
      parts.data = parts.data.slice(0, Math.ceil((offset + byteLength) / 64) * 64);
    });
  }

  test("chunks have to be multiples of 256 raw bytes up to 16 MiB, and none is empty", async () => {
    const most = 16 << 20;
    const cases: [string, number, [number, number][], number[]][] = [
      ["accepted", 512, [[0, 256], [256, 256]], [256, 256]],
      ["invalid_container", 512, [[0, 128], [128, 384]], [128, 384]],
      ["invalid_container", 512, [[0, 512], [512, 0]], [512, 0]],
      ["accepted", most, [[0, most]], [most]],
      ["invalid_container", most + 256, [[0, most + 256]], [most + 256]],
    ];
    for (const [code, rawBytes, stored, raw] of cases) {
      expect(await codeOf(await withChunks(rawBytes, { stored, raw, codec: 0 }))).toBe(code);
    }
  });

  test("a chunk that promises more than 1032 bytes a stored byte is refused before it is read", async () => {
    const bomb = await withChunks(1 << 20, { stored: [[0, 1016]], raw: [1 << 20], codec: 1 });
    const error = await thrownBy(() => ContainerReader.open(bytesSource(bomb)));
    expect(error.code).toBe("invalid_container");
    expect(error.message).toMatch(/promises 1048576 bytes from 1016/);
    const most = await withChunks(1 << 20, { stored: [[0, 1017]], raw: [1 << 20], codec: 1 });
    await ContainerReader.open(bytesSource(most));
  });

  test("optional flags may be set: a reader need not know them", async () => {
    expect(await codeOf(forged(file, header(16, 4, 0xffff_ffff)))).toBe("accepted");
  });

  test("raw bytes between tensors that are not zero are damage, but spoil no tensor", async () => {
    const bytes = forged(file, (parts) => {
      parts.data[200] = 1;
      const crc = crc32OfTables(parts.data.subarray(0, 256));
      both(chunk("storedCrc", 0, 4, crc), chunk("rawCrc", 0, 4, crc))(parts);
    });
    const reader = await ContainerReader.open(bytesSource(bytes));
    expect((await reader.verify()).damaged).toEqual([
      {
        chunk: 0,
        tensors: ["weight", "tied"],
        message: "The raw bytes 128 to 256, between two tensors, are not zero",
      },
    ]);
    expect(await reader.read("weight")).toEqual(sampleTensors()[0]?.bytes as Uint8Array);
  });
});

describe("hostile files stay cheap", () => {
  test("a hundred thousand tensors that share one range open, and cost what their table costs", async () => {
    const bytes = new Uint8Array(256);
    const tensors = [
      { spec: { name: "all", dtype: "u8" as const, shape: [256] }, bytes },
      ...Array.from({ length: 100_000 }, (_, i) => ({
        spec: { name: `a${i}`, dtype: "u8" as const, shape: [256], aliasOf: "all" },
        bytes: new Uint8Array(0),
      })),
    ];
    const shared = await writeContainer({
      tensors,
      fileId: FILE_ID,
      manifest: manifestOf(null),
      codec: "raw",
    });
    expect(shared.byteLength).toBeLessThan(5 << 20);
    const broken = shared.slice();
    broken[4096] = 1;
    let bytesRead = 0;
    const { byteLength, read } = bytesSource(broken);
    const counted: ByteSource = {
      byteLength,
      read: async (offset, into, ...rest) => {
        bytesRead += into.byteLength;
        await read(offset, into, ...rest);
      },
    };
    const before = cpuMs();
    const { damaged } = await (await ContainerReader.open(counted)).verify();
    expect(damaged[0]?.tensors.length).toBe(1000);
    expect(bytesRead).toBeLessThan(2 * broken.byteLength);
    expect(cpuMs() - before).toBeLessThan(20_000);
  });
});
