import { byteSizeOf, type DType } from "../../base/dtype.ts";
import { HostTensor } from "../../tensor/host_tensor.ts";

/** What the elements of a tensor are like. */
export interface Statistics {
  readonly count: number;
  /** Of the finite elements; NaN where there are none, as of the mean. */
  readonly min: number;
  readonly max: number;
  /** Of the finite elements, summed in float64. */
  readonly mean: number;
  readonly zeros: number;
  readonly nans: number;
  readonly infinities: number;
  /** Finite elements from `min` to `max`, in bins of the same width. */
  readonly histogram: readonly number[];
}

/** How many bins a histogram has. */
export const HISTOGRAM_BINS = 24;

/**
 * Statistics of a tensor, whose pieces are gone through twice: once for the range, once for the bins.
 *
 * @param pieces Whole elements, little-endian. Called twice.
 */
export async function statisticsOf(
  dtype: DType,
  pieces: () => AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): Promise<Statistics> {
  let [count, finite, zeros, nans, sum, min, max] = [0, 0, 0, 0, 0, Infinity, -Infinity];
  for await (const piece of pieces()) {
    const values = numbersOf(piece, dtype);
    count += values.length;
    for (let at = 0; at < values.length; at++) {
      const value = Number(values[at]);
      if (value === 0) zeros++;
      if (!Number.isFinite(value)) {
        if (Number.isNaN(value)) nans++;
        continue;
      }
      finite++;
      sum += value;
      if (value < min) min = value;
      if (value > max) max = value;
    }
  }
  const infinities = count - finite - nans;
  if (finite === 0) {
    return { count, min: NaN, max: NaN, mean: NaN, zeros, nans, infinities, histogram: [] };
  }
  const histogram = await histogramOf(dtype, pieces, min, max);
  return { count, min, max, mean: sum / finite, zeros, nans, infinities, histogram };
}

/** Elements as an array of numbers or bigints. It may share memory with the bytes. */
export function numbersOf(bytes: Uint8Array, dtype: DType): ArrayLike<number | bigint> {
  return HostTensor.fromBytes(bytes, dtype, [bytes.byteLength / byteSizeOf(dtype)]).toArray();
}

/** A histogram as a row of blocks, as high as the bins are full; a bin that is not empty can be seen. */
export function sparkline(histogram: readonly number[]): string {
  const blocks = "▁▂▃▄▅▆▇█";
  const most = Math.max(...histogram, 0);
  return histogram.map((count) => count === 0 ? " " : blocks[Math.min(7, Math.floor(8 * count / most))] ?? "")
    .join("");
}

async function histogramOf(
  dtype: DType,
  pieces: () => AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  min: number,
  max: number,
): Promise<number[]> {
  const bins = new Array<number>(HISTOGRAM_BINS).fill(0);
  // Halves, since max - min may be more than a number can be.
  const width = max / 2 - min / 2;
  for await (const piece of pieces()) {
    const values = numbersOf(piece, dtype);
    for (let at = 0; at < values.length; at++) {
      const value = Number(values[at]);
      if (!Number.isFinite(value)) continue;
      const place = width === 0 ? 0 : Math.floor(HISTOGRAM_BINS * ((value / 2 - min / 2) / width));
      const bin = Math.min(HISTOGRAM_BINS - 1, place);
      bins[bin] = (bins[bin] ?? 0) + 1;
    }
  }
  return bins;
}
