/** Row number `index` of a matrix of `width` columns. */
export function rowOf(matrix: readonly number[], width: number, index: number): readonly number[] {
  return matrix.slice(index * width, (index + 1) * width);
}
