/**
 * The error function in float64, to 1e-15: below 3 the series `2/√π e^-x² Σ 2ⁿ xⁿ⁺¹.. / (2n + 1)!!`, whose terms are
 * all positive; above, the continued fraction of its complement (Abramowitz and Stegun 7.1.6 and 7.1.14).
 */
export function erfOf(x: number): number {
  if (Number.isNaN(x) || x === 0) return x;
  const magnitude = Math.abs(x);
  return Math.sign(x) * (magnitude < 3 ? bySeries(magnitude) : 1 - complement(magnitude));
}

function bySeries(x: number): number {
  let term = x;
  let total = x;
  for (let n = 1; term > 1e-18 * total; n++) {
    term *= 2 * x * x / (2 * n + 1);
    total += term;
  }
  return 2 / Math.sqrt(Math.PI) * Math.exp(-x * x) * total;
}

function complement(x: number): number {
  if (x > 27) return 0;
  let fraction = x;
  for (let n = 60; n > 0; n--) fraction = x + n / 2 / fraction;
  return Math.exp(-x * x) / Math.sqrt(Math.PI) / fraction;
}
