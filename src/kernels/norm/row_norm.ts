import { type Dispatch, gridFor, linearGrid } from "../../gpu/dispatch.ts";
import { NAN_BITS } from "../float_bits.ts";
import { checkNorm, type NormManner, type NormSizes, type NormVariant, rowLength } from "./norm_sizes.ts";
import {
  channelBinding,
  ofChannelWgsl,
  rowConstants,
  rowHeadWgsl,
  rowMainWgsl,
  type RowWalk,
  rowWalkOf,
  sumsWgsl,
  walkWgsl,
} from "./row_walks.ts";

/** What is normalised, and how. */
export interface RowNormOptions extends NormManner {
  readonly sizes: NormSizes;
  readonly variant: NormVariant;
}

/** What {@link rowNorm} binds. */
export interface RowNormBindings<B> {
  readonly input: B;
  /** One for each channel. */
  readonly weight: B | undefined;
  readonly bias: B | undefined;
  readonly out: B;
  /** `[2, rows]`: the mean of each row (0 where none is taken away), then by what its elements are multiplied. */
  readonly statistics: B | undefined;
}

/**
 * `out = (x - mean) / sqrt(variance + epsilon) * weight + bias` for each row, or without the mean and by the mean of
 * squares, in one dispatch.
 *
 * The mean is found twice: of the elements, and of their differences from that. So it is the true mean of the elements,
 * but for the rounding of the result and of the differences, and a row of equal elements has the variance 0. The
 * variance is the mean of the squared differences, less the square of their mean: off by at most 1e-6 of itself. A row
 * with a NaN or an infinity is NaN.
 */
export function rowNorm<B>(bindings: RowNormBindings<B>, options: RowNormOptions): Dispatch<B> {
  const { sizes, isCentred, epsilon } = options;
  const { input, weight, bias, out, statistics } = bindings;
  const label = isCentred ? "rowNorm" : "rmsNorm";
  checkNorm(label, sizes, epsilon);
  const walk = rowWalkOf(sizes, options.variant);
  const constants = { ...rowConstants(sizes, walk), epsilon };
  return {
    label: `${label} ${sizes.batch * sizes.groups}x${rowLength(sizes)} ${walk.variant}`,
    code: rowNormWgsl(walk, isCentred, {
      weight: weight !== undefined,
      bias: bias !== undefined,
      statistics: statistics !== undefined,
    }),
    constants,
    bindings: [input, weight, bias, out, statistics].flatMap((binding) =>
      binding === undefined ? [] : [binding]
    ),
    workgroups: rowGrid(walk, constants),
  };
}

/** The grid of a kernel over rows; none where they are empty. */
export function rowGrid(
  { variant }: RowWalk,
  { count = 0, terms = 0 }: Readonly<Record<string, number>>,
): readonly [number, number, number] {
  if (terms === 0) return [0, 0, 0];
  return variant === "row" ? linearGrid(count) : gridFor(count);
}

interface Has {
  readonly weight: boolean;
  readonly bias: boolean;
  readonly statistics: boolean;
}

function rowNormWgsl(walk: RowWalk, isCentred: boolean, has: Has): string {
  const bindings = [
    "read> input: array<Float>",
    ...has.weight ? [channelBinding("weight", walk)] : [],
    ...has.bias ? [channelBinding("bias", walk)] : [],
    "read_write> out: array<Float>",
    ...has.statistics ? ["read_write> statistics: array<f32>"] : [],
  ];
  const weighted = has.weight ? ` * ${ofChannelWgsl("weight", walk)}` : "";
  const biased = has.bias ? ` + ${ofChannelWgsl("bias", walk)}` : "";
  const value = isCentred ? "(input[address] - mean)" : "input[address]";
  return `override epsilon: f32;
${rowHeadWgsl(bindings, walk)}
${rowMainWgsl(walk)}
${isCentred ? centredWgsl(walk) : meanSquareWgsl(walk)}
${has.statistics ? leaveWgsl(walk, isCentred) : ""}
${walkWgsl(walk, `    out[address] = ${value} * scale${weighted}${biased};`)}
}
`;
}

/** Leaves `mean` and `scale`. */
function centredWgsl(walk: RowWalk): string {
  return `${sumsWgsl(walk, "", { elements: "input[address]" })}
  let near = total_elements / elements;
${
    sumsWgsl(walk, "    let difference = input[address] - near;", {
      differences: "difference",
      squares: "difference * difference",
    })
  }
  let shift = total_differences / elements;
  let mean = near + shift;
  let variance = total_squares / elements - shift * shift;
  // Compilers may assume that there is no NaN, and rounding may have left less than 0.
  let exponent = bitcast<u32>(total_elements) & 0x7f800000u;
  let root = inverseSqrt(max(variance, 0.0) + epsilon);
  let scale = select(root, from_bits(${NAN_BITS}u), exponent == 0x7f800000u);`;
}

/** Leaves `scale`. */
function meanSquareWgsl(walk: RowWalk): string {
  return `${sumsWgsl(walk, "    let element = input[address];", { squares: "element * element" })}
  let scale = inverseSqrt(total_squares / elements + epsilon);`;
}

function leaveWgsl({ variant }: RowWalk, isCentred: boolean): string {
  const stores = `statistics[index] = ${isCentred ? "mean" : "0.0"};
  statistics[count + index] = scale;`;
  return variant === "row" ? `  ${stores}` : `  if (local == 0u) {
  ${stores}
  }`;
}
