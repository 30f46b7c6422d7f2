import type { Dispatch } from "../../gpu/dispatch.ts";
import { gridFor, workgroupMainWgsl } from "../../gpu/dispatch.ts";
import type { KernelMemory, KernelStep } from "../kernel_steps.ts";
import { each, lines } from "./matmul_layout.ts";
import type { MatmulBindings, MatmulSizes } from "./matmul.ts";
import { epilogueCode, epilogueWgsl, type MatmulEpilogue } from "./matmul_joins.ts";

/** Rows that share what is loaded of B. */
const MOST_ROWS = 4;

/** Parts of B begin at multiples of so many columns, where a binding may begin. */
const PART_COLUMNS = 64;

/** How a workgroup divides the work: how many invocations it has, and how many of them share a column of the result. */
interface ThinShape {
  readonly invocations: number;
  readonly sharers: number;
}

/** An invocation a column: a CPU adapter reads A once for all columns, since its address is the same for all. */
const ON_CPU: ThinShape = { invocations: 8, sharers: 1 };
/** Eight invocations a column, whose loads of B are neighbours. */
const ON_GPU: ThinShape = { invocations: 64, sharers: 8 };

/** Whether {@link thinMatmul} takes a product of these sizes: `A Bᵀ` of few rows, in whole vectors. */
export function isThin({ m, k, transposeA = false, transposeB = false }: MatmulSizes): boolean {
  return m > 0 && m <= MOST_ROWS && k > 0 && k % 4 === 0 && !transposeA && transposeB;
}

/**
 * `out[m, n] = A[m, k] B[n, k]ᵀ` for at most four rows, as the layers of a model have them that computes one position
 * after the other. It reads B once, as vectors along k. An element is summed up in a fixed order, so equal inputs give
 * equal bits; the bound of `matmul` holds.
 *
 * @param epilogue What is computed of each element before it is written.
 */
export function thinMatmul<B>(
  { a, b, out }: MatmulBindings<B>,
  { m, n, k }: MatmulSizes,
  isCpuAdapter: boolean,
  epilogue?: MatmulEpilogue<B>,
): Dispatch<B> {
  return thinDispatch({ a, b, out }, { m, n, k }, isCpuAdapter, { first: 0, count: n }, epilogue);
}

/** {@link thinMatmul} where B is larger than a binding: a dispatch for each part of it, which has some columns. */
export function thinMatmulParts<B>(
  bindings: MatmulBindings<B>,
  { m, n, k }: MatmulSizes,
  isCpuAdapter: boolean,
  memory: KernelMemory<B>,
): KernelStep<B>[] {
  const most = Math.floor(memory.bindingBytes / 4 / k / PART_COLUMNS) * PART_COLUMNS;
  const steps: KernelStep<B>[] = [];
  for (let first = 0; first < n; first += most === 0 ? n : most) {
    const count = most === 0 ? n : Math.min(most, n - first);
    const b = memory.slice(bindings.b, 4 * first * k, 4 * count * k);
    const dispatch = thinDispatch({ ...bindings, b }, { m, n, k }, isCpuAdapter, { first, count });
    steps.push({ dispatch, writes: [bindings.out] });
  }
  return steps;
}

/** The product with `count` columns of B from `first` on, which are what is bound of it. */
function thinDispatch<B>(
  { a, b, out }: MatmulBindings<B>,
  { m, n, k }: MatmulSizes,
  isCpuAdapter: boolean,
  { first, count }: { readonly first: number; readonly count: number },
  epilogue?: MatmulEpilogue<B>,
): Dispatch<B> {
  const shape = isCpuAdapter ? ON_CPU : ON_GPU;
  const element = epilogue && epilogueCode(epilogue, false);
  const finished = element && epilogueWgsl(element, epilogue?.product ?? 0);
  return {
    label: `matmul ${m}x${k} ${k}x${n}ᵀ thin`,
    code: thinWgsl(m, shape, finished),
    constants: { n: count, depth: k / 4, pitch: n, first_column: first, ...element?.constants },
    bindings: [a, b, out, ...element?.bindings ?? []],
    workgroups: gridFor(Math.ceil(count * shape.sharers / shape.invocations)),
  };
}

function thinWgsl(rows: number, { invocations, sharers }: ThinShape, epilogue: string | undefined): string {
  const isShared = sharers > 1;
  const write = (r: number, sum: string): string => {
    const place = `${r}u * pitch + first_column + column`;
    return `out[${place}] = ${epilogue === undefined ? sum : `finished(${place}, ${sum})`};`;
  };
  const all = (r: number) => `(sum_${r}.x + sum_${r}.y) + (sum_${r}.z + sum_${r}.w)`;
  const store = isShared
    ? [
      ...each(rows, (r) => `parts[local * ${rows}u + ${r}u] = ${all(r)};`),
      "workgroupBarrier();",
      "if (part != 0u || column >= n) {",
      "  return;",
      "}",
      ...each(rows, (r) => [
        `var total_${r} = 0.0;`,
        `for (var other = 0u; other < ${sharers}u; other++) {`,
        `  total_${r} += parts[(local + other) * ${rows}u + ${r}u];`,
        "}",
        write(r, `total_${r}`),
      ]),
    ]
    : ["if (column < n) {", ...each(rows, (r) => `  ${write(r, all(r))}`), "}"];
  return `// ${rows} rows, and ${sharers === 1 ? "an invocation" : `${sharers} invocations`} a column.
override n: u32;
override depth: u32; // vectors of a row
override pitch: u32; // columns of the result
override first_column: u32;

@group(0) @binding(0) var<storage, read> a: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> b: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;
${epilogue ?? ""}
${isShared ? `var<workgroup> parts: array<f32, ${invocations * rows}>;\n` : ""}
${workgroupMainWgsl(invocations, "tile")}
  let column = tile * ${invocations / sharers}u + local / ${sharers}u;
  let part = local % ${sharers}u;
  let first = min(column, n - 1u) * depth;
${lines(1, each(rows, (r) => `var sum_${r} = vec4<f32>();`))}
  for (var p = ${isShared ? "part" : "0u"}; p < depth; p += ${sharers}u) {
    let weight = b[first + p];
${lines(2, each(rows, (r) => `sum_${r} = fma(a[${r === 0 ? "" : `${r}u * depth + `}p], weight, sum_${r});`))}
  }
${lines(1, store)}
}
`;
}
