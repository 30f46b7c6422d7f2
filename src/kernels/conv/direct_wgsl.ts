import { workgroupMainWgsl } from "../../gpu/dispatch.ts";
import { component, each, lines } from "../matmul/matmul_layout.ts";
import type { RowsAndColumns } from "../sizes.ts";
import { BLOCK_CHANNELS, channelsOfPiece, WEIGHTS_WGSL } from "./pack_weights.ts";

/** What the source of the direct variant depends on. */
export interface DirectShape {
  readonly kernel: RowsAndColumns;
  readonly stride: RowsAndColumns;
  readonly dilation: RowsAndColumns;
  /** What one invocation computes of each of its four channels. The columns are a multiple of 4. */
  readonly tile: RowsAndColumns;
}

/** Products of one unrolled step: more take seconds to compile. */
const MOST_PRODUCTS = 128;

/** Whether all rows of the kernel are one step, or each is one. */
function isWhole({ kernel, tile }: DirectShape): boolean {
  return kernel[0] * kernel[1] * tile[0] * tile[1] <= MOST_PRODUCTS;
}

/**
 * Whether the direct variant takes kernels of this size: a row of it is unrolled, and its weights are bound together.
 */
export function fitsDirect(kernel: RowsAndColumns): boolean {
  return kernel[1] * 8 <= 2 * MOST_PRODUCTS && channelsOfPiece(kernel[0] * kernel[1]) > 0;
}

/** Columns of the input that a row of a tile needs. */
export function inputColumns({ kernel, stride, dilation, tile }: DirectShape): number {
  return (tile[1] - 1) * stride[1] + (kernel[1] - 1) * dilation[1] + 1;
}

/**
 * WGSL of the direct variant: an invocation computes a tile of four neighbouring channels, held as a vector an element.
 *
 * The 8 invocations of a workgroup have the same tile of 32 channels. So they read the same elements of the input, as
 * vectors along rows, and neighbouring vectors of weights. On a CPU adapter, what differs between invocations is loaded
 * lane by lane; from a uniform buffer, it is so without a bounds check and a branch each.
 */
export function directWgsl(shape: DirectShape): string {
  const { tile, stride } = shape;
  const sums = (line: (r: number, x: number) => string | string[]) =>
    each(tile[0], (r) => each(tile[1], (x) => line(r, x)));
  return `// out[n, o, y, x] = sum over c, ky, kx of padded[n, c, iy, ix] * weight[c, ky, kx, o].
override all_in: u32;
override all_out: u32;
override padded_h: u32;
override padded_w: u32; // a multiple of 4
override out_h: u32;
override out_w: u32;
override row_tiles: u32;
override column_tiles: u32;
override tiles: u32; // of all images

${WEIGHTS_WGSL}

@group(0) @binding(0) var<storage, read> padded: array<vec4<f32>>;
@group(0) @binding(1) var<uniform> weights: Weights;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;

${workgroupMainWgsl(BLOCK_CHANNELS / 4, "tile")}
  if (tile >= tiles) {
    return;
  }
  let x = tile % column_tiles * ${tile[1]}u;
  let y = tile / column_tiles % row_tiles * ${tile[0]}u;
  let n = tile / column_tiles / row_tiles;
  let row = padded_w / 4u;
  let corner = ((n * all_in + weights.first_in) * padded_h + y * ${stride[0]}u) * row + x / 4u * ${
    stride[1]
  }u;
  let o = weights.first_out + local * 4u;
  let first = ((n * all_out + o) * out_h + y) * out_w + x;
${lines(1, sums((r, x) => `var sum_${r}_${x} = vec4<f32>();`))}
  // A piece that is not the first of its block goes on from what is there.
  if (weights.first_in > 0u) {
${lines(2, sums((r, x) => `sum_${r}_${x} = ${before(r, x)};`))}
  }
  for (var c = 0u; c < weights.in_channels; c++) {
${lines(2, channel(shape))}
  }
${
    lines(
      1,
      each(4, (i) => [
        `if (o + ${i}u < all_out) {`,
        ...sums((r, x) => [
          `  if (y + ${r}u < out_h && x + ${x}u < out_w) { ${address(r, x, i)} = sum_${r}_${x}.${
            component(i)
          }; }`,
        ]),
        "}",
      ]),
    )
  }
}
`;
}

function address(r: number, x: number, channel: number): string {
  return `out[first + ${channel}u * out_h * out_w + ${r}u * out_w + ${x}u]`;
}

/** What is there already. Elements beyond the edge are read from elsewhere, and never written. */
function before(r: number, x: number): string {
  return `vec4<f32>(${each(4, (i) => address(r, x, i)).join(", ")})`;
}

/** All products with one channel of the input. */
function channel(shape: DirectShape): string[] {
  const { kernel, stride, dilation, tile } = shape;
  const taps = kernel[0] * kernel[1];
  const vectors = Math.ceil(inputColumns(shape) / 4);
  const head = [`let plane = corner + c * padded_h * row;`];
  const load = (name: string | number, offset: string) =>
    each(vectors, (v) => `let in_${name}_${v} = padded[plane + (${offset}) * row + ${v}u];`);
  const multiply = (ky: number, name: (r: number) => string | number) =>
    each(kernel[1], (kx) =>
      each(tile[0], (r) =>
        each(tile[1], (x) => {
          const column = x * stride[1] + kx * dilation[1];
          const element = `in_${name(r)}_${Math.floor(column / 4)}.${component(column)}`;
          return `sum_${r}_${x} = fma(weight_${ky}_${kx}, vec4<f32>(${element}), sum_${r}_${x});`;
        })));
  if (isWhole(shape)) {
    const rows = new Set(
      each(tile[0], (r) => each(kernel[0], (ky) => String(r * stride[0] + ky * dilation[0]))),
    );
    return [
      ...head,
      `let first_weight = c * ${taps * BLOCK_CHANNELS / 4}u + local;`,
      ...[...rows].flatMap((row) => load(row, `${row}u`)),
      ...each(kernel[0], (ky) => [
        ...each(kernel[1], (kx) => {
          const offset = (ky * kernel[1] + kx) * BLOCK_CHANNELS / 4;
          return `let weight_${ky}_${kx} = weights.elements[first_weight + ${offset}u];`;
        }),
        ...multiply(ky, (r) => r * stride[0] + ky * dilation[0]),
      ]),
    ];
  }
  return [
    ...head,
    `for (var ky = 0u; ky < ${kernel[0]}u; ky++) {`,
    `  let first_weight = (c * ${kernel[0]}u + ky) * ${kernel[1] * BLOCK_CHANNELS / 4}u + local;`,
    ...[
      ...each(tile[0], (r) => load(r, `${r * stride[0]}u + ky * ${dilation[0]}u`)),
      ...each(
        kernel[1],
        (kx) => `let weight_0_${kx} = weights.elements[first_weight + ${kx * BLOCK_CHANNELS / 4}u];`,
      ),
      ...multiply(0, (r) => r),
    ].map((line) => `  ${line}`),
    "}",
  ];
}
