/** The sizes and layouts of a matmul. */
export interface MatmulShape {
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly transposeA?: boolean;
  readonly transposeB?: boolean;
}

/** `A B` in float64, row-major. */
export function matmulTwin(a: ArrayLike<number>, b: ArrayLike<number>, shape: MatmulShape): Float64Array {
  const { m, n, k, transposeA = false, transposeB = false } = shape;
  const out = new Float64Array(m * n);
  for (let row = 0; row < m; row++) {
    for (let column = 0; column < n; column++) {
      let total = 0;
      for (let p = 0; p < k; p++) {
        const left = a[transposeA ? p * m + row : row * k + p] ?? NaN;
        const right = b[transposeB ? column * k + p : p * n + column] ?? NaN;
        total += left * right;
      }
      out[row * n + column] = total;
    }
  }
  return out;
}
