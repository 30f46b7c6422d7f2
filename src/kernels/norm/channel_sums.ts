import { linearGrid } from "../../gpu/dispatch.ts";
import type { KernelMemory, KernelStep } from "../kernel_steps.ts";
import { reduce } from "../reduce/reduce.ts";
import { requireElements, requireSizes } from "../sizes.ts";
import {
  CHANNEL_MAIN_WGSL,
  channelConstants,
  channelHeadWgsl,
  type ChannelPlan,
  type ChannelSizes,
  channelSumsWgsl,
  channelTotalWgsl,
  columnType,
  planChannels,
} from "./channel_plan.ts";

/** What {@link channelSums} binds. */
export interface ChannelSumsBindings<B> {
  readonly input: B;
  /** The gradient of what the input was normalised to, before weight and bias. */
  readonly outGrad: B;
  /** `[2, rows]`: the mean of each row, then by what its elements are multiplied. */
  readonly statistics: B;
  /** `[channels]`: sums of `outGrad` times the normalised elements. */
  readonly products: B;
  /** `[channels]`: sums of `outGrad`, where they are wanted. */
  readonly sums: B | undefined;
}

/** Sizes, and which statistics an element of a channel of an example has. */
export type ChannelSumsSizes = ChannelSizes & {
  /** How many rows of statistics an example has; 0 where all examples share them. */
  readonly rowsOfExample: number;
  /** How many neighbouring channels share statistics. */
  readonly channelsOfRow: number;
  /** Rows in all. */
  readonly rows: number;
};

/**
 * The gradients of weight and bias of a normalisation: sums over the batch and `inner`. Each is exact to 16 roundings
 * of the sum of the magnitudes, and the order depends on the sizes only: one dispatch of partials, and where there are
 * several, one for each result that adds them up.
 */
export function channelSums<B>(
  { input, outGrad, statistics, products, sums }: ChannelSumsBindings<B>,
  { rowsOfExample, channelsOfRow, rows, ...sizes }: ChannelSumsSizes,
  memory: KernelMemory<B>,
): KernelStep<B>[] {
  requireSizes("channelSums", { ...sizes, rowsOfExample, channelsOfRow, rows });
  requireElements("channelSums", [sizes.batch, sizes.channels, sizes.inner]);
  const plan = planChannels(sizes);
  const results = [products, ...sums === undefined ? [] : [sums]];
  const partials = plan.partials === 1
    ? results
    : results.map(() => memory.scratch("partial sums of channels", 4 * plan.partials * sizes.channels));
  const first: KernelStep<B> = {
    dispatch: {
      label: `channelSums ${sizes.batch}x${sizes.channels}x${sizes.inner} to ${plan.partials}`,
      code: channelSumsKernel(plan, sums !== undefined, channelsOfRow >= sizes.channels),
      constants: {
        ...channelConstants(sizes, plan),
        rows_of_example: rowsOfExample,
        channels_of_row: channelsOfRow,
        rows,
      },
      bindings: [input, outGrad, statistics, ...partials],
      workgroups: linearGrid(plan.columns * plan.partials),
    },
    writes: partials,
  };
  if (plan.partials === 1) return [first];
  const spans = [{ outer: 1, reduced: plan.partials, inner: sizes.channels }];
  const folds = results.flatMap((out, index) => {
    const partial = partials[index];
    if (partial === undefined) return [];
    const steps = reduce({ input: partial, out }, { op: "sum", spans }, memory);
    return steps.map(({ dispatch, out: written }) => ({ dispatch, writes: [written] }));
  });
  return [first, ...folds];
}

function channelSumsKernel(plan: ChannelPlan, hasSums: boolean, isOneRow: boolean): string {
  const type = columnType(plan);
  const bindings = [
    "read> input: array<Float>",
    "read> out_grad: array<Float>",
    "read> statistics: array<f32>",
    `read_write> products: array<${type}>`,
    ...hasSums ? [`read_write> sums: array<${type}>`] : [],
  ];
  // Four channels have one row, or a row each.
  const isVector = plan.isOfChannels && !isOneRow;
  const at = (start: string): string =>
    isVector
      ? `vec4(${
        [0, 1, 2, 3].map((lane) => `statistics[${start}row_of(example, ${lane}u, column)]`).join(", ")
      })`
      : `Float(statistics[${start}row_of(example, 0u, column)])`;
  const before = `    let mean = ${at("")};
    let scale = ${at("rows + ")};`;
  const loads = `      let slope = out_grad[address];`;
  const terms = {
    products: "slope * ((input[address] - mean) * scale)",
    ...hasSums ? { sums: "slope" } : {},
  };
  return `${channelHeadWgsl(bindings, plan)}
override rows: u32;
override rows_of_example: u32;
override channels_of_row: u32;

// The row of a channel.
fn row_of(example: u32, lane: u32, column: u32) -> u32 {
  return example * rows_of_example + (column * ${plan.isOfChannels ? 4 : 1}u + lane) / channels_of_row;
}

${CHANNEL_MAIN_WGSL}
${channelSumsWgsl(before, loads, terms)}
  products[index] = ${channelTotalWgsl("products", plan)};
${hasSums ? `  sums[index] = ${channelTotalWgsl("sums", plan)};` : ""}
}
`;
}
