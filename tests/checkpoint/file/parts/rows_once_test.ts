import { describe, expect, test } from "bun:test";
import { byRows, flawInRows } from "../../../../src/checkpoint/file/parts/rows_once.ts";

function flawOf(rows: number, ...ranges: [start: number, end: number][]): string | undefined {
  const shards = ranges.map(([start, end]) => ({ start, end, rows })).sort(byRows);
  const flaw = flawInRows(shards, rows);
  return flaw === undefined ? undefined : `${flaw.kind} ${flaw.start} to ${flaw.end}`;
}

describe("flawInRows", () => {
  test("finds nothing where all rows are there once, in whatever order, empty shards or not", () => {
    expect(flawOf(7, [3, 7], [0, 3])).toBeUndefined();
    expect(flawOf(7, [3, 3], [3, 7], [0, 3], [7, 7], [0, 0])).toBeUndefined();
    expect(flawOf(0)).toBeUndefined();
  });

  test("names the first rows that are missing or there twice", () => {
    expect(flawOf(7, [0, 3], [4, 7])).toBe("missing 3 to 4");
    expect(flawOf(7, [1, 7])).toBe("missing 0 to 1");
    expect(flawOf(7, [0, 3])).toBe("missing 3 to 7");
    expect(flawOf(7)).toBe("missing 0 to 7");
    expect(flawOf(7, [0, 5], [3, 7])).toBe("twice 3 to 5");
    expect(flawOf(7, [0, 7], [2, 3])).toBe("twice 2 to 7");
  });
});
