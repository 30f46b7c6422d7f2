import { component, each, elementTypeOf, lines, type MatmulLayout } from "./matmul_layout.ts";

/** Invocations of a workgroup: the SIMD width of the CPU adapters that this variant is for, so that each is one vector. */
const INVOCATIONS = 8;

/** Rows and columns that one invocation computes. Larger tiles run faster still, but take seconds to compile. */
const ROWS = 8;
const VECTORS = 2;

/** Rows and columns of the result that one workgroup computes. */
export const REGISTER_TILE: Readonly<{ rows: number; columns: number }> = {
  rows: ROWS,
  columns: INVOCATIONS * VECTORS * 4,
};

/**
 * WGSL of the register variant: 8 x 8 sums an invocation, held as 16 vectors, and one step of k at a time.
 *
 * On a CPU adapter the loads are the cost: each is done lane by lane, with a bounds check. Hence a tile that is as large as
 * compiles fast (64 sums for 16 loads), vectors wherever rows are whole vectors (a third of the checks), and no
 * unrolling over k, which outgrows the instruction cache. Rows and columns beyond the edge read the last
 * one, and are not written.
 */
export function registerMatmulWgsl(layout: MatmulLayout): string {
  const { vectorA, vectorB, vectorOut } = layout;
  return `// out[m, n] = A[m, k] B[k, n]: an invocation computes ${ROWS} rows of ${VECTORS} vectors.
override m: u32;
override n: u32;
override k: u32;

@group(0) @binding(0) var<storage, read> a: array<${elementTypeOf(vectorA)}>;
@group(0) @binding(1) var<storage, read> b: array<${elementTypeOf(vectorB)}>;
@group(0) @binding(2) var<storage, read_write> out: array<${elementTypeOf(vectorOut)}>;

@compute @workgroup_size(${INVOCATIONS})
fn main(
  @builtin(workgroup_id) workgroup: vec3<u32>,
  @builtin(num_workgroups) workgroups: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
) {
  // Workgroups with neighbouring numbers share columns of B, which stay in the cache.
  let tile = workgroup.y * workgroups.x + workgroup.x;
  let row_tiles = (m + ${ROWS - 1}u) / ${ROWS}u;
  let row = (tile % row_tiles) * ${ROWS}u;
  let column = ((tile / row_tiles) * ${INVOCATIONS}u + local) * ${VECTORS * 4}u;

${lines(1, edges(layout))}

${lines(1, each(ROWS, (r) => each(VECTORS, (v) => `var sum_${r}_${v} = vec4<f32>();`)))}
  for (var p = 0u; p < k; p++) {
${lines(2, loadA(layout))}
${lines(2, loadB(layout))}
${lines(2, each(ROWS, (r) => each(VECTORS, (v) => multiplyAdd(layout, r, v))))}
  }

${lines(1, each(ROWS, (r) => store(r, vectorOut)))}
}
`;
}

/** The rows and columns to read, none beyond the last. */
function edges({ vectorA, vectorB }: MatmulLayout): string[] {
  const rows = vectorA
    ? each(ROWS / 4, (v) => `let row_vector_${v} = min(row / 4u + ${v}u, m / 4u - 1u);`)
    : each(ROWS, (r) => `let row_${r} = min(row + ${r}u, m - 1u);`);
  const columns = vectorB
    ? each(VECTORS, (v) => `let column_vector_${v} = min(column / 4u + ${v}u, n / 4u - 1u);`)
    : each(VECTORS * 4, (c) => `let column_${c} = min(column + ${c}u, n - 1u);`);
  return [...rows, ...columns];
}

function loadA({ transposeA, vectorA }: MatmulLayout): string[] {
  if (vectorA) return each(ROWS / 4, (v) => `let a_${v} = a[p * (m / 4u) + row_vector_${v}];`);
  return each(ROWS, (r) => `let a_${r} = a[${transposeA ? `p * m + row_${r}` : `row_${r} * k + p`}];`);
}

function loadB({ transposeB, vectorB }: MatmulLayout): string[] {
  if (vectorB) return each(VECTORS, (v) => `let b_${v} = b[p * (n / 4u) + column_vector_${v}];`);
  const element = (c: number) => `b[${transposeB ? `column_${c} * k + p` : `p * n + column_${c}`}]`;
  return each(VECTORS, (v) => `let b_${v} = vec4<f32>(${each(4, (i) => element(v * 4 + i)).join(", ")});`);
}

function multiplyAdd({ vectorA }: MatmulLayout, r: number, v: number): string {
  const factor = vectorA ? `a_${Math.floor(r / 4)}.${component(r)}` : `a_${r}`;
  return `sum_${r}_${v} = fma(vec4<f32>(${factor}), b_${v}, sum_${r}_${v});`;
}

function store(r: number, vectorOut: boolean): string[] {
  const writes = vectorOut
    ? each(VECTORS, (v) => [
      `if (column + ${v * 4}u < n) {`,
      `  out[(row + ${r}u) * (n / 4u) + column / 4u + ${v}u] = sum_${r}_${v};`,
      "}",
    ])
    : each(VECTORS * 4, (c) => [
      `if (column + ${c}u < n) {`,
      `  out[(row + ${r}u) * n + column + ${c}u] = sum_${r}_${Math.floor(c / 4)}.${component(c)};`,
      "}",
    ]);
  return [`if (row + ${r}u < m) {`, ...writes.map((line) => `  ${line}`), "}"];
}
