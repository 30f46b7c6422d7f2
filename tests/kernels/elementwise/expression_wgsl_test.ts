import { describe, expect, test } from "bun:test";
import { ExpressionWriter } from "../../../src/kernels/elementwise/expression_wgsl.ts";

// What a compiler may fold differs: Dawn computes an integer over a known 0 when it runs, wgpu refuses the shader. So
// the text says whether a value is hidden, whatever this machine's compiler does.
describe("constants in generated code", () => {
  for (
    const [dtype, value, hidden] of [
      ["f32", 0, "opaque(Float(0f))"],
      ["f32", Infinity, "opaque(Float(from_bits(0x7f800000u)))"],
      ["i32", 0, "opaque_signed(Signed(0))"],
      ["i32", -(2 ** 31), "opaque_signed(Signed(-2147483647 - 1))"],
      ["u32", 0, "opaque_unsigned(Unsigned(0u))"],
    ] as const
  ) {
    test(`are hidden from the compiler: ${value} as ${dtype}`, () => {
      const writer = new ExpressionWriter([]);
      const term = writer.write({ kind: "constant", value, dtype });
      expect(writer.statements).toEqual([`let ${term.text} = ${hidden};`]);
    });
  }
});
