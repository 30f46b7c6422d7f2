import { each, lines } from "../matmul/matmul_layout.ts";
import { type AttentionVariant, vectorsOf } from "./attention_sizes.ts";
import { loadRowWgsl } from "./attention_wgsl.ts";
import { PAGE_WGSL } from "./pages.ts";

/** Two tensors whose rows a kernel goes through together. */
export interface RowSource {
  /** Declarations, bound at 0 and 1. */
  readonly declarations: string;
  /** Of the heads of keys that a dispatch has, the first and how many, as WGSL. */
  readonly firstHead: string;
  readonly headCount: string;
  /**
   * Statements that prepare the loop, given the number of the head among those of the dispatch and the number of its
   * rows.
   */
  head(headInLaunch: string, rowsOfHead: string): readonly string[];
  /** Whether sums go on from those of another dispatch, as WGSL; absent where one dispatch has all rows of a head. */
  readonly goesOn?: string;
  /** Invocations of a workgroup. */
  readonly invocations: number;
  /**
   * Statements that run `body` for each row from `begin` up to `end`, numbers of the head's rows that are the same in a
   * workgroup, and for a few rows around, which the body leaves out. The body finds the number of its row in `row`.
   */
  loop(begin: string, end: string, body: readonly string[]): string;
  /** Vectors of the row that the body is at. */
  first(vector: number): string;
  second(vector: number): string;
}

/** Elements of workgroup memory that both tiles take together, as vectors: 16 KiB, which every adapter has. */
const TILE_VECTORS = 1024;

/** The rows of two tensors of `firstWidth` and `secondWidth` elements a row. */
export function rowSource(variant: AttentionVariant, firstWidth: number, secondWidth: number): RowSource {
  return variant === "page" ? pageSource(firstWidth, secondWidth) : tileSource(firstWidth, secondWidth);
}

function pageSource(firstWidth: number, secondWidth: number): RowSource {
  const [first, second] = [vectorsOf(firstWidth), vectorsOf(secondWidth)];
  return {
    declarations: `${PAGE_WGSL}

@group(0) @binding(0) var<uniform> first_page: Page;
@group(0) @binding(1) var<uniform> second_page: Page;
`,
    firstHead: "first_page.first_head",
    headCount: "first_page.head_count",
    head: (headInLaunch, rowsOfHead) => [
      `let page_first = ${headInLaunch} * first_page.row_count;`,
      "let first_row = first_page.first_row;",
      `let rows_end = min(first_row + first_page.row_count, ${rowsOfHead});`,
    ],
    goesOn: "(first_page.first_row > 0u)",
    invocations: 8,
    loop: (begin, end, body) =>
      `for (var row = max(${begin}, first_row); row < min(${end}, rows_end); row++) {
  let place = page_first + row - first_row;
${lines(1, body)}
}`,
    first: (vector) => `first_page.rows[place * ${first}u + ${vector}u]`,
    second: (vector) => `second_page.rows[place * ${second}u + ${vector}u]`,
  };
}

function tileSource(firstWidth: number, secondWidth: number): RowSource {
  const [first, second] = [vectorsOf(firstWidth), vectorsOf(secondWidth)];
  const invocations = 64;
  const rows = Math.max(1, Math.floor(TILE_VECTORS / (first + second)));
  const copy = (name: string, vectors: number): string[] => [
    `for (var index = local; index < in_tile * ${vectors}u; index += ${invocations}u) {`,
    `  tile_${name}[index] = load_${name}_rows(head_first + tile + index / ${vectors}u, index % ${vectors}u);`,
    "}",
  ];
  return {
    declarations: `${loadRowWgsl("first_rows", 0, firstWidth)}
${loadRowWgsl("second_rows", 1, secondWidth)}
var<workgroup> tile_first: array<vec4<f32>, ${rows * first}>;
var<workgroup> tile_second: array<vec4<f32>, ${rows * second}>;
`,
    firstHead: "0u",
    headCount: "key_heads",
    head: (headInLaunch, rowsOfHead) => [
      `let head_first = ${headInLaunch} * ${rowsOfHead};`,
      `let rows_of_head = ${rowsOfHead};`,
    ],
    invocations,
    loop: (begin, end, body) =>
      `for (var tile = ${begin} / ${rows}u * ${rows}u; tile < ${end}; tile += ${rows}u) {
  let in_tile = min(${rows}u, rows_of_head - tile);
  workgroupBarrier();
${lines(1, [...copy("first", first), ...copy("second", second)])}
  workgroupBarrier();
  for (var in_place = 0u; in_place < in_tile; in_place++) {
    let row = tile + in_place;
${lines(2, body)}
  }
}`,
    first: (vector) => `tile_first[in_place * ${first}u + ${vector}u]`,
    second: (vector) => `tile_second[in_place * ${second}u + ${vector}u]`,
  };
}

/** The product of a row of vectors, named `left_0` and so on, with what `right` gives. */
export function dotLines(
  name: string,
  vectors: number,
  left: string,
  right: (vector: number) => string,
): string[] {
  return [
    `var ${name}_sums = vec4<f32>();`,
    ...each(vectors, (v) => `${name}_sums = fma(${left}_${v}, ${right(v)}, ${name}_sums);`),
    `let ${name} = (${name}_sums.x + ${name}_sums.y) + (${name}_sums.z + ${name}_sums.w);`,
  ];
}
