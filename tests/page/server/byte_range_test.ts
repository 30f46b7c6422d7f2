import { expect, test } from "bun:test";
import { askedRange } from "../../../src/page/server/byte_range.ts";

test("a range is what it names, cut at the end of the file", () => {
  expect(askedRange("bytes=0-9", 100)).toEqual({ start: 0, end: 10 });
  expect(askedRange("bytes=90-", 100)).toEqual({ start: 90, end: 100 });
  expect(askedRange("bytes=90-1000", 100)).toEqual({ start: 90, end: 100 });
  expect(askedRange("bytes=-10", 100)).toEqual({ start: 90, end: 100 });
  expect(askedRange("bytes=-1000", 100)).toEqual({ start: 0, end: 100 });
});

test("a range that begins behind the end is not satisfiable, and one of an empty file never is", () => {
  for (const header of ["bytes=100-", "bytes=100-200", "bytes=-0"]) {
    expect(askedRange(header, 100)).toBe("unsatisfiable");
  }
  for (const header of ["bytes=0-", "bytes=0-0", "bytes=-5"]) {
    expect(askedRange(header, 0)).toBe("unsatisfiable");
  }
});

test("no range, one that is none, and several ask for the whole", () => {
  const headers = [null, "", "bytes=", "bytes=-", "bytes=5-4", "bytes=0-1,3-4", "items=0-1", "bytes=a-b"];
  for (const header of [...headers, "bytes=0-9007199254740993"]) {
    expect(askedRange(header, 100)).toBe("whole");
  }
});
