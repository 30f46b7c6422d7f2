/**
 * WGSL that hides what a value is from shader compilers: they refuse constant expressions that overflow or divide by
 * 0, and may assume that NaN and infinity do not occur. Mesa drops the store of `x / 0`, and takes `x - x` and `x *
 * 0` for 0. What passed through `opaque` is known only when the kernel runs, so that it computes what IEEE 754 says.
 *
 * `opaque(x)` is the float x, bit for bit, and so is `apart(x)`; no compiler can tell that the two are equal.
 * `opaque_signed` and `opaque_unsigned` do the same for integers. Each costs one integer operation. The entry point
 * has to begin with {@link HIDE_WGSL}.
 */
export function opaqueWgsl(width: 1 | 4): string {
  const [float, signed, unsigned] = ["f32", "i32", "u32"].map((type) => width === 1 ? type : `vec4<${type}>`);
  return `// 0, which no compiler can know.
var<private> hidden_zero: u32;

fn opaque(x: ${float}) -> ${float} {
  return bitcast<${float}>(bitcast<${unsigned}>(x) ^ ${unsigned}(hidden_zero));
}

fn apart(x: ${float}) -> ${float} {
  return bitcast<${float}>(bitcast<${unsigned}>(x) | ${unsigned}(hidden_zero));
}

fn opaque_signed(x: ${signed}) -> ${signed} {
  return bitcast<${signed}>(bitcast<${unsigned}>(x) ^ ${unsigned}(hidden_zero));
}

fn opaque_unsigned(x: ${unsigned}) -> ${unsigned} {
  return x ^ ${unsigned}(hidden_zero);
}
`;
}

/** Sets what {@link opaqueWgsl} needs: grids have one layer (see `gridFor`), so that each workgroup's z is 0. */
export const HIDE_WGSL = "  hidden_zero = workgroup.z;";
