import { workgroupMainWgsl } from "../../gpu/dispatch.ts";
import { component, each, lines } from "../matmul/matmul_layout.ts";
import type { RowsAndColumns } from "../sizes.ts";
import { INVOCATIONS } from "./direct_wgsl.ts";
import type { WeightGradientTile } from "./weight_gradient_tile.ts";

/** What the source of the kernel depends on. */
export interface WeightGradientShape {
  readonly kernel: RowsAndColumns;
  readonly stride: RowsAndColumns;
  readonly dilation: RowsAndColumns;
  readonly tile: WeightGradientTile;
}

/** The sizes that it binds. */
export interface WeightGradientNumbers {
  /** Rows of the output in all images, and those of a span. */
  readonly allRows: number;
  readonly spanRows: number;
  /** Tiles of all spans, and how many there are along channels. */
  readonly tiles: number;
  readonly inTiles: number;
  readonly outTiles: number;
  readonly inChannels: number;
  readonly outChannels: number;
  /** Size of a padded plane, and of one of the output. */
  readonly padded: RowsAndColumns;
  readonly output: RowsAndColumns;
}

/** The numbers as words, in the order in which the kernel binds them. */
export function numberWords(numbers: WeightGradientNumbers): number[] {
  const { allRows, spanRows, tiles, inTiles, outTiles, inChannels, outChannels, padded, output } = numbers;
  return [allRows, spanRows, tiles, inTiles, outTiles, inChannels, outChannels, ...padded, ...output];
}

const NUMBERS_WGSL = `struct Numbers {
  all_rows: u32,
  span_rows: u32,
  tiles: u32,
  in_tiles: u32,
  out_tiles: u32,
  in_channels: u32,
  out_channels: u32,
  padded_h: u32,
  padded_w: u32,
  out_h: u32,
  out_w: u32,
}`;

/** Vectors that a tile leaves, `[inChannels, taps, outChannels / 4]`. */
export function tileVectors({ kernel, tile }: WeightGradientShape): number {
  return tile.inChannels * kernel[0] * kernel[1] * tile.outChannels / 4;
}

/** Columns of a kernel that the next element of the output has in common with this one: the last ones. */
export function keptColumns({ kernel, stride, dilation }: Omit<WeightGradientShape, "tile">): number {
  return stride[1] % dilation[1] === 0 ? Math.max(0, kernel[1] - stride[1] / dilation[1]) : 0;
}

/**
 * WGSL of the partial sums: an invocation sums the products of some output channels with some input channels, for each
 * element of the kernel, over the rows of a span, in the order of images, rows and columns. No column is multiplied
 * that is not there, since what is in its place may not be finite.
 *
 * As for the direct variant, loads are the cost on a CPU adapter. What the next column needs again is kept, and
 * channels are read as vectors, from copies where they are innermost; the output's gradient is not copied where only
 * one invocation reads it.
 */
export function weightGradientWgsl(shape: WeightGradientShape): string {
  const { stride, tile: { packedIn, packedOut } } = shape;
  const kept = keptColumns(shape);
  const vectors = tileVectors(shape);
  return `// partials[tile, c, ky, kx, o] = sum over the span's rows y and all x of padded[n, c, iy, ix] * gradient[n, o, y, x].
${NUMBERS_WGSL}

@group(0) @binding(0) var<storage, read> padded: array<${packedIn ? "vec4<f32>" : "f32"}>;
@group(0) @binding(1) var<storage, read> gradient: array<${packedOut ? "vec4<f32>" : "f32"}>;
@group(0) @binding(2) var<uniform> numbers: Numbers;
@group(0) @binding(3) var<storage, read_write> partials: array<vec4<f32>>;

${workgroupMainWgsl(INVOCATIONS, "number")}
  let index = number * ${INVOCATIONS}u + local;
  if (index >= numbers.tiles) {
    return;
  }
  let in_tile = index % numbers.in_tiles;
  let out_tile = index / numbers.in_tiles % numbers.out_tiles;
  let begin = index / numbers.in_tiles / numbers.out_tiles * numbers.span_rows;
  let end = min(begin + numbers.span_rows, numbers.all_rows);
${lines(1, placesOfTile(shape))}
${lines(1, sums(shape, (name) => `var ${name} = vec4<f32>();`))}
  for (var r = begin; r < end; r++) {
    let n = r / numbers.out_h;
    let y = r % numbers.out_h;
${lines(2, placesOfRow(shape))}
${lines(2, columns(shape, 0, kept, (name, load) => `var ${name} = ${load};`))}
    for (var x = 0u; x < numbers.out_w; x++) {
${lines(3, columns(shape, kept, shape.kernel[1], (name, load) => `let ${name} = ${load};`))}
${lines(3, gradients(shape))}
${
    lines(
      3,
      sums(shape, (name, ky, kx, c, v) => {
        const column = `in_${ky}_${kx}_`;
        const factor = packedIn ? `${column}${Math.floor(c / 4)}.${component(c)}` : `${column}${c}`;
        return `${name} = fma(gradient_${v}, vec4<f32>(${factor}), ${name});`;
      }),
    )
  }
${lines(3, keep(shape, kept))}
      place += ${stride[1]}u${packedIn ? " * in_vectors" : ""};
      out_place += ${packedOut ? "out_vectors" : "1u"};
    }
  }
  var all = array<vec4<f32>, ${vectors}>(
${lines(2, sums(shape, (name) => `${name},`))}
  );
  // A loop, since a store is unrolled over lanes and bounds; its end is no constant, so that it stays one.
  let vectors = min(${vectors}u, numbers.tiles * ${vectors}u);
  for (var v = 0u; v < vectors; v++) {
    partials[index * ${vectors}u + v] = all[v];
  }
}
`;
}

/** Where the channels of a tile are, in a packed copy or as planes; those beyond the last are never used. */
function placesOfTile({ tile }: WeightGradientShape): string[] {
  const { inChannels, outChannels, packedIn, packedOut } = tile;
  const plane = "numbers.padded_h * numbers.padded_w";
  const outPlane = "numbers.out_h * numbers.out_w";
  return [
    ...(packedIn
      ? [`let in_vectors = numbers.in_tiles * ${inChannels / 4}u;`]
      : each(inChannels, (c) =>
        `let plane_${c} = min(in_tile * ${inChannels}u + ${c}u, numbers.in_channels - 1u) * ${plane};`)),
    ...(packedOut
      ? [`let out_vectors = numbers.out_tiles * ${outChannels / 4}u;`]
      : each(outChannels, (o) =>
        `let out_plane_${o} = min(out_tile * ${outChannels}u + ${o}u, numbers.out_channels - 1u) * ${outPlane};`)),
  ];
}

/** Where a row begins. */
function placesOfRow(
  { stride, tile: { inChannels, outChannels, packedIn, packedOut } }: WeightGradientShape,
): string[] {
  const inRow = `* numbers.padded_h + y * ${stride[0]}u) * numbers.padded_w`;
  const outRow = "* numbers.out_h + y) * numbers.out_w";
  return [
    packedIn
      ? `var place = (n ${inRow} * in_vectors + in_tile * ${inChannels / 4}u;`
      : `var place = (n * numbers.in_channels ${inRow};`,
    packedOut
      ? `var out_place = (n ${outRow} * out_vectors + out_tile * ${outChannels / 4}u;`
      : `var out_place = (n * numbers.out_channels ${outRow};`,
  ];
}

/** A line for each sum, by its name, its place in the kernel, its input channel and its vector of output channels. */
function sums(
  { kernel, tile: { inChannels, outChannels } }: WeightGradientShape,
  line: (name: string, ky: number, kx: number, c: number, v: number) => string,
): string[] {
  return each(
    inChannels,
    (c) =>
      each(
        kernel[0],
        (ky) =>
          each(kernel[1], (kx) =>
            each(outChannels / 4, (v) => line(`sum_${c}_${ky}_${kx}_${v}`, ky, kx, c, v))),
      ),
  );
}

/** Loads of the input in some columns of the kernel, as vectors of channels or channel by channel. */
function columns(
  { kernel, dilation, tile: { inChannels, packedIn } }: WeightGradientShape,
  from: number,
  to: number,
  line: (name: string, load: string) => string,
): string[] {
  return each(kernel[0], (ky) =>
    each(to - from, (index) => {
      const kx = from + index;
      const element = `${ky * dilation[0]}u * numbers.padded_w + ${kx * dilation[1]}u`;
      return each(packedIn ? inChannels / 4 : inChannels, (c) =>
        line(
          `in_${ky}_${kx}_${c}`,
          packedIn
            ? `padded[place + (${element}) * in_vectors + ${c}u]`
            : `padded[place + plane_${c} + ${element}]`,
        ));
    }));
}

function gradients({ tile: { outChannels, packedOut } }: WeightGradientShape): string[] {
  return each(outChannels / 4, (v) => {
    const elements = each(4, (i) => `gradient[out_place + out_plane_${4 * v + i}]`).join(", ");
    return `let gradient_${v} = ${packedOut ? `gradient[out_place + ${v}u]` : `vec4<f32>(${elements})`};`;
  });
}

/** Moves the columns that the next element needs again to where it has them. */
function keep({ kernel, tile: { inChannels, packedIn } }: WeightGradientShape, kept: number): string[] {
  const vectors = packedIn ? inChannels / 4 : inChannels;
  return each(
    kernel[0],
    (ky) =>
      each(
        kept,
        (kx) => each(vectors, (c) => `in_${ky}_${kx}_${c} = in_${ky}_${kx + kernel[1] - kept}_${c};`),
      ),
  );
}
