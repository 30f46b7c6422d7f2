import { describe, expect, test } from "bun:test";
import { ContainerReader } from "../../../src/container/read/container_reader.ts";
import { joinContainers, type JoinedTensor } from "../../../src/container/write/join_containers.ts";
import { bytesSource } from "../../../src/container/source.ts";
import { writeContainer } from "../../../src/container/write/write_container.ts";
import { thrownBy } from "../../helpers/thrown.ts";

const MANIFEST = { kind: "tensors", state: {}, metrics: {}, provenance: {}, user: {} } as const;

function numbers(start: number, count: number): Uint8Array {
  return new Uint8Array(Uint16Array.from({ length: count }, (_, index) => start + index).buffer);
}

/**
 * Two files: one has the first three of seven rows of five numbers, the other one the rest, each among small tensors.
 */
async function twoFiles(damage?: number): Promise<[ContainerReader, ContainerReader]> {
  const file = async (start: number, rows: number): Promise<ContainerReader> => {
    const bytes = await writeContainer({
      tensors: [
        { spec: { name: `a${start}`, dtype: "u16", shape: [3] }, bytes: numbers(start, 3) },
        {
          spec: { name: "table", dtype: "u16", shape: [rows, 500] },
          bytes: numbers(start * 500, rows * 500),
        },
        { spec: { name: `b${start}`, dtype: "u8", shape: [2] }, bytes: Uint8Array.of(start, 9) },
      ],
      fileId: new Uint8Array(16).fill(start),
      codec: "raw",
      chunkBytes: 1024,
      manifest: MANIFEST,
    });
    if (damage !== undefined && start === 3) bytes[damage] = (bytes[damage] ?? 0) ^ 1;
    return await ContainerReader.open(bytesSource(bytes));
  };
  return [await file(0, 3), await file(3, 4)];
}

function whole(reader: ContainerReader, name: string): JoinedTensor {
  const { rawOffset, byteLength, ...spec } = reader.tensor(name);
  return { ...spec, ranges: [{ reader, rawOffset, byteLength }] };
}

function join(files: readonly ContainerReader[], tensors: readonly JoinedTensor[]): ContainerReader {
  return joinContainers({
    fileId: "00".repeat(16),
    manifest: MANIFEST,
    tensors,
    files: files.map((reader, index) => ({ label: `file ${index}`, reader })),
    close: async () => {
      for (const reader of files) await reader.close();
    },
  });
}

describe("joinContainers", () => {
  test("gives every tensor by every way of reading, whichever file its pieces are in", async () => {
    const [first, second] = await twoFiles();
    const table: JoinedTensor = {
      name: "table",
      dtype: "u16",
      shape: [7, 500],
      ranges: [...whole(first, "table").ranges, ...whole(second, "table").ranges],
    };
    const joined = join([first, second], [
      whole(second, "b3"),
      table,
      whole(first, "a0"),
      whole(first, "b0"),
      whole(second, "a3"),
    ]);
    const expected = numbers(0, 3500);
    expect(await joined.read("table")).toEqual(expected);
    expect(await joined.read("table", { slice: { rows: [2, 5] } })).toEqual(expected.slice(2000, 5000));
    expect(await joined.read("table", { slice: { bytes: [2999, 3003] } })).toEqual(
      expected.slice(2999, 3003),
    );
    const into = new Uint16Array(3500);
    await joined.readInto("table", into);
    expect(into[3499]).toBe(3499);
    const streamed: Uint8Array = new Uint8Array(7000);
    for await (const { byteOffset, bytes } of joined.stream("table")) streamed.set(bytes, byteOffset);
    expect(streamed).toEqual(expected);
    const many = new Map<string, Uint8Array>();
    for await (const { name, bytes } of joined.readMany(["a3", "table", "b3"])) many.set(name, bytes);
    expect(many.get("a3")).toEqual(numbers(3, 3));
    expect(many.get("table")).toEqual(expected);
    expect(many.get("b3")).toEqual(Uint8Array.of(3, 9));
    let end = 0;
    for await (const { rawOffset, bytes } of joined.rawChunks()) {
      expect([rawOffset, rawOffset % 256]).toEqual([end, 0]);
      end += bytes.byteLength;
    }
    expect(end).toBe(joined.rawByteLength);
    expect(await joined.verify()).toEqual({ ok: true, damaged: [] });
    await joined.close();
    expect((await thrownBy(() => joined.read("table"))).code).toBe("closed");
    expect((await thrownBy(() => first.read("table"))).code).toBe("closed");
  });

  test("what follows each other in a file is read chunk by chunk, as it lies there", async () => {
    const [first] = await twoFiles();
    const joined = join([first], first.tensors.map(({ name }) => whole(first, name)));
    expect(joined.chunks.map(({ rawOffset, rawLength }) => [rawOffset, rawLength])).toEqual(
      first.chunks.map(({ rawOffset, rawLength }) => [rawOffset, rawLength]),
    );
    await joined.close();
  });

  test("damage names the file and the tensor, and spoils no other; verify looks at every file", async () => {
    const [first, second] = await twoFiles(4096 + 300);
    const joined = join([first, second], [whole(first, "table"), whole(second, "a3"), whole(second, "b3")]);
    expect(await joined.read("table")).toEqual(numbers(0, 1500));
    expect(await joined.read("b3")).toEqual(Uint8Array.of(3, 9));
    const error = await thrownBy(() => joined.read("a3"));
    expect<unknown>([error.code, error.message]).toEqual([
      "checksum_mismatch",
      expect.stringMatching(/^In file 1: .*"a3"/),
    ]);
    const { ok, damaged } = await joined.verify();
    expect([ok, damaged.map(({ tensors }) => tensors)]).toEqual([false, [["a3", "table"]]]);
    expect(damaged[0]?.message).toMatch(/^In file 1: /);
    await joined.close();
  });

  test("ranges that are not as long as their tensor are a RangeError", async () => {
    const [first] = await twoFiles();
    const short = { ...whole(first, "table"), shape: [4, 500] };
    expect(await thrownBy(() => join([first], [short]))).toBeInstanceOf(RangeError);
  });

  test("tensors without elements, and none at all, are read as nothing", async () => {
    const [first] = await twoFiles();
    const empty: JoinedTensor = { name: "empty", dtype: "f32", shape: [0, 3], ranges: [] };
    for (const tensors of [[], [empty], [empty, whole(first, "b0")]]) {
      const joined = join([first], tensors);
      for (const { name, byteLength } of joined.tensors) {
        expect((await joined.read(name)).byteLength).toBe(byteLength);
      }
      for await (const _ of joined.rawChunks()) expect(tensors).toHaveLength(2);
    }
    await first.close();
  });
});
