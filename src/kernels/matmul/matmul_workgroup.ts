import { workgroupMainWgsl } from "../../gpu/dispatch.ts";
import { HIDE_WGSL } from "../opaque.ts";
import { rowSumsWgsl } from "./matmul_joins.ts";
import {
  batchDeclarations,
  component,
  each,
  elementTypeOf,
  firstOf,
  isBatch,
  lines,
  type MatmulLayout,
  pitchOf,
  placesWgsl,
  sizeDeclarations,
} from "./matmul_layout.ts";

/** What one workgroup computes. */
export interface WorkgroupTile {
  readonly rows: number;
  readonly columns: number;
  /** Steps of k that are in workgroup memory at a time. */
  readonly depth: number;
  /** Rows and columns of one invocation, multiples of 4. */
  readonly rowsEach: number;
  readonly columnsEach: number;
}

/** The larger the tile, the fewer loads a sum; all keep to 256 invocations and 16 KiB, which every adapter has. */
const LARGE: WorkgroupTile = { rows: 128, columns: 128, depth: 8, rowsEach: 8, columnsEach: 8 };
const MEDIUM: WorkgroupTile = { rows: 64, columns: 64, depth: 16, rowsEach: 4, columnsEach: 4 };
const SMALL: WorkgroupTile = { rows: 32, columns: 32, depth: 16, rowsEach: 4, columnsEach: 4 };

/** Fewer workgroups than this leave parts of a large GPU idle. */
const ENOUGH_WORKGROUPS = 128;

/** The largest tile that still gives so many m x n results enough workgroups. Depends on the sizes only. */
export function workgroupTileFor(m: number, n: number, matrices: number = 1): WorkgroupTile {
  const isEnough = ({ rows, columns }: WorkgroupTile) =>
    matrices * Math.ceil(m / rows) * Math.ceil(n / columns) >= ENOUGH_WORKGROUPS;
  return [LARGE, MEDIUM].find(isEnough) ?? SMALL;
}

/**
 * WGSL of the workgroup variant. In turns, all invocations copy a slice of A and of B into workgroup memory, as
 * vectors along rows and columns, and each adds the slice's products to its own sums. The next slice is fetched from
 * memory before the current one is used, so that its latency hides behind the arithmetic.
 */
export function workgroupMatmulWgsl(layout: MatmulLayout, tile: WorkgroupTile): string {
  const { rows, columns, depth, rowsEach, columnsEach } = tile;
  const sums = (line: (r: number, v: number) => string) =>
    each(rowsEach, (r) => each(columnsEach / 4, (v) => line(r, v)));
  const { slots, fetch, keep, use } = sliceSteps(layout, tile);
  const { epilogue = "", sumsRows = false } = layout;
  const rowSums = sumsRows ? rowSumsWgsl(rowsEach / 4) : undefined;
  // WebGPU wants a loop with barriers to end by a constant or a uniform.
  const depthEnd = layout.isPart === true ? "part.k" : "k";
  const isHiding = epilogue !== "" || sumsRows;
  return `// out[m, n] = A[m, k] B[k, n]: a workgroup computes ${rows} x ${columns}, an invocation ${rowsEach} x ${columnsEach}.
${sizeDeclarations(layout)}
@group(0) @binding(0) var<storage, read> a: array<${elementTypeOf(layout.vectorA)}>;
@group(0) @binding(1) var<storage, read> b: array<${elementTypeOf(layout.vectorB)}>;
@group(0) @binding(2) var<storage, read_write> out: array<${elementTypeOf(layout.vectorOut)}>;
${batchDeclarations(layout)}
// [step of k][vector of rows], [step of k][vector of columns]
var<workgroup> a_slice: array<vec4<f32>, ${depth * rows / 4}>;
var<workgroup> b_slice: array<vec4<f32>, ${depth * columns / 4}>;

${epilogue}${rowSums?.declarations ?? ""}${loaders(layout)}

${workgroupMainWgsl(invocationsOf(tile), isBatch(layout) ? "number" : "tile")}${placesWgsl(layout)}${
    isHiding ? `\n${HIDE_WGSL}` : ""
  }
  let row_tiles = (m + ${rows - 1}u) / ${rows}u;
  let tile_row = (tile % row_tiles) * ${rows}u;
  let tile_column = (tile / row_tiles) * ${columns}u;
  let row_thread = local / ${columns / columnsEach}u;
  let column_thread = local % ${columns / columnsEach}u;
${lines(1, slots)}
${
    lines(1, [
      ...sums((r, v) =>
        `var sum_${r}_${v} = ${
          layout.isPart === true ? `sums_before(${rowOf(r, tile)}, ${columnOf(v, tile)})` : "vec4<f32>()"
        };`
      ),
      ...rowSums?.before ?? [],
    ])
  }

  // The slice that begins at step \`next\` is fetched while the one before is used.
  for (var next = 0u; next < ${depthEnd} + ${depth}u; next += ${depth}u) {
${lines(2, fetch)}
    // Not the constant ${depth}: compilers for CPU adapters unroll constant loops, which takes them many times
    // longer.
    let steps = select(min(${depth}u, k - (next - ${depth}u)), 0u, next == 0u);
    for (var p = 0u; p < steps; p++) {
${lines(3, use)}
${
    lines(3, [
      ...sums((r, v) => `sum_${r}_${v} = fma(vec4<f32>(${factor(r)}), b_${v}, sum_${r}_${v});`),
      ...rowSums?.step ?? [],
    ])
  }
    }
    workgroupBarrier();
${lines(2, keep)}
    workgroupBarrier();
  }

${
    lines(1, [
      ...sums((r, v) => `store(${rowOf(r, tile)}, ${columnOf(v, tile)}, sum_${r}_${v});`),
      ...rowSums?.after((v) => rowOf(v * 4, tile)) ?? [],
    ])
  }
}
`;
}

function invocationsOf({ rows, columns, rowsEach, columnsEach }: WorkgroupTile): number {
  return (rows / rowsEach) * (columns / columnsEach);
}

function factor(r: number): string {
  return `a_${Math.floor(r / 4)}.${component(r)}`;
}

function rowOf(r: number, { rows, rowsEach }: WorkgroupTile): string {
  return `tile_row + (row_thread + ${Math.floor(r / 4) * rows / rowsEach}u) * 4u + ${r % 4}u`;
}

function columnOf(v: number, { columns, columnsEach }: WorkgroupTile): string {
  return `tile_column + (column_thread + ${v * columns / columnsEach}u) * 4u`;
}

/** What an invocation does with slices. */
interface SliceSteps {
  /** Which vectors of each slice it copies. */
  readonly slots: string[];
  /** Reads them from memory. */
  readonly fetch: string[];
  /** Puts them into workgroup memory. */
  readonly keep: string[];
  /** Takes the vectors that it multiplies out of workgroup memory. */
  readonly use: string[];
}

function sliceSteps(layout: MatmulLayout, tile: WorkgroupTile): SliceSteps {
  const { rows, columns, depth, rowsEach, columnsEach } = tile;
  const invocations = invocationsOf(tile);
  const [rowVectors, columnVectors] = [rows / 4, columns / 4];
  const aSlots = [...Array(rowVectors * depth / invocations).keys()];
  const bSlots = [...Array(columnVectors * depth / invocations).keys()];
  return {
    slots: [
      ...aSlots.flatMap((i) => slot("a", i, layout.transposeA, rowVectors, tile)),
      ...bSlots.flatMap((i) => slot("b", i, !layout.transposeB, columnVectors, tile)),
    ],
    fetch: [
      ...aSlots.map((i) => `let next_a_${i} = load_a(tile_row + a_vector_${i} * 4u, next + a_step_${i});`),
      ...bSlots.map((i) => `let next_b_${i} = load_b(next + b_step_${i}, tile_column + b_vector_${i} * 4u);`),
    ],
    keep: [
      ...aSlots.map((i) => `a_slice[a_step_${i} * ${rowVectors}u + a_vector_${i}] = next_a_${i};`),
      ...bSlots.map((i) => `b_slice[b_step_${i} * ${columnVectors}u + b_vector_${i}] = next_b_${i};`),
    ],
    use: [
      ...each(
        rowsEach / 4,
        (v) => `let a_${v} = a_slice[p * ${rowVectors}u + row_thread + ${v * rows / rowsEach}u];`,
      ),
      ...each(
        columnsEach / 4,
        (v) => `let b_${v} = b_slice[p * ${columnVectors}u + column_thread + ${v * columns / columnsEach}u];`,
      ),
    ],
  };
}

/**
 * The vector of a slice that copy `index` of an invocation takes: neighbouring invocations read neighbouring
 * addresses.
 */
function slot(
  name: string,
  index: number,
  isAlongTile: boolean,
  vectors: number,
  tile: WorkgroupTile,
): string[] {
  const number = index === 0 ? "local" : `(local + ${index * invocationsOf(tile)}u)`;
  const [vector, step] = isAlongTile
    ? [`${number} % ${vectors}u`, `${number} / ${vectors}u`]
    : [`${number} / ${tile.depth}u`, `${number} % ${tile.depth}u`];
  return [`let ${name}_vector_${index} = ${vector};`, `let ${name}_step_${index} = ${step};`];
}

/**
 * Functions that read four neighbouring rows of A, or columns of B, at one step of k, 0 beyond the edges, and write.
 */
function loaders(layout: MatmulLayout): string {
  const { transposeA, transposeB, vectorA, vectorB, vectorOut } = layout;
  const [firstA, firstB] = [firstOf(layout, "a"), firstOf(layout, "b")];
  const pitchA = pitchOf(layout, "a", vectorA ? "(m / 4u)" : transposeA ? "m" : "k");
  const pitchB = pitchOf(layout, "b", vectorB ? "(n / 4u)" : transposeB ? "k" : "n");
  const fourA = each(4, (i) => {
    const row = `min(row + ${i}u, m - 1u)`;
    return `  a[${firstA}${transposeA ? `p * ${pitchA} + ${row}` : `${row} * ${pitchA} + p`}],`;
  });
  const fourB = each(4, (i) => {
    const column = `min(column + ${i}u, n - 1u)`;
    return `  b[${firstB}${transposeB ? `${column} * ${pitchB} + p` : `p * ${pitchB} + ${column}`}],`;
  });
  return `fn load_a(row: u32, p: u32) -> vec4<f32> {
  if (row >= m || p >= k) {
    return vec4<f32>();
  }
${
    lines(
      1,
      vectorA ? [`return a[${firstA}p * ${pitchA} + row / 4u];`] : ["return vec4<f32>(", ...fourA, ");"],
    )
  }
}

fn load_b(p: u32, column: u32) -> vec4<f32> {
  if (column >= n || p >= k) {
    return vec4<f32>();
  }
${
    lines(
      1,
      vectorB ? [`return b[${firstB}p * ${pitchB} + column / 4u];`] : ["return vec4<f32>(", ...fourB, ");"],
    )
  }
}

fn store(row: u32, column: u32, sums: vec4<f32>) {
  if (row >= m || column >= n) {
    return;
  }
${
    lines(
      1,
      vectorOut ? storeVector(layout) : storeElements(layout),
    )
  }
}
${layout.isPart === true ? sumsBeforeWgsl(layout) : ""}`;
}

/** A function that reads four neighbouring columns of the result, 0 where sums do not go on and beyond the edges. */
function sumsBeforeWgsl(layout: MatmulLayout): string {
  const row = rowInResult(layout);
  const read = layout.vectorOut
    ? [`return out[${row} + column / 4u];`]
    : ["return vec4<f32>(", ...each(4, (i) => `  out[${row} + min(column + ${i}u, n - 1u)],`), ");"];
  return `
fn sums_before(row: u32, column: u32) -> vec4<f32> {
  if (goes_on == 0u || row >= m || column >= n) {
    return vec4<f32>();
  }
${lines(1, read)}
}`;
}

/** Where a row of the result begins, as WGSL. */
function rowInResult(layout: MatmulLayout): string {
  return `${firstOf(layout, "out")}row * ${pitchOf(layout, "out", layout.vectorOut ? "(n / 4u)" : "n")}`;
}

function storeVector(layout: MatmulLayout): string[] {
  return [
    `let place = ${rowInResult(layout)} + column / 4u;`,
    `out[place] = ${finished(layout, "place", "sums")};`,
  ];
}

function storeElements(layout: MatmulLayout): string[] {
  return [
    `let first = ${rowInResult(layout)} + column;`,
    ...each(
      4,
      (i) =>
        `${i === 0 ? "" : `if (column + ${i}u < n) { `}out[first + ${i}u] = ${
          finished(layout, `first + ${i}u`, `sums.${component(i)}`)
        };${i === 0 ? "" : " }"}`,
    ),
  ];
}

/** What is written at `place` of the result, as WGSL. */
function finished({ epilogue }: MatmulLayout, place: string, sum: string): string {
  return epilogue === undefined ? sum : `finished(${place}, ${sum})`;
}
