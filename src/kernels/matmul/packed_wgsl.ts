import { workgroupMainWgsl } from "../../gpu/dispatch.ts";
import { UNIFORM_BYTES } from "../kernel_steps.ts";
import { component, each, elementTypeOf, lines } from "./matmul_layout.ts";

/** Invocations of a workgroup: the SIMD width of the CPU adapters that this variant is for. */
export const INVOCATIONS = 8;

/** Rows and columns that one invocation computes. */
export const TILE = 16;

/** What a dispatch of the packed variant multiplies: pairs of blocks that follow one another in k. */
export interface MatmulPiece {
  /** Tiles of a block of A, and of the blocks of a pair together. */
  readonly rowTiles: number;
  readonly tiles: number;
  /** Vectors between neighbouring steps, in the blocks of A and of B. */
  readonly pitchA: number;
  readonly pitchB: number;
  /** Rows of the result that the blocks have. */
  readonly rows: number;
  /** Its columns, where the piece begins in the result, and how far its rows lie apart: in elements of `out`. */
  readonly columns: number;
  readonly first: number;
  readonly pitch: number;
  /** 1 when the sums are added to what is in the result. */
  readonly goesOn: 0 | 1;
  /** Steps of each pair. */
  readonly steps: readonly number[];
}

/** The numbers of a piece as words, in the order in which the kernel binds them. */
export function pieceWords(piece: MatmulPiece): number[] {
  const { rowTiles, tiles, pitchA, pitchB, rows, columns, first, pitch, goesOn, steps } = piece;
  return [rowTiles, tiles, pitchA, pitchB, rows, columns, first, pitch, goesOn, ...steps];
}

/**
 * WGSL of the packed variant: an invocation computes 16 x 16 sums from blocks of A and B that are stored `[step][line]`
 * in uniform buffers. It binds A and B of each pair, the piece's numbers, and the result.
 *
 * Why so, on lavapipe 25.0.7 with 8 lanes: loading one component for all lanes takes 2.5 ns from a uniform buffer, and
 * 7 ns from storage, where each lane has a bounds check and a branch; that all lanes have one address makes neither
 * cheaper, so a lane's tile may lie anywhere. Multiplying and adding takes 0.3 ns. So loads are the cost, and a large
 * square tile saves them: with 8 x 8 a core reaches 16.7 GFLOP/s, with 16 x 8 20.1, with 16 x 16 24.5; 32 x 16 reaches
 * 28 and takes three times as long to compile. Unrolling over k gains nothing.
 *
 * A vector of the result takes 30 to 60 ns, as much as 50 steps of it, and a dispatch 18 µs. Hence several pairs of
 * blocks in a dispatch, each with a loop of its own, as there are no arrays of buffers. The sums are written in a loop:
 * a store is unrolled over lanes, components and bounds, and 64 of them take 2 s to compile. Sizes are bound, so that
 * all products of a program share a pipeline.
 */
export function packedMatmulWgsl(pairs: number, vectorOut: boolean): string {
  return `// out[m, n] += A[m, k] B[k, n], of one block each: an invocation computes ${TILE} x ${TILE}.
struct Piece {
  row_tiles: u32,
  tiles: u32,
  a_pitch: u32,
  b_pitch: u32,
  rows: u32,
  columns: u32,
  first: u32,
  pitch: u32,
  goes_on: u32,
${lines(1, each(pairs, (pair) => `steps_${pair}: u32,`))}
}

${
    each(pairs, (pair) => [uniformBlock(2 * pair, `a_${pair}`), uniformBlock(2 * pair + 1, `b_${pair}`)])
      .join("\n")
  }
@group(0) @binding(${2 * pairs}) var<uniform> piece: Piece;
@group(0) @binding(${2 * pairs + 1}) var<storage, read_write> out: array<${elementTypeOf(vectorOut)}>;

${workgroupMainWgsl(INVOCATIONS, "number")}
  let tile = number * ${INVOCATIONS}u + local;
  if (tile >= piece.tiles) {
    return;
  }
  let row_tile = tile % piece.row_tiles;
  let column_tile = tile / piece.row_tiles;
${lines(1, sums((r, v) => `var sum_${r}_${v} = vec4<f32>();`))}
${lines(1, each(pairs, multiplyBlocks))}
  var sums = array<vec4<f32>, ${TILE * VECTORS}>(
${lines(2, sums((r, v) => `sum_${r}_${v},`))}
  );
  let row = row_tile * ${TILE}u;
  let column = column_tile * ${vectorOut ? VECTORS : TILE}u;
  for (var r = 0u; r < min(${TILE}u, piece.rows - row); r++) {
    let line = piece.first + (row + r) * piece.pitch;
    for (var v = 0u; v < ${VECTORS}u; v++) {
      let sum = sums[r * ${VECTORS}u + v];
${lines(3, vectorOut ? storeVector() : storeElements())}
    }
  }
}
`;
}

/** Vectors of a tile's side. */
const VECTORS = TILE / 4;

function sums(line: (r: number, v: number) => string): string[] {
  return each(TILE, (r) => each(VECTORS, (v) => line(r, v)));
}

function uniformBlock(binding: number, name: string): string {
  return `@group(0) @binding(${binding}) var<uniform> ${name}: array<vec4<f32>, ${UNIFORM_BYTES / 16}>;`;
}

/** All products of a pair of blocks. */
function multiplyBlocks(pair: number): string[] {
  const factor = (r: number) => `rows_${Math.floor(r / 4)}.${component(r)}`;
  return [
    "{",
    `  var a_place = row_tile * ${VECTORS}u;`,
    `  var b_place = column_tile * ${VECTORS}u;`,
    `  for (var p = 0u; p < piece.steps_${pair}; p++) {`,
    ...each(VECTORS, (v) => `    let rows_${v} = a_${pair}[a_place + ${v}u];`),
    ...each(VECTORS, (v) => `    let columns_${v} = b_${pair}[b_place + ${v}u];`),
    ...sums((r, v) => `    sum_${r}_${v} = fma(vec4<f32>(${factor(r)}), columns_${v}, sum_${r}_${v});`),
    "    a_place += piece.a_pitch;",
    "    b_place += piece.b_pitch;",
    "  }",
    "}",
  ];
}

function storeVector(): string[] {
  return [
    "if (column + v < piece.columns) {",
    "  let place = line + column + v;",
    "  var before = vec4<f32>();",
    "  if (piece.goes_on == 1u) { before = out[place]; }",
    "  out[place] = before + sum;",
    "}",
  ];
}

function storeElements(): string[] {
  return each(4, (i) => [
    `if (column + v * 4u + ${i}u < piece.columns) {`,
    `  let place = line + column + v * 4u + ${i}u;`,
    "  var before = 0.0;",
    "  if (piece.goes_on == 1u) { before = out[place]; }",
    `  out[place] = before + sum.${component(i)};`,
    "}",
  ]);
}
