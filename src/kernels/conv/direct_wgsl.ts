import { workgroupMainWgsl } from "../../gpu/dispatch.ts";
import { UNIFORM_BYTES } from "../kernel_steps.ts";
import { component, each, lines } from "../matmul/matmul_layout.ts";
import type { RowsAndColumns } from "../sizes.ts";
import { type ColumnWindow, type DirectTile, vectorsOfTile } from "./direct_tile.ts";

/** Invocations of a workgroup: the SIMD width of the CPU adapters that this variant is for. */
export const INVOCATIONS = 8;

/** What the source of the direct variant depends on. */
export interface DirectShape {
  readonly kernel: RowsAndColumns;
  readonly stride: RowsAndColumns;
  readonly dilation: RowsAndColumns;
  readonly tile: DirectTile;
}

/** What a dispatch of the direct variant computes: some channels of the result, from some of the source. */
export interface DirectPiece {
  /** Tiles of all images and blocks together, and how many there are along an image and along its channels. */
  readonly tiles: number;
  readonly columnTiles: number;
  readonly rowTiles: number;
  readonly blocks: number;
  /** Channels of the source: all of them, the first that counts here, and how many do. */
  readonly allIn: number;
  readonly firstIn: number;
  readonly inChannels: number;
  /** Channels of the result: all of them, and the first that is computed here. */
  readonly allOut: number;
  readonly firstOut: number;
  /** Size of the result. */
  readonly result: RowsAndColumns;
  /** Vectors of a padded row and of a padded plane, and those of a tile's columns. */
  readonly row: number;
  readonly plane: number;
  readonly tileVectors: number;
}

/** The numbers of a piece as words, in the order in which the kernel binds them. */
export function pieceWords(piece: DirectPiece): number[] {
  const { tiles, columnTiles, rowTiles, blocks, allIn, firstIn, inChannels, allOut, firstOut } = piece;
  const { result, row, plane, tileVectors } = piece;
  const counts = [tiles, columnTiles, rowTiles, blocks];
  return [...counts, allIn, firstIn, inChannels, allOut, firstOut, ...result, row, plane, tileVectors];
}

const PIECE_WGSL = `struct Piece {
  tiles: u32,
  column_tiles: u32,
  row_tiles: u32,
  blocks: u32,
  all_in: u32,
  first_in: u32,
  in_channels: u32,
  all_out: u32,
  first_out: u32,
  out_h: u32,
  out_w: u32,
  row: u32,
  plane: u32,
  tile_vectors: u32,
}`;

/**
 * WGSL of the direct variant: an invocation computes a tile of neighbouring elements and channels. Sums go over
 * channels, then over rows and columns of the kernel.
 *
 * Why so, on lavapipe 25.0.7 with 8 lanes: to load a component for all lanes takes 14 ns from storage, where each lane
 * has a bounds check and a branch, and 5 ns from a uniform buffer; to multiply and add takes 0.3 ns. So the weights
 * are in a uniform buffer, and a tile is as large as it can be: that of 14 elements and 16 channels reaches 15 GFLOP/s
 * a core, 7 elements or 8 channels reach 10 and 12. A step is one row of the kernel. To write all rows of a kernel of
 * 3 x 3 out is a third slower, since the instructions no longer fit their cache; one loop over channels and another
 * over rows is a fifth slower than one over both, since each keeps all sums. `isResumed` says that there are pieces
 * which go on from others; the code for that takes a second to compile.
 */
export function directWgsl(shape: DirectShape, isResumed: boolean): string {
  const { kernel, dilation, tile: { size, channels } } = shape;
  const vectors = channels / 4;
  return `// out[n, o, y, x] = sum over c, ky, kx of padded[n, c, iy, ix] * weight[c, ky, kx, o].
${PIECE_WGSL}

@group(0) @binding(0) var<storage, read> padded: array<vec4<f32>>;
@group(0) @binding(1) var<uniform> weights: array<vec4<f32>, ${UNIFORM_BYTES / 16}>;
@group(0) @binding(2) var<uniform> piece: Piece;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;

${workgroupMainWgsl(INVOCATIONS, "number")}
  let index = number * ${INVOCATIONS}u + local;
  if (index >= piece.tiles) {
    return;
  }
  let column_tile = index % piece.column_tiles;
  let row_tile = index / piece.column_tiles % piece.row_tiles;
  let block = index / piece.column_tiles / piece.row_tiles % piece.blocks;
  let n = index / piece.column_tiles / piece.row_tiles / piece.blocks;
${lines(1, placeOfTile(shape))}
${lines(1, sums(shape, (element, v) => `var sum_${element}_${v} = vec4<f32>();`))}
${isResumed ? lines(1, resume(shape)) : ""}
  var ky = 0u;
  for (var step = 0u; step < piece.in_channels * ${kernel[0]}u; step++) {
${lines(2, products(shape))}
    weight += ${kernel[1] * vectors}u;
    row += ${dilation[0]}u * piece.row;
    ky++;
    if (ky == ${kernel[0]}u) {
      ky = 0u;
      row += piece.plane - ${kernel[0] * dilation[0]}u * piece.row;
    }
  }
  var sums = array<vec4<f32>, ${size[0] * size[1] * vectors}>(
${lines(2, sums(shape, (element, v) => `sum_${element}_${v},`))}
  );
${lines(1, store(shape))}
}
`;
}

/** Where the tile of an invocation is. */
function placeOfTile({ kernel, stride, tile: { size, channels } }: DirectShape): string[] {
  const vectors = channels / 4;
  return [
    `let y = row_tile * ${size[0]}u;`,
    `let x = column_tile * ${size[1]}u;`,
    `let o = piece.first_out + block * ${channels}u;`,
    "let first = ((n * piece.all_out + o) * piece.out_h + y) * piece.out_w + x;",
    `let rows = min(${size[0]}u, piece.out_h - y);`,
    `let columns = min(${size[1]}u, piece.out_w - x);`,
    `let vectors = min(${vectors}u, (piece.all_out - o + 3u) / 4u);`,
    `var weight = block * piece.in_channels * ${kernel[0] * kernel[1] * vectors}u;`,
    `var row = (n * piece.all_in + piece.first_in) * piece.plane + y * ${stride[0]}u * piece.row +`,
    "  column_tile * piece.tile_vectors;",
  ];
}

/** A line for each sum: `sum_3_1` is the second vector of channels of element 3 of the tile. */
function sums(
  { tile: { size, channels } }: DirectShape,
  line: (element: number, vector: number) => string,
): string[] {
  return each(size[0] * size[1], (element) => each(channels / 4, (vector) => line(element, vector)));
}

/**
 * Goes on from what is in the result, in a piece that does not begin with the first channel. Elements beyond the edge
 * are read from elsewhere, and never written. Each channel is an iteration that selects its sums: an array of sums that
 * is written at an index that varies takes 30 s to compile.
 */
function resume(shape: DirectShape): string[] {
  const { tile: { size, channels } } = shape;
  return [
    "let before = select(0u, vectors * 4u, piece.first_in > 0u);",
    "for (var channel = 0u; channel < before; channel++) {",
    "  let place = first + channel * piece.out_h * piece.out_w;",
    ...each(channels / 4, (v) => {
      const numbers = each(4, (i) => `${4 * v + i}u`).join(", ");
      return `  let is_channel_${v} = vec4<u32>(${numbers}) == vec4<u32>(channel);`;
    }),
    ...each(size[0] * size[1], (element) => {
      const address = `place + ${Math.floor(element / size[1])}u * piece.out_w + ${element % size[1]}u`;
      return `  let before_${element} = vec4<f32>(out[${address}]);`;
    }),
    ...sums(
      shape,
      (element, v) =>
        `  sum_${element}_${v} = select(sum_${element}_${v}, before_${element}, is_channel_${v});`,
    ),
    "}",
  ];
}

/** Writes the sums that lie in the result, in loops: a store is unrolled over lanes and bounds. */
function store({ tile: { size, channels } }: DirectShape): string[] {
  return [
    "for (var v = 0u; v < vectors; v++) {",
    "  for (var r = 0u; r < rows; r++) {",
    "    for (var c = 0u; c < columns; c++) {",
    `      let sum = sums[(r * ${size[1]}u + c) * ${channels / 4}u + v];`,
    "      var address = first + v * 4u * piece.out_h * piece.out_w + r * piece.out_w + c;",
    ...each(4, (i) => [
      `      if (o + v * 4u + ${i}u < piece.all_out) { out[address] = sum.${component(i)}; }`,
      ...(i < 3 ? ["      address += piece.out_h * piece.out_w;"] : []),
    ]),
    "    }",
    "  }",
    "}",
  ];
}

/** All products of a step: of one channel of the source and one row of the kernel. */
function products(shape: DirectShape): string[] {
  const { kernel, stride, dilation, tile: { size, channels } } = shape;
  const needed = vectorsOfTile(size[1], columnWindow(shape));
  return [
    ...each(
      size[0],
      (r) => needed.map((v) => `let in_${r}_${v} = padded[row + ${r * stride[0]}u * piece.row + ${v}u];`),
    ),
    ...each(kernel[1], (kx) => [
      ...each(channels / 4, (v) => `let weight_${kx}_${v} = weights[weight + ${kx * channels / 4 + v}u];`),
      ...sums(shape, (element, v) => {
        const column = element % size[1] * stride[1] + kx * dilation[1];
        const factor = `in_${Math.floor(element / size[1])}_${Math.floor(column / 4)}.${component(column)}`;
        const sum = `sum_${element}_${v}`;
        return `${sum} = fma(vec4<f32>(${factor}), weight_${kx}_${v}, ${sum});`;
      }),
    ]),
  ];
}

/** How the shape moves along columns. */
export function columnWindow({ kernel, stride, dilation }: Omit<DirectShape, "tile">): ColumnWindow {
  return { kernelColumns: kernel[1], strideColumns: stride[1], dilationColumns: dilation[1] };
}
