/**
 * WGSL of sums of `Float`s, which are an f32 or a `vec4` of four: `Total`, `join(a, b)` and `finish(total)`. The source
 * declares `Float` and `Unsigned`, and has `opaque`. A sum carries along what rounding took from it (Knuth, TAOCP
 * 4.2.2), and gives it back at the end; see `kernels/reduce/reduction_totals.ts`.
 */
export const FLOAT_TOTALS_WGSL = `struct Total {
  sum: Float,
  lost: Float, // by rounding
}

fn join(a: Total, b: Total) -> Total {
  let sum = opaque(a.sum + b.sum);
  let from_b = opaque(sum - a.sum);
  let lost = (a.sum - (sum - from_b)) + (b.sum - from_b);
  return Total(sum, a.lost + b.lost + lost);
}

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
