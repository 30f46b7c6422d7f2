import { type Dispatch, LINEAR_MAIN_WGSL, linearGrid } from "../../gpu/dispatch.ts";
import { requireElements, type RowsAndColumns } from "../sizes.ts";

/** Where the elements of planes go in larger planes of zeros. */
export interface PaddedPlanes {
  readonly planes: number;
  readonly from: RowsAndColumns;
  readonly to: RowsAndColumns;
  /** Zeros before the first element; where negative, so many elements are left out. */
  readonly before: RowsAndColumns;
  /** Element `i` goes to `before + i * spread`. */
  readonly spread: RowsAndColumns;
}

/** Copies f32 planes `[planes, …from]` into planes `[planes, …to]`, with zeros between and around the elements. */
export function padPlanes<B>(
  bindings: { readonly input: B; readonly out: B },
  { planes, from, to, before, spread }: PaddedPlanes,
): Dispatch<B> {
  const count = requireElements("convolution", [planes, ...to]);
  return {
    label: `pad ${planes}x${from.join("x")} to ${to.join("x")}`,
    code: WGSL,
    constants: {
      count,
      from_h: from[0],
      from_w: from[1],
      to_h: to[0],
      to_w: to[1],
      before_y: before[0],
      before_x: before[1],
      spread_y: spread[0],
      spread_x: spread[1],
    },
    bindings: [bindings.input, bindings.out],
    workgroups: linearGrid(count),
  };
}

const WGSL = `override count: u32;
override from_h: u32;
override from_w: u32;
override to_h: u32;
override to_w: u32;
override before_y: i32;
override before_x: i32;
override spread_y: u32;
override spread_x: u32;

@group(0) @binding(0) var<storage, read> input: array<u32>;
@group(0) @binding(1) var<storage, read_write> out: array<u32>;

${LINEAR_MAIN_WGSL}
  // Where there is nothing before, this wraps around to a large number.
  let x = u32(i32(index % to_w) - before_x);
  let y = u32(i32(index / to_w % to_h) - before_y);
  let plane = index / to_w / to_h;
  var bits = 0u;
  if (x / spread_x < from_w && y / spread_y < from_h && x % spread_x == 0u && y % spread_y == 0u) {
    bits = input[(plane * from_h + y / spread_y) * from_w + x / spread_x];
  }
  out[index] = bits;
}
`;
