import type { Dispatch } from "../../gpu/dispatch.ts";
import { checkNorm, rowLength } from "./norm_sizes.ts";
import { rowGrid, type RowNormOptions } from "./row_norm.ts";
import {
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

/** What {@link rowNormGradient} binds. */
export interface RowNormGradientBindings<B> {
  readonly input: B;
  /** The gradient of the result. */
  readonly outGrad: B;
  readonly weight?: B | undefined;
  /** The weight in a uniform buffer, which is bound in place of it. */
  readonly packed?: B | undefined;
  /** As `rowNorm` left them. */
  readonly statistics: B;
  readonly out: B;
}

/**
 * The gradient of the input of `rowNorm`, in one dispatch: `scale (g - mean(g) - y mean(g y))` for each row, with `g =
 * outGrad weight` and the normalised elements `y`; without `mean(g)` where no mean is taken away.
 */
export function rowNormGradient<B>(
  { input, outGrad, weight, packed, statistics, out }: RowNormGradientBindings<B>,
  { sizes, isCentred, epsilon, variant }: RowNormOptions,
): Dispatch<B> {
  const label = isCentred ? "rowNormGradient" : "rmsNormGradient";
  checkNorm(label, sizes, epsilon);
  // Two in a turn are slower here, and take a CPU adapter twice as long to compile.
  const walk: RowWalk = { ...rowWalkOf(sizes, variant), together: 1 };
  const constants = rowConstants(sizes, walk);
  return {
    label: `${label} ${sizes.batch * sizes.groups}x${rowLength(sizes)} ${walk.variant}`,
    code: gradientWgsl(walk, isCentred, channelReads({ weight, packed }, walk, sizes.channels)),
    constants,
    bindings: [input, outGrad, ...channelBindings({ weight, packed }), statistics, out],
    workgroups: rowGrid(walk, constants),
  };
}

function gradientWgsl(walk: RowWalk, isCentred: boolean, { declared, weight }: ChannelReads): string {
  const bindings = [
    "storage, read> input: array<Float>",
    "storage, read> out_grad: array<Float>",
    ...declared,
    "storage, read> statistics: array<f32>",
    "storage, read_write> out: array<Float>",
  ];
  const loads = `    let slope = out_grad[address]${weight === undefined ? "" : ` * ${weight}`};
    let normal = (input[address] - mean) * scale;`;
  const sums = { ...isCentred ? { slopes: "slope" } : {}, products: "slope * normal" };
  return `${rowHeadWgsl(bindings, walk)}
${rowMainWgsl(walk)}
  let mean = statistics[index];
  let scale = statistics[count + index];
${sumsWgsl(walk, loads, sums)}
  let along = total_products / elements;
${isCentred ? "  let level = total_slopes / elements;" : ""}
${
    walkWgsl(
      walk,
      `${loads}\n    out[address] = (slope${isCentred ? " - level" : ""} - normal * along) * scale;`,
    )
  }
}
`;
}
