/**
 * An exponential moving average, which begins as the plain mean does: without the pull towards 0 at first. Gaps (NaN)
 * stay, and count for nothing.
 *
 * @param weight How much of the average so far is kept at each value, from 0 (nothing is smoothed) to below 1.
 */
export function smooth(values: readonly number[], weight: number): number[] {
  let sum = 0;
  let weights = 0;
  return values.map((value) => {
    if (!Number.isFinite(value)) return value;
    sum = sum * weight + value;
    weights = weights * weight + 1;
    return sum / weights;
  });
}
