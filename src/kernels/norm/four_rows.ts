import { LINEAR_MAIN_WGSL } from "../../gpu/dispatch.ts";
import { HIDE_WGSL } from "../opaque.ts";
import type { NormSizes } from "./norm_sizes.ts";

/** Rows with which fours of them still keep the threads of a processor busy. */
const ENOUGH_ROWS = 512;

/**
 * Whether an invocation normalises four rows. What all of them share of weight and bias is read once for the four: on a
 * CPU adapter that read is a third of the time, though it is of a uniform buffer. The bits are those of single rows.
 */
export function isOfFourRows(packed: unknown, { batch }: NormSizes): boolean {
  return packed !== undefined && batch >= ENOUGH_ROWS;
}

/** What a kernel over fours of rows consists of, as WGSL. */
export interface FourRows {
  /** Of the row that begins at `first`: leaves `mean` and `scale`, or only that. */
  readonly statistics: string;
  readonly isCentred: boolean;
  readonly hasStatistics: boolean;
  /** What stands behind the normalised element of `place`, with the weight and the bias of it. */
  readonly behind: string;
}

/** The entry point. `rows` is an override constant, and `count` the number of fours; the last may have fewer rows. */
export function fourRowsWgsl({ statistics, isCentred, hasStatistics, behind }: FourRows): string {
  const numbers = [0, 1, 2, 3];
  const first = (row: string): string => `min(4u * index + ${row}, rows - 1u) * terms`;
  const mean = isCentred ? "mean" : "0.0";
  const leave = `    statistics[first / terms] = ${mean};
    statistics[rows + first / terms] = scale;
`;
  const taken = (row: number): string => isCentred ? ` - means[${row}]` : "";
  return `${LINEAR_MAIN_WGSL}
${HIDE_WGSL}
  // No constant: compilers for CPU adapters unroll loops of a constant length, which takes them a hundred times longer.
  let length = terms * workgroups.z;
  var means = vec4<f32>();
  var scales = vec4<f32>();
  for (var row = 0u; row < 4u; row += workgroups.z) {
    let first = ${first("row")};
${statistics}
${hasStatistics ? leave : ""}    let is_its = vec4<u32>(row) == vec4<u32>(0u, 1u, 2u, 3u);
    means = select(means, vec4<f32>(${mean}), is_its);
    scales = select(scales, vec4<f32>(scale), is_its);
  }
${numbers.map((row) => `  let first_${row} = ${first(`${row}u`)};`).join("\n")}
  for (var place = 0u; place < length; place++) {
${
    numbers.map((row) =>
      `    out[first_${row} + place] = (input[first_${row} + place]${taken(row)}) * scales[${row}]${behind};`
    ).join("\n")
  }
  }
}
`;
}
