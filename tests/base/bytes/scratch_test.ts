import { expect, test } from "bun:test";
import { Scratch } from "../../../src/base/bytes/scratch.ts";

test("memory is used again, for fewer bytes too, and grows for more", () => {
  const scratch = new Scratch();
  const first = scratch.take(8).fill(7);
  expect(first.byteLength).toBe(8);
  const fewer = scratch.take(5);
  expect([fewer.byteLength, fewer.buffer === first.buffer, fewer[4]]).toEqual([5, true, 7]);
  const more = scratch.take(9);
  expect([more.byteLength, more.buffer === first.buffer]).toEqual([9, false]);
  expect(scratch.take(8).buffer).toBe(more.buffer);
  expect(scratch.take(0).byteLength).toBe(0);
});
