import { expect, test } from "bun:test";
import { byteSizeOf, DTYPES } from "../../src/base/dtype.ts";

test("ids of dtypes are part of the file format and never change", () => {
  const ids = Object.fromEntries(
    Object.entries(DTYPES).map(([name, { id, byteSize }]) => [name, [id, byteSize]]),
  );
  expect(ids).toEqual({
    bool: [1, 1],
    u8: [2, 1],
    i8: [3, 1],
    u16: [4, 2],
    i16: [5, 2],
    u32: [6, 4],
    i32: [7, 4],
    u64: [8, 8],
    i64: [9, 8],
    f16: [10, 2],
    bf16: [11, 2],
    f32: [12, 4],
    f64: [13, 8],
  });
  expect(byteSizeOf("f64")).toBe(8);
});
