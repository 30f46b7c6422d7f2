import { type ElementCode, elementCode, type ElementwiseInput } from "../elementwise/element_code.ts";
import type { Expression } from "../elementwise/expression.ts";
import { expressionTypesWgsl } from "../elementwise/expression_functions.ts";
import { FLOAT_TOTALS_WGSL } from "../float_totals.ts";
import { opaqueWgsl } from "../opaque.ts";
import { component, each } from "./matmul_layout.ts";

/** What is computed of each element of a product before it is written. */
export interface MatmulEpilogue<B> {
  /** Tensors that the expression reads. */
  readonly inputs: readonly ElementwiseInput<B>[];
  /** Which of the inputs is the product itself; its binding is not used. */
  readonly product: number;
  /** What the inputs are walked along: as many elements as the product has, in its order. */
  readonly shape: readonly number[];
  /** f32. */
  readonly expression: Expression;
}

/** What the kernel of a product does besides; one of both. */
export interface MatmulJoins<B> {
  readonly epilogue?: MatmulEpilogue<B> | undefined;
  /** Written: the sum of each row of A over k, with the bound of `reduce`. */
  readonly rowSums?: B | undefined;
}

/** Storage buffers that an epilogue may read: every adapter binds eight, and the product has three. */
export const MOST_EPILOGUE_INPUTS = 5;

/** The code of an epilogue, whose bindings follow those of the product. */
export function epilogueCode<B>(
  { inputs, product, shape, expression }: MatmulEpilogue<B>,
  isVector: boolean,
): ElementCode<B> {
  const outputs = [{ dtype: "f32", expression }] as const;
  const source = { inputs, shape, label: "matmul", firstBinding: 3, given: product };
  const code = elementCode(outputs, isVector ? source : { ...source, width: 1 });
  if (code.usesScalars) throw new TypeError("matmul: an epilogue cannot read the step's scalars");
  if (code.bindings.length <= MOST_EPILOGUE_INPUTS) return code;
  throw new RangeError(
    `matmul: an epilogue reads ${MOST_EPILOGUE_INPUTS} tensors at most, not ${code.bindings.length}`,
  );
}

/** `finished(index, sum)`: what is written at `index`, in elements of `out`. */
export function epilogueWgsl<B>(
  { declarations, statements, results }: ElementCode<B>,
  product: number,
): string {
  return `${declarations}

fn finished(index: u32, sum: Float) -> Float {
  let element_${product} = opaque(sum);
${statements.map((line) => `  ${line}`).join("\n")}
  return ${results[0]};
}
`;
}

/** Terms that are added up as they are, before what rounding takes is kept. */
const TURN = 8;

/** Parts of a kernel that sum rows. */
export interface RowSums {
  readonly declarations: string;
  readonly before: readonly string[];
  /** Runs at each step. */
  readonly step: readonly string[];
  /** Writes the sums of the rows from `row(v)` on. */
  after(row: (v: number) => string): string[];
}

/**
 * WGSL that sums the rows of A, which a workgroup has as vectors `a_0` and so on at each step `p` of `steps`. All of
 * its invocations do, where it has the first columns, and one of each row writes.
 */
export function rowSumsWgsl(vectors: number): RowSums {
  return {
    declarations: `${expressionTypesWgsl(4)}
${opaqueWgsl(4)}
${FLOAT_TOTALS_WGSL}
@group(0) @binding(3) var<storage, read_write> row_sums: array<f32>;

fn store_row_sums(row: u32, total: Total) {
  let sums = finish(total);
${each(4, (i) => `  if (row + ${i}u < m) { row_sums[row + ${i}u] = sums.${component(i)}; }`).join("\n")}
}
`,
    before: each(vectors, (v) => [`var turn_${v} = vec4<f32>();`, `var total_${v} = Total();`]),
    step: [
      "if (tile_column == 0u) {",
      ...each(vectors, (v) => `  turn_${v} += a_${v};`),
      `  if (p % ${TURN}u == ${TURN - 1}u || p + 1u == steps) {`,
      ...each(vectors, (v) => [
        `    total_${v} = join(total_${v}, Total(turn_${v}, vec4<f32>()));`,
        `    turn_${v} = vec4<f32>();`,
      ]),
      "  }",
      "}",
    ],
    after: (row) => [
      "if (tile_column == 0u && column_thread == 0u) {",
      ...each(vectors, (v) => `  store_row_sums(${row(v)}, total_${v});`),
      "}",
    ],
  };
}
