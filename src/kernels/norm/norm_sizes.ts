import { requireElements, requireNumber, requireSizes } from "../sizes.ts";

/**
 * A tensor seen as `[batch, channels, inner]`, row-major, of which in each of `batch` neighbouring channels are
 * normalised together, `groups` times. A *row* is what is normalised together: there are `batch * groups` of them, one
 * after the other, of `channels / groups * inner` elements.
 */
export type NormSizes = {
  readonly batch: number;
  readonly channels: number;
  readonly inner: number;
  readonly groups: number;
};

/** How rows are normalised. */
export type NormManner = {
  /** Whether the mean is taken away first. */
  readonly isCentred: boolean;
  /** Added to the variance, or to the mean of squares. */
  readonly epsilon: number;
};

/** Whether each channel is multiplied by a weight, and whether a bias is added. */
export type NormAffine = { readonly hasWeight: boolean; readonly hasBias: boolean };

/**
 * `row`: one invocation for each row, which walks it. For CPU adapters, where barriers cost much, and for short rows.
 * `workgroup`: a workgroup for each row.
 */
export type NormVariant = "row" | "workgroup";

/** Elements of a row. */
export function rowLength({ channels, groups, inner }: NormSizes): number {
  return channels / groups * inner;
}

/** Numbers that the statistics of all rows take: the mean of each, then by what its elements are multiplied. */
export function statisticsLength({ batch, groups }: NormSizes): number {
  return 2 * batch * groups;
}

/** @throws RangeError for sizes that are none, or too large for a shader. */
export function checkNorm(label: string, sizes: NormSizes, epsilon: number): void {
  requireSizes(label, sizes);
  requireElements(label, [sizes.batch, sizes.channels, sizes.inner]);
  requireNumber(label, "epsilon", epsilon, 0, 3e38);
  if (sizes.channels % Math.max(sizes.groups, 1) !== 0 || sizes.groups === 0) {
    throw new RangeError(`${label}: ${sizes.groups} groups do not divide ${sizes.channels} channels`);
  }
}
