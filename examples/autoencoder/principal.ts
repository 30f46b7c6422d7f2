/** Directions in which rows of numbers differ most, and the mean that they differ from. */
export interface PrincipalComponents {
  readonly mean: Float64Array;
  /** Each of length 1, at right angles to the others. */
  readonly directions: readonly Float64Array[];
}

/**
 * The first `count` principal components of `rows`, by orthogonal iteration: what is multiplied by the covariance again
 * and again turns towards them.
 */
export function principalComponents(rows: Float32Array, width: number, count: number): PrincipalComponents {
  const height = rows.length / width;
  const mean = new Float64Array(width);
  for (let at = 0; at < rows.length; at++) {
    mean[at % width] = (mean[at % width] ?? 0) + (rows[at] ?? 0) / height;
  }
  let directions = orthonormal(
    Array.from(
      { length: count },
      (_, k) => Float64Array.from({ length: width }, (_, at) => Math.sin(1 + at * (k + 1))),
    ),
  );
  for (let turn = 0; turn < 15; turn++) {
    const next = directions.map(() => new Float64Array(width));
    for (let row = 0; row < height; row++) {
      const away = differenceAt(rows, row, mean);
      directions.forEach((direction, k) => addScaled(next[k], away, dot(direction, away)));
    }
    directions = orthonormal(next);
  }
  return { mean, directions };
}

/** The mean square of what of `rows` the components leave out. */
export function errorOf({ mean, directions }: PrincipalComponents, rows: Float32Array): number {
  let sum = 0;
  for (let row = 0; row < rows.length / mean.length; row++) {
    const away = differenceAt(rows, row, mean);
    // At right angles: what each of them takes does not depend on the others.
    sum += dot(away, away) - directions.reduce((taken, each) => taken + dot(each, away) ** 2, 0);
  }
  return sum / rows.length;
}

function differenceAt(rows: Float32Array, row: number, mean: Float64Array): Float64Array {
  return mean.map((centre, at) => (rows[row * mean.length + at] ?? NaN) - centre);
}

/** Gram and Schmidt's. */
function orthonormal(vectors: readonly Float64Array[]): Float64Array[] {
  const made: Float64Array[] = [];
  for (const vector of vectors) {
    const rest = vector.slice();
    for (const other of made) addScaled(rest, other, -dot(rest, other));
    const length = Math.sqrt(dot(rest, rest));
    made.push(rest.map((each) => each / length));
  }
  return made;
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let at = 0; at < a.length; at++) sum += (a[at] ?? NaN) * (b[at] ?? NaN);
  return sum;
}

function addScaled(into: Float64Array | undefined, from: Float64Array, factor: number): void {
  if (into === undefined) return;
  for (let at = 0; at < into.length; at++) into[at] = (into[at] ?? NaN) + factor * (from[at] ?? NaN);
}
