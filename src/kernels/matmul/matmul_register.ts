import { workgroupMainWgsl } from "../../gpu/dispatch.ts";
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

/**
 * Invocations of a workgroup: the SIMD width of the CPU adapters that this variant is for, so that each is one
 * vector.
 */
const INVOCATIONS = 8;

/** Rows that one invocation computes. Larger tiles run a little faster, but take seconds to compile. */
const ROWS = 8;

/** Vectors of columns that one invocation computes. */
function vectorsOf({ vectorDepth }: MatmulLayout): number {
  return vectorDepth ? 1 : 2;
}

/** What one workgroup computes. */
export function registerTileOf(layout: MatmulLayout): { rows: number; columns: number } {
  return { rows: ROWS, columns: INVOCATIONS * vectorsOf(layout) * 4 };
}

/**
 * Whether `A Bᵀ` is faster with vectors along k: when columns of B lie a multiple of 2 KiB apart, they share a few
 * sets of the cache, which then holds a line for one step only; and when the result is so narrow that wide tiles are
 * mostly edge.
 */
export function readsBetterAlongDepth(n: number, k: number): boolean {
  return k % 4 === 0 && (k % 512 === 0 || n <= 32);
}

/**
 * WGSL of the register variant: 8 x 8 sums an invocation, held as 16 vectors, and one step of k at a time; or, along
 * depth, 8 x 4 sums and four steps.
 *
 * On a CPU adapter the loads are the cost: each is done lane by lane, with a bounds check. Hence a tile that is as
 * large as compiles fast (64 sums for 16 loads), vectors wherever rows are whole vectors (half the instructions), and
 * no further unrolling over k, which outgrows the instruction cache. Rows and columns beyond the edge read the last
 * one, and are not written.
 */
export function registerMatmulWgsl(layout: MatmulLayout): string {
  const { vectorA, vectorB, vectorOut, vectorDepth } = layout;
  const vectors = vectorsOf(layout);
  return `// out[m, n] = A[m, k] B[k, n]: an invocation computes ${ROWS} rows of ${vectors * 4} columns.
${sizeDeclarations(layout)}
@group(0) @binding(0) var<storage, read> a: array<${elementTypeOf(vectorA || vectorDepth)}>;
@group(0) @binding(1) var<storage, read> b: array<${elementTypeOf(vectorB || vectorDepth)}>;
@group(0) @binding(2) var<storage, read_write> out: array<${elementTypeOf(vectorOut)}>;
${batchDeclarations(layout)}
// Workgroups with neighbouring numbers share columns of B, which stay in the cache.
${workgroupMainWgsl(INVOCATIONS, isBatch(layout) ? "number" : "tile")}${placesWgsl(layout)}
  let row_tiles = (m + ${ROWS - 1}u) / ${ROWS}u;
  let row = (tile % row_tiles) * ${ROWS}u;
  let column = ((tile / row_tiles) * ${INVOCATIONS}u + local) * ${vectors * 4}u;

${lines(1, edges(layout))}

${
    lines(1, [
      ...each(ROWS, (r) => each(vectors, (v) => `var sum_${r}_${v} = vec4<f32>();`)),
      ...layout.isPart === true ? loadSums(layout) : [],
    ])
  }
  for (var p = 0u; p < ${vectorDepth ? "k / 4u" : "k"}; p++) {
${lines(2, vectorDepth ? depthStep(layout) : step(layout))}
  }

${lines(1, each(ROWS, (r) => storeSums(layout, r)))}
}
`;
}

/** The rows and columns to read, none beyond the last. */
function edges(layout: MatmulLayout): string[] {
  const { vectorA, vectorB } = layout;
  const vectors = vectorsOf(layout);
  const rows = vectorA
    ? each(ROWS / 4, (v) => `let row_vector_${v} = min(row / 4u + ${v}u, m / 4u - 1u);`)
    : each(ROWS, (r) => `let row_${r} = min(row + ${r}u, m - 1u);`);
  const columns = vectorB
    ? each(vectors, (v) => `let column_vector_${v} = min(column / 4u + ${v}u, n / 4u - 1u);`)
    : each(vectors * 4, (c) => `let column_${c} = min(column + ${c}u, n - 1u);`);
  return [...rows, ...columns];
}

/** One step of k: a column of A times a row of B. */
function step(layout: MatmulLayout): string[] {
  const products = each(ROWS, (r) => each(vectorsOf(layout), (v) => multiplyAdd(layout, r, v)));
  return [...loadA(layout), ...loadB(layout), ...products];
}

function loadA(layout: MatmulLayout): string[] {
  const { transposeA, vectorA } = layout;
  const first = firstOf(layout, "a");
  if (vectorA) {
    const pitch = pitchOf(layout, "a", "(m / 4u)");
    return each(ROWS / 4, (v) => `let a_${v} = a[${first}p * ${pitch} + row_vector_${v}];`);
  }
  const pitch = pitchOf(layout, "a", transposeA ? "m" : "k");
  return each(
    ROWS,
    (r) => `let a_${r} = a[${first}${transposeA ? `p * ${pitch} + row_${r}` : `row_${r} * ${pitch} + p`}];`,
  );
}

function loadB(layout: MatmulLayout): string[] {
  const { transposeB, vectorB } = layout;
  const vectors = vectorsOf(layout);
  const first = firstOf(layout, "b");
  if (vectorB) {
    const pitch = pitchOf(layout, "b", "(n / 4u)");
    return each(vectors, (v) => `let b_${v} = b[${first}p * ${pitch} + column_vector_${v}];`);
  }
  const pitch = pitchOf(layout, "b", transposeB ? "k" : "n");
  const element = (c: number) =>
    `b[${first}${transposeB ? `column_${c} * ${pitch} + p` : `p * ${pitch} + column_${c}`}]`;
  return each(vectors, (v) => `let b_${v} = vec4<f32>(${each(4, (i) => element(v * 4 + i)).join(", ")});`);
}

function multiplyAdd({ vectorA }: MatmulLayout, r: number, v: number): string {
  const factor = vectorA ? `a_${Math.floor(r / 4)}.${component(r)}` : `a_${r}`;
  return `sum_${r}_${v} = fma(vec4<f32>(${factor}), b_${v}, sum_${r}_${v});`;
}

/** Four steps of k. */
function depthStep(layout: MatmulLayout): string[] {
  const [pitchA, pitchB] = [pitchOf(layout, "a", "(k / 4u)"), pitchOf(layout, "b", "(k / 4u)")];
  return [
    ...each(ROWS, (r) => `let a_${r} = a[${firstOf(layout, "a")}row_${r} * ${pitchA} + p];`),
    ...each(4, (c) => [
      `let b_${c} = b[${firstOf(layout, "b")}column_${c} * ${pitchB} + p];`,
      ...each(ROWS, (r) => `sum_${r}_0.${component(c)} += dot(a_${r}, b_${c});`),
    ]),
  ];
}

function storeSums(layout: MatmulLayout, r: number): string[] {
  return inResult(layout, r, (place, sum) => `out[${place}] = ${sum};`);
}

/** The sums of a part that goes on begin with what is in the result. */
function loadSums(layout: MatmulLayout): string[] {
  const loads = each(ROWS, (r) => inResult(layout, r, (place, sum) => `${sum} = out[${place}];`));
  return ["if (goes_on == 1u) {", ...loads.map((line) => `  ${line}`), "}"];
}

/** What is done in row `r` of a tile, for each place of it that is in the result. */
function inResult(layout: MatmulLayout, r: number, line: (place: string, sum: string) => string): string[] {
  const vectors = vectorsOf(layout);
  const [first, pitch] = [
    firstOf(layout, "out"),
    pitchOf(layout, "out", layout.vectorOut ? "(n / 4u)" : "n"),
  ];
  const row = `${first}(row + ${r}u) * ${pitch}`;
  const places = layout.vectorOut
    ? each(vectors, (v) => [
      `if (column + ${v * 4}u < n) {`,
      `  ${line(`${row} + column / 4u + ${v}u`, `sum_${r}_${v}`)}`,
      "}",
    ])
    : each(vectors * 4, (c) => [
      `if (column + ${c}u < n) {`,
      `  ${line(`${row} + column + ${c}u`, `sum_${r}_${Math.floor(c / 4)}.${component(c)}`)}`,
      "}",
    ]);
  return [`if (row + ${r}u < m) {`, ...places.map((each) => `  ${each}`), "}"];
}
