import { describe, expect, test } from "bun:test";
import { MapLoader } from "../../../src/data/map_loader.ts";
import type { StoredRows } from "../../../src/data/rows/stored_rows.ts";
import { type TokenArray, tokenWindows } from "../../../src/data/rows/token_windows.ts";

const tokens = Uint8Array.from({ length: 22 }, (_, at) => at);

/** Rows that note what is read of them. */
function stored(array: Uint16Array): StoredRows & { readonly reads: [number, number][] } {
  const reads: [number, number][] = [];
  return {
    reads,
    length: array.length,
    row: { dtype: "u16", shape: [] },
    read(first, count) {
      reads.push([first, count]);
      return Promise.resolve(new Uint8Array(array.slice(first, first + count).buffer));
    },
    describe: () => Promise.resolve({ name: "rows" }),
    close: () => Promise.resolve(),
  };
}

describe("tokenWindows", () => {
  test("DA-03 gives windows one after the other, and the tokens that follow as labels", async () => {
    const windows = tokenWindows(tokens, { length: 7 });
    expect([windows.length, windows.inputs, windows.labels]).toEqual([
      3,
      { dtype: "u8", shape: [7] },
      { dtype: "u8", shape: [7] },
    ]);
    const loader = await MapLoader.open(windows, { batchSize: 2 });
    const { inputs, labels } = await loader.batchAt({ seed: 0, epoch: 0, position: 0 });
    expect([...inputs as Uint8Array]).toEqual(Array.from({ length: 14 }, (_, at) => at));
    expect([...labels as Uint8Array]).toEqual(Array.from({ length: 14 }, (_, at) => at + 1));
  });

  test("DA-03 windows overlap where the stride is shorter, and none goes beyond the end", async () => {
    const windows = tokenWindows(tokens, { length: 4, stride: 3 });
    expect(windows.length).toBe(6);
    const last = await windows.get(5, { signal: new AbortController().signal });
    expect([[...last.inputs], [...last.labels]]).toEqual([[15, 16, 17, 18], [16, 17, 18, 19]]);
    expect(tokenWindows(tokens, { length: 21 }).length).toBe(1);
    expect(() => tokenWindows(tokens, { length: 22 })).toThrow("22 tokens have no window of 22");
  });

  test("DA-03 tokens of a file are read window by window, and those of 16 bits become u32", async () => {
    const rows = stored(Uint16Array.from({ length: 100 }, (_, at) => 600 * at));
    const loader = await MapLoader.open(tokenWindows(rows, { length: 10 }), { batchSize: 3, shuffle: true });
    expect([loader.exampleCount, loader.inputs, rows.reads]).toEqual([9, { dtype: "u32", shape: [10] }, []]);
    const request = { seed: 1, epoch: 0, position: 1 };
    const { inputs } = await loader.batchAt(request);
    const indices = loader.indicesAt(request);
    expect(rows.reads).toEqual(indices.map((index) => [10 * index, 11]));
    expect([...inputs as Uint32Array]).toEqual(
      indices.flatMap((index) => Array.from({ length: 10 }, (_, at) => 600 * (10 * index + at))),
    );
  });

  test("DA-03 what are no tokens is refused", () => {
    expect(() => tokenWindows(new Float32Array(9) as unknown as TokenArray, { length: 2 })).toThrow(
      "found a Float32Array",
    );
    expect(() => tokenWindows(tokens, { length: 0 })).toThrow(
      "length of tokenWindows() is an integer from 1",
    );
  });
});
