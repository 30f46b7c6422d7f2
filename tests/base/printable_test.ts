import { expect, test } from "bun:test";
import { safeText } from "../../src/base/printable.ts";

test("text from a file is on one line and has no power over a terminal", () => {
  expect(safeText("\u001b[31mred\u0007\u009b1m")).toBe("\\x1b[31mred\\x07\\x9b1m");
  expect(safeText("a\nb\r\tc")).toBe("a\\nb\\r\\tc");
  expect(safeText("\u202eevil\u2066\u200b\ufeff\u2028")).toBe("\\u202eevil\\u2066\\u200b\\ufeff\\u2028");
  expect(safeText("\ud800x")).toBe("\\ud800x");
  expect(safeText("größe 重み 😀 a.b/c")).toBe("größe 重み 😀 a.b/c");
});
