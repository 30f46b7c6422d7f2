import { type Dispatch, gridFor, linearGrid } from "../../gpu/dispatch.ts";
import { NAN_BITS } from "../float_bits.ts";
import { fourRowsWgsl, isOfFourRows } from "./four_rows.ts";
import { checkNorm, type NormManner, type NormSizes, type NormVariant, rowLength } from "./norm_sizes.ts";
import {
  type ChannelBindings,
  channelBindings,
  type ChannelReads,
  channelReads,
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

/** What {@link rowNorm} binds: weight and bias have one for each channel. */
export interface RowNormBindings<B> extends ChannelBindings<B> {
  readonly input: B;
  readonly out: B;
  /** `[2, rows]`: the mean of each row (0 where none is taken away), then by what its elements are multiplied. */
  readonly statistics?: B | undefined;
}

/**
 * `out = (x - mean) / sqrt(variance + epsilon) * weight + bias` for each row, or without the mean and by the mean of
 * squares, in one dispatch.
 *
 * The mean is found twice: something near it (of a few elements, or of all), and the mean of the differences from that.
 * So it is the true mean of the elements, but for the rounding of the result and of the differences, and a row of equal
 * elements has the variance 0. The variance is the mean of the squared differences, less the square of their mean: off
 * by at most 2e-6 of itself. A row with a NaN or an infinity is NaN.
 */
export function rowNorm<B>(bindings: RowNormBindings<B>, options: RowNormOptions): Dispatch<B> {
  const { sizes, isCentred, epsilon } = options;
  const { input, out, statistics } = bindings;
  const label = isCentred ? "rowNorm" : "rmsNorm";
  checkNorm(label, sizes, epsilon);
  const walk = rowWalkOf(sizes, options.variant);
  const isOfFour = isOfFourRows(bindings.packed, sizes);
  const fours = isOfFour ? { count: Math.ceil(sizes.batch / 4), rows: sizes.batch } : {};
  const constants = { ...rowConstants(sizes, walk), ...fours, epsilon };
  const reads = channelReads(bindings, walk, sizes.channels);
  return {
    label: `${label} ${sizes.batch * sizes.groups}x${rowLength(sizes)} ${walk.variant}`,
    code: rowNormWgsl(walk, isCentred, reads, statistics !== undefined, isOfFour),
    constants,
    bindings: [input, ...channelBindings(bindings), out, ...statistics === undefined ? [] : [statistics]],
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

function rowNormWgsl(
  walk: RowWalk,
  isCentred: boolean,
  { declared, weight, bias }: ChannelReads,
  hasStatistics: boolean,
  isOfFour: boolean,
): string {
  const bindings = [
    "storage, read> input: array<Float>",
    ...declared,
    "storage, read_write> out: array<Float>",
    ...hasStatistics ? ["storage, read_write> statistics: array<f32>"] : [],
  ];
  const weighted = weight === undefined ? "" : ` * ${weight}`;
  const biased = bias === undefined ? "" : ` + ${bias}`;
  const value = isCentred ? "(input[address] - mean)" : "input[address]";
  const found = !isCentred
    ? meanSquareWgsl(walk)
    : walk.variant === "row"
    ? nearWgsl(walk)
    : centredWgsl(walk);
  const head = `override epsilon: f32;
${isOfFour ? "override rows: u32;\n" : ""}${rowHeadWgsl(bindings, walk)}`;
  if (isOfFour) {
    const main = fourRowsWgsl({ statistics: found, isCentred, hasStatistics, behind: weighted + biased });
    return `${head}\n${main}`;
  }
  return `${head}
${rowMainWgsl(walk)}
${found}
${hasStatistics ? leaveWgsl(walk, isCentred) : ""}
${walkWgsl(walk, `    out[address] = ${value} * scale${weighted}${biased};`)}
}
`;
}

const DIFFERENCES = { differences: "difference", squares: "difference * difference" };

/**
 * Leaves `mean` and `scale`, and reads most rows once: differences are from the mean of a few elements. Where that is
 * further from the mean than the deviation, which costs digits of the variance, they are taken once more, from the
 * mean.
 */
function nearWgsl(walk: RowWalk): string {
  const few = [0, 1, 2, 3].map((place) => `input[first + min(${place}u, length - 1u)]`);
  const across = walk.width === 4 ? "((few.x + few.y) + (few.z + few.w)) * 0.0625" : "few * 0.25";
  return `  let few = (${few[0]} + ${few[1]}) + (${few[2]} + ${few[3]});
  var near = ${across};
  var mean = 0.0;
  var variance = 0.0;
  for (var attempt = 0u; attempt < 2u; attempt += workgroups.z) {
${sumsWgsl(walk, "    let difference = input[address] - near;", DIFFERENCES)}
    let shift = total_differences / elements;
    mean = near + shift;
    variance = total_squares / elements - shift * shift;
    if (shift * shift <= variance) {
      break;
    }
    near = mean;
  }
${SCALE_WGSL}`;
}

/** Leaves `mean` and `scale`. A barrier may not depend on what rows are like. */
function centredWgsl(walk: RowWalk): string {
  return `${sumsWgsl(walk, "", { elements: "input[address]" })}
  let near = total_elements / elements;
${sumsWgsl(walk, "    let difference = input[address] - near;", DIFFERENCES)}
  let shift = total_differences / elements;
  let mean = near + shift;
  let variance = total_squares / elements - shift * shift;
${SCALE_WGSL}`;
}

const SCALE_WGSL = `  // Compilers may assume that there is no NaN, and rounding may have left less than 0.
  let exponent = bitcast<u32>(mean) & 0x7f800000u;
  let root = inverseSqrt(max(variance, 0.0) + epsilon);
  let scale = select(root, from_bits(${NAN_BITS}u), exponent == 0x7f800000u);`;

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
