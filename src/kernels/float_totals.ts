/**
 * WGSL of `Total`, a sum of floats and exactly what rounding took from it, and of `join(a, b)` (Knuth, TAOCP 4.2.2).
 * Compilers may take `(a + b) - a` for `b`, and some do; hence the sums are `opaque` to them, which the source has.
 */
export function carriedTotalWgsl(float: string): string {
  return `struct Total {
  sum: ${float},
  lost: ${float}, // by rounding
}

fn join(a: Total, b: Total) -> Total {
  let sum = opaque(a.sum + b.sum);
  let from_b = opaque(sum - a.sum);
  let lost = (a.sum - (sum - from_b)) + (b.sum - from_b);
  return Total(sum, a.lost + b.lost + lost);
}
`;
}

/**
 * WGSL of sums of `Float`s, which are an f32 or a `vec4` of four: `Total`, `join(a, b)` and `finish(total)`. The source
 * declares `Float` and `Unsigned`, and has `opaque`. What rounding took is given back at the end.
 */
export const FLOAT_TOTALS_WGSL: string = `${carriedTotalWgsl("Float")}
// What rounding took is NaN when the sum left the finite numbers.
fn finish(total: Total) -> Float {
  let exponents = bitcast<Unsigned>(total.sum) & Unsigned(0x7f800000u);
  return select(total.sum, total.sum + total.lost, exponents != Unsigned(0x7f800000u));
}
`;

/** `across_total(x)` of a `Float` that is a vector: the total of its four, in each of them. */
export const ACROSS_TOTALS_WGSL = `fn across_total(x: Total) -> Total {
  let pairs = join(x, Total(x.sum.zwxy, x.lost.zwxy));
  let both = join(Total(pairs.sum.xxxx, pairs.lost.xxxx), Total(pairs.sum.yyyy, pairs.lost.yyyy));
  return both;
}
`;
