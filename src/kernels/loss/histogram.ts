import { type Dispatch, LINEAR_MAIN_WGSL, linearGrid } from "../../gpu/dispatch.ts";
import { fill } from "../elementwise/fill.ts";
import { requireElements, requireSizes } from "../sizes.ts";

/** What a histogram binds. */
export interface HistogramBindings<B> {
  /** `[rows]`, u32: the bin of each. */
  readonly bins: B;
  /** `[binCount]`, u32, written. */
  readonly out: B;
}

/**
 * How many rows are in each bin; rows of an unknown bin are not counted. Counts are integers, so that the order in
 * which they are added to does not matter: equal inputs give equal counts. A count beyond 2^32 - 1 wraps.
 */
export function histogram<B>(
  { bins, out }: HistogramBindings<B>,
  options: { readonly rows: number; readonly binCount: number },
): Dispatch<B>[] {
  const { rows, binCount } = options;
  requireSizes("histogram", { rows, binCount });
  requireElements("histogram", [rows]);
  requireElements("histogram", [binCount]);
  const zeros = fill({ out }, { count: binCount, value: 0, dtype: "u32" });
  return [zeros, {
    label: `histogram ${rows}x${binCount}`,
    code: HISTOGRAM_WGSL,
    constants: { count: rows, bin_count: binCount },
    bindings: [bins, out],
    workgroups: linearGrid(rows),
  }];
}

const HISTOGRAM_WGSL = `override count: u32;
override bin_count: u32;

@group(0) @binding(0) var<storage, read> bins: array<u32>;
@group(0) @binding(1) var<storage, read_write> out: array<atomic<u32>>;

${LINEAR_MAIN_WGSL}
  let bin = bins[index];
  if (bin < bin_count) {
    atomicAdd(&out[bin], 1u);
  }
}
`;
