import { expect, test } from "bun:test";
import { fileKind } from "../../src/base/file_kind.ts";

const bytes = (text: string): Uint8Array => Uint8Array.from(text, (letter) => letter.charCodeAt(0));

test("noise and very short files have no kind", () => {
  for (const text of ["\x01\xff\xfe\x03", "\0\x01", "\x93NUM", "ab\0cd", "  \n"]) {
    expect([text, fileKind(bytes(text))]).toEqual([text, undefined]);
  }
});

test("a safetensors file is recognised, whatever its length looks like", () => {
  for (const start of ['\x80\x02\0\0\0\0\0\0{"', "{ \0\0\0\0\0\0{}", 'GGU\x01\0\0\0\0{"']) {
    expect(fileKind(bytes(start))?.format).toBe("safetensors");
  }
  expect(fileKind(bytes("\0\0\0\x7f\0\0\0\0{}"))?.format).toBeUndefined();
  expect(fileKind(bytes("\x10\0\0\0\x01\0\0\0{}"))?.format).toBeUndefined();
});

test("a view into a larger buffer is looked at, and nothing beside it", () => {
  const file = bytes("\0xPK\x03\x04yy");
  expect(fileKind(file.subarray(2))?.format).toBe("zip");
  expect(fileKind(file)).toBeUndefined();
});
