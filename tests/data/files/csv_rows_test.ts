import { gzipSync } from "fflate";
import { describe, expect, test } from "bun:test";
import { bytesSource } from "../../../src/container/source.ts";
import type { ByteSource } from "../../../src/container/source.ts";
import { csvRows, numbersIn, readCsv } from "../../../src/data/files/csv_rows.ts";
import { jsonlRows } from "../../../src/data/files/jsonl_rows.ts";
import { StreamLoader } from "../../../src/data/stream/stream_loader.ts";
import { thrownBy } from "../../helpers/thrown.ts";

function file(text: string): ByteSource {
  return bytesSource(new TextEncoder().encode(text));
}

/** A file that says what was read of it. */
function watched(text: string): ByteSource & { readonly reads: number[] } {
  const inner = file(text);
  const reads: number[] = [];
  return {
    reads,
    byteLength: inner.byteLength,
    read(offset, into) {
      reads.push(into.byteLength);
      return inner.read(offset, into);
    },
  };
}

async function all<T>(items: AsyncIterable<T> | Iterable<T>): Promise<T[]> {
  const list: T[] = [];
  for await (const item of items) list.push(item);
  return list;
}

const OPEN = { epoch: 0, seed: 0, first: 0, signal: new AbortController().signal };

describe("csvRows", () => {
  test("DA-05 gives rows by the names of their columns, quotes and line breaks in them included", async () => {
    const rows = await readCsv(
      file('name,size,note\r\nA,1,"x, ""y"""\r\n\r\nB,2,"two\r\nlines"\r\nC,3,\r\n'),
    );
    expect(rows).toEqual([
      { name: "A", size: "1", note: 'x, "y"' },
      { name: "B", size: "2", note: "two\r\nlines" },
      { name: "C", size: "3", note: "" },
    ]);
  });

  test("DA-05 takes any end of a line, a delimiter, names that are given, and a mark of the byte order", async () => {
    for (const newline of ["\n", "\r\n", "\r"]) {
      const text = ["\ufeffa;b", '"1\n2";3', "4;5"].join(newline);
      expect(await readCsv(file(text), { delimiter: ";" })).toEqual([{ a: "1\n2", b: "3" }, {
        a: "4",
        b: "5",
      }]);
    }
    expect(await readCsv(file("1,2\n3,4"), { columns: ["x", "y"] })).toEqual([{ x: "1", y: "2" }, {
      x: "3",
      y: "4",
    }]);
    expect(await readCsv(file("a,b\n"))).toEqual([]);
    expect(await readCsv(file("a\n1"))).toEqual([{ a: "1" }]);
  });

  test("DA-05 reads a long file piece by piece and no further than it has to, also of gzip", async () => {
    const lines = Array.from({ length: 60_000 }, (_, at) => `${at},"é ${at}, ${"x".repeat(at % 40)}"`);
    const text = `id,text\n${lines.join("\n")}\n`;
    const source = watched(text);
    const first: string[] = [];
    for await (const row of await csvRows(source).open(OPEN)) if (first.push(row.id ?? "") === 3) break;
    expect(first).toEqual(["0", "1", "2"]);
    expect(source.reads.reduce((sum, bytes) => sum + bytes)).toBeLessThan(300_000);
    const rows = await readCsv(source);
    expect([rows.length, rows.at(-1)]).toEqual([60_000, {
      id: "59999",
      text: `é 59999, ${"x".repeat(59_999 % 40)}`,
    }]);
    const packed = gzipSync(new TextEncoder().encode(text));
    expect(await readCsv(bytesSource(packed))).toEqual(rows);
    const cut = await thrownBy(() => readCsv(bytesSource(packed.subarray(0, -9))));
    expect(cut).toMatchObject({ code: "invalid_file" });
    expect(cut.message).toContain("Cannot unpack");
  });

  test("DA-05 what is no table is refused with its row", async () => {
    const message = async (text: string) => (await thrownBy(() => readCsv(file(text)))).message;
    expect(await message("a,b\n1,2\n1,2,3\n")).toBe(
      "Row 3 of the CSV file cannot be read: it has 3 fields, expected 2",
    );
    expect(await message('a,b\n1,2\n"1,2\n')).toContain("Row 3 of the CSV file cannot be read: quoted field");
    expect(await message('a,b\n"x"y,2\n3,4\n')).toContain(
      "Row 2 of the CSV file cannot be read: trailing quote",
    );
    expect(await message("a,a\n1,2\n")).toContain('Two columns of the CSV file are called "a"');
    expect((await thrownBy(() => readCsv("/nowhere/at/all.csv"))).message).toContain("/nowhere/at/all.csv");
  });

  test("DA-05 numbersIn gives numbers of columns, and says what is none", () => {
    const row = { a: "1.5", b: " -2e3 ", c: "", d: "x", e: "NaN" };
    expect([...numbersIn(row, ["b", "a", "e"])]).toEqual([-2000, 1.5, NaN]);
    expect(() => numbersIn(row, ["c"])).toThrow('Column "c" is "", expected a number');
    expect(() => numbersIn(row, ["d"])).toThrow('Column "d" is "x", expected a number');
    expect(() => numbersIn(row, ["f"])).toThrow('There is no column "f" among "a", "b"');
  });

  test("DA-05 a stream of rows is counted, decoded and described for a run", async () => {
    const source = file(`x,y\n${Array.from({ length: 25 }, (_, at) => `${at},${at % 3}`).join("\n")}`);
    const loader = await StreamLoader.open(csvRows(source), {
      batchSize: 10,
      transform: (row) => ({ inputs: numbersIn(row, ["x"]), labels: Number(row.y) }),
      labels: { dtype: "u32", shape: [] },
    });
    expect(loader.exampleCount).toBe(25);
    const { inputs, labels } = await loader.batchAt({ seed: 0, epoch: 0, position: 2 });
    expect([inputs, labels]).toEqual([
      new Float32Array([20, 21, 22, 23, 24]),
      new Uint32Array([2, 0, 1, 2, 0]),
    ]);
    expect(await loader.describe()).toMatchObject({
      stream: { name: "file", byteLength: source.byteLength },
    });
    const bad = await StreamLoader.open(csvRows(file("x,y\n1,2\n3,\n")), {
      batchSize: 2,
      transform: (row) => ({ inputs: numbersIn(row, ["x", "y"]) }),
    });
    expect((await thrownBy(() => bad.batchAt({ seed: 0, epoch: 0, position: 0 }))).message).toBe(
      'Cannot read example 1 of batch 0 of epoch 1: Column "y" is "", expected a number',
    );
  });
});

describe("jsonlRows", () => {
  test("DA-05 gives the value of each line, and names the line that has none", async () => {
    const rows = jsonlRows(file('{"a":[1,2]}\n\n"é"\r\n3'));
    expect(await all(await rows.open(OPEN))).toEqual([{ a: [1, 2] }, "é", 3]);
    const refused = await thrownBy(async () => all(await jsonlRows(file('{"a":1}\n{"a":\n')).open(OPEN)));
    expect(refused.message).toContain("Line 2 is not JSON");
  });
});
