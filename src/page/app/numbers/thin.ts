/** A point of a curve. */
export interface Point {
  readonly step: number;
  readonly value: number;
}

/**
 * At most about `most` points that look the same when drawn: of each stretch of the curve the lowest and the highest,
 * so that no spike is lost. What is not finite is left out.
 */
export function thin(points: readonly Point[], most: number): readonly Point[] {
  const finite = points.filter(({ value }) => Number.isFinite(value));
  if (finite.length <= most) return finite;
  const stretch = Math.ceil(2 * finite.length / most);
  const kept: Point[] = [];
  for (let start = 0; start < finite.length; start += stretch) {
    const part = finite.slice(start, start + stretch);
    const [first] = part;
    if (first === undefined) continue;
    let low = first;
    let high = first;
    for (const point of part) {
      if (point.value < low.value) low = point;
      if (point.value > high.value) high = point;
    }
    const isLowFirst = low.step <= high.step;
    kept.push(isLowFirst ? low : high);
    if (low !== high) kept.push(isLowFirst ? high : low);
  }
  return kept;
}
