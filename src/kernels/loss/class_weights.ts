import { type Dispatch, LINEAR_MAIN_WGSL, linearGrid } from "../../gpu/dispatch.ts";
import { floatBitsWgsl } from "../float_bits.ts";
import { requireElements, requireSizes } from "../sizes.ts";

/** What is bound to look up the weights of rows. */
export interface ClassWeightsBindings<B> {
  /** `[classes]`, f32. */
  readonly weights: B;
  /** `[rows]`, u32. */
  readonly labels: B;
  /** `[rows]`, f32, written. */
  readonly out: B;
}

/** The weight of each row's class; NaN for a label that is no class. */
export function classWeights<B>(
  bindings: ClassWeightsBindings<B>,
  options: { readonly rows: number; readonly classes: number },
): Dispatch<B> {
  const { rows, classes } = options;
  requireSizes("classWeights", { rows, classes });
  requireElements("classWeights", [rows]);
  if (classes === 0 && rows > 0) throw new RangeError("classWeights: there is no class to choose from");
  return {
    label: `classWeights ${rows}`,
    code: CLASS_WEIGHTS_WGSL,
    constants: { count: rows, classes },
    bindings: [bindings.weights, bindings.labels, bindings.out],
    workgroups: linearGrid(rows),
  };
}

const CLASS_WEIGHTS_WGSL = `override count: u32;
override classes: u32;

@group(0) @binding(0) var<storage, read> weights: array<f32>;
@group(0) @binding(1) var<storage, read> labels: array<u32>;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;

${floatBitsWgsl("f32")}
${LINEAR_MAIN_WGSL}
  let label = labels[index];
  out[index] = select(weights[min(label, classes - 1u)], from_bits(0x7fc00000u), label >= classes);
}
`;
