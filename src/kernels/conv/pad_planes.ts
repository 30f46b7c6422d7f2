import { type Dispatch, LINEAR_MAIN_WGSL, linearGrid } from "../../gpu/dispatch.ts";
import { requireElements, type RowsAndColumns } from "../sizes.ts";

/** Where the elements of planes go in larger planes of zeros, whose rows are cut into tiles. */
export interface PaddedPlanes {
  readonly planes: number;
  readonly from: RowsAndColumns;
  /** Rows of a plane of the result, the tiles of each, and columns of a tile, a multiple of 4. */
  readonly rows: number;
  readonly tiles: number;
  readonly columns: number;
  /** Columns from the beginning of one tile to that of the next: where tiles overlap, elements are repeated. */
  readonly tileStep: number;
  /** Zeros before the first element; where negative, so many elements are left out. */
  readonly before: RowsAndColumns;
  /** Element `i` goes to `before + i * spread`. */
  readonly spread: RowsAndColumns;
}

/** How many elements the planes of the result have; `RangeError` for more than a shader can index. */
export function paddedElements({ planes, rows, tiles, columns }: PaddedPlanes): number {
  return requireElements("convolution", [planes, rows, tiles, columns]);
}

/** Copies f32 planes `[planes, …from]` into `[planes, rows, tiles, columns]`, with zeros around the elements. */
export function padPlanes<B>(
  bindings: { readonly input: B; readonly out: B },
  padded: PaddedPlanes,
): Dispatch<B> {
  const { planes, from, rows, tiles, columns, tileStep, before, spread } = padded;
  const count = paddedElements(padded) / 4;
  return {
    label: `pad ${planes}x${from.join("x")} to ${rows}x${tiles}x${columns}`,
    code: WGSL,
    constants: {
      count,
      from_h: from[0],
      from_w: from[1],
      rows,
      tiles,
      tile_vectors: columns / 4,
      tile_step: tileStep,
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
override rows: u32;
override tiles: u32;
override tile_vectors: u32;
override tile_step: u32;
override before_y: i32;
override before_x: i32;
override spread_y: u32;
override spread_x: u32;

@group(0) @binding(0) var<storage, read> input: array<u32>;
@group(0) @binding(1) var<storage, read_write> out: array<vec4<u32>>;

// What goes to column \`x\` of the row that begins at \`first\`; before the first it is a large number.
fn load(first: u32, x: u32) -> u32 {
  if (x / spread_x >= from_w || x % spread_x != 0u) {
    return 0u;
  }
  return input[first + x / spread_x];
}

${LINEAR_MAIN_WGSL}
  let tile = index / tile_vectors % tiles;
  let x = u32(i32(tile * tile_step + index % tile_vectors * 4u) - before_x);
  let y = u32(i32(index / tile_vectors / tiles % rows) - before_y);
  let plane = index / tile_vectors / tiles / rows;
  var four = vec4<u32>();
  if (y / spread_y < from_h && y % spread_y == 0u) {
    let first = (plane * from_h + y / spread_y) * from_w;
    four = vec4<u32>(load(first, x), load(first, x + 1u), load(first, x + 2u), load(first, x + 3u));
  }
  out[index] = four;
}
`;
