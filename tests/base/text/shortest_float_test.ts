import { expect, test } from "bun:test";
import { shortestFloat32 } from "../../../src/base/text/shortest_float.ts";

test("shortestFloat32 gives digits that are the same f32 again, and few of them", () => {
  expect(
    [0.1, 1 / 3, 16_777_216, 1e-45, 3.4028234663852886e38, -2.5, 0].map((value) =>
      shortestFloat32(Math.fround(value))
    ),
  ).toEqual(["0.1", "0.33333334", "16777216", "1.4013e-45", "3.4028235e+38", "-2.5", "0"]);
  const bits = new Uint32Array(1);
  const float = new Float32Array(bits.buffer);
  for (let index = 0; index < 20_000; index++) {
    bits[0] = Math.imul(index, 0x9e3779b1);
    const value = float[0] ?? 0;
    if (!Number.isFinite(value)) continue;
    const text = shortestFloat32(value);
    const digits = text.replace(/e.*|[-.]/g, "").replace(/^0+|0+$/g, "");
    expect([Math.fround(Number(text)), digits.length <= 9]).toEqual([value === 0 ? 0 : value, true]);
  }
});
