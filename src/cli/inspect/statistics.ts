import type { DType } from "../../base/dtype.ts";
import { elementsOf, HistogramSum, StatisticsSum } from "../../tensor/tensor_statistics.ts";

/** What the elements of a tensor are like. */
export interface Statistics {
  readonly count: number;
  /** Of the finite elements; NaN where there are none, as of the mean. */
  readonly min: number;
  readonly max: number;
  /** Of the finite elements, in float64. */
  readonly mean: number;
  readonly zeros: number;
  readonly nans: number;
  readonly infinities: number;
  /** Finite elements from `min` to `max`, in bins of the same width. */
  readonly histogram: readonly number[];
}

/** How many bins a histogram has. */
const HISTOGRAM_BINS = 24;

/**
 * Statistics of a tensor, whose pieces are gone through twice: once for the range, once for the bins.
 *
 * @param pieces Whole elements, little-endian. Called twice.
 */
export async function statisticsOf(
  dtype: DType,
  pieces: () => AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): Promise<Statistics> {
  const sum = new StatisticsSum();
  for await (const piece of pieces()) sum.add(elementsOf(piece, dtype));
  const { count, min, max, mean, zeros, nan, infinite } = sum.result;
  const histogram = new HistogramSum({ min, max }, HISTOGRAM_BINS);
  for await (const piece of Number.isNaN(min) ? [] : pieces()) histogram.add(elementsOf(piece, dtype));
  return {
    count,
    min,
    max,
    mean,
    zeros,
    nans: nan,
    infinities: infinite,
    histogram: histogram.result.counts,
  };
}

/** A histogram as a row of blocks, as high as the bins are full; a bin that is not empty can be seen. */
export function sparkline(histogram: readonly number[]): string {
  const blocks = "▁▂▃▄▅▆▇█";
  const most = Math.max(...histogram, 0);
  return histogram.map((count) => count === 0 ? " " : blocks[Math.min(7, Math.floor(8 * count / most))] ?? "")
    .join("");
}
