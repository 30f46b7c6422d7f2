import { type Dispatch, LINEAR_MAIN_WGSL, linearGrid } from "../../gpu/dispatch.ts";
import { requireElements, type RowsAndColumns } from "../sizes.ts";

/** Where the elements of a tensor `[batch, inChannels, …from]` go in `[batch, …to, channels]`. */
export interface PackedChannels {
  readonly batch: number;
  readonly inChannels: number;
  /** A multiple of 4; those beyond the last are zeros. */
  readonly channels: number;
  readonly from: RowsAndColumns;
  readonly to: RowsAndColumns;
  /** Rows and columns of zeros before the first element. */
  readonly before: RowsAndColumns;
}

/** How many elements the result has; `RangeError` for more than a shader can index. */
export function packedElements({ batch, channels, to }: PackedChannels): number {
  return requireElements("convolution", [batch, ...to, channels]);
}

/** Copies planes into a tensor that has channels innermost, with zeros around the elements. */
export function packChannels<B>(
  bindings: { readonly input: B; readonly out: B },
  packed: PackedChannels,
): Dispatch<B> {
  const { batch, inChannels, channels, from, to, before } = packed;
  const count = packedElements(packed) / 4;
  return {
    label: `pack channels ${batch}x${inChannels}x${from.join("x")} to ${to.join("x")}x${channels}`,
    code: WGSL,
    constants: {
      count,
      in_channels: inChannels,
      vectors: channels / 4,
      from_h: from[0],
      from_w: from[1],
      to_h: to[0],
      to_w: to[1],
      before_y: before[0],
      before_x: before[1],
    },
    bindings: [bindings.input, bindings.out],
    workgroups: linearGrid(count),
  };
}

const WGSL = `override count: u32;
override in_channels: u32;
override vectors: u32;
override from_h: u32;
override from_w: u32;
override to_h: u32;
override to_w: u32;
override before_y: u32;
override before_x: u32;

@group(0) @binding(0) var<storage, read> input: array<u32>;
@group(0) @binding(1) var<storage, read_write> out: array<vec4<u32>>;

fn load(n: u32, c: u32, y: u32, x: u32) -> u32 {
  if (c >= in_channels || y >= from_h || x >= from_w) {
    return 0u;
  }
  return input[((n * in_channels + c) * from_h + y) * from_w + x];
}

${LINEAR_MAIN_WGSL}
  // Neighbouring invocations read neighbouring columns.
  let column = index % to_w;
  let c = index / to_w % vectors * 4u;
  let row = index / to_w / vectors % to_h;
  let n = index / to_w / vectors / to_h;
  // Before the input, these wrap around to large numbers.
  let x = column - before_x;
  let y = row - before_y;
  let place = ((n * to_h + row) * to_w + column) * vectors + c / 4u;
  out[place] = vec4<u32>(load(n, c, y, x), load(n, c + 1u, y, x), load(n, c + 2u, y, x), load(n, c + 3u, y, x));
}
`;
