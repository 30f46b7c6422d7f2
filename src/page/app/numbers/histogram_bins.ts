import type { TensorStatistics } from "../../../tensor/tensor_statistics.ts";

const MOST_BINS = 60;

/** How many bins a picture has from `min` to `max`: no more than there are integers where the elements are such. */
export function binsOf({ min, max }: Pick<TensorStatistics, "min" | "max">, isInteger: boolean): number {
  return isInteger ? Math.min(MOST_BINS, max - min + 1) : min === max ? 1 : MOST_BINS;
}
