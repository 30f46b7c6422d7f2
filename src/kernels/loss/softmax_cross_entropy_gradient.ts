import { type Dispatch, LINEAR_MAIN_WGSL, linearGrid } from "../../gpu/dispatch.ts";
import { floatBitsWgsl } from "../float_bits.ts";
import {
  checkSizes,
  type CrossEntropyTarget,
  type Target,
  targetOf,
  targetWgsl,
} from "./cross_entropy_target.ts";

/** What the gradient binds. */
export interface CrossEntropyGradientBindings<B> {
  /** `[rows, classes]`, f32, from `softmaxCrossEntropy`. */
  readonly probabilities: B;
  /** `[rows]`, u32. */
  readonly labels: B;
  /** The gradient of the losses, f32: one for each row, or one for all. */
  readonly scale: B;
  /** As the losses had them. */
  readonly classWeights?: B | undefined;
  /** `[rows, classes]`, f32, written. */
  readonly out: B;
}

/** The sizes of a batch, and what it is measured against. */
export interface CrossEntropyGradientOptions extends CrossEntropyTarget {
  readonly rows: number;
  readonly classes: number;
  /** Whether `scale` is `[rows]` (the default) or one number. */
  readonly scale?: "row" | "scalar";
}

/**
 * The gradient of the logits: `(probabilities * Σ target - target) * scale`, with the target `one-hot(label)`, or
 * what smoothing and weights make of it; NaN in the rows whose label is no class. In rows whose scale is 0 it is 0,
 * whatever logits and label are: a row that has no weight is a row that was never there.
 */
export function softmaxCrossEntropyGradient<B>(
  bindings: CrossEntropyGradientBindings<B>,
  options: CrossEntropyGradientOptions,
): Dispatch<B> {
  const { rows, classes, scale = "row" } = options;
  const count = checkSizes("softmaxCrossEntropyGradient", rows, classes);
  const { probabilities, labels, scale: factor, out, classWeights } = bindings;
  const target = targetOf(options, classWeights !== undefined);
  return {
    label: `softmaxCrossEntropyGradient ${rows}x${classes}`,
    code: gradientWgsl(target),
    constants: { count, classes, scale_stride: scale === "row" ? 1 : 0, ...target.constants },
    bindings: [probabilities, labels, factor, out, ...classWeights === undefined ? [] : [classWeights]],
    workgroups: linearGrid(count),
  };
}

/** `expected`, the target of a class, and what the probability is multiplied by, which is the sum of all targets. */
function expectedWgsl({ isSmoothed, isWeighted }: Target): string {
  const weight = `${isSmoothed ? "own_part * " : ""}weight_of(min(label, classes - 1u))`;
  const all = isSmoothed ? "own + spread_part" : "own";
  return `  let own = ${weight};
  let expected = select(0.0, own, label == class_index)${
    isSmoothed ? " + class_part * weight_of(class_index)" : ""
  };
  let all_expected = ${isWeighted ? all : "1.0"};`;
}

const gradientWgsl = (target: Target): string =>
  `override count: u32; // rows * classes
override classes: u32;
override scale_stride: u32;

@group(0) @binding(0) var<storage, read> probabilities: array<f32>;
@group(0) @binding(1) var<storage, read> labels: array<u32>;
@group(0) @binding(2) var<storage, read> scale: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;
${targetWgsl(target, 4)}
${floatBitsWgsl("f32")}
${LINEAR_MAIN_WGSL}
  let row = index / classes;
  let class_index = index % classes;
  let label = labels[row];
${expectedWgsl(target)}
  let factor = scale[row * scale_stride];
  let gradient = (probabilities[index] * all_expected - expected) * factor;
  out[index] = select(select(gradient, from_bits(0x7fc00000u), label >= classes), 0.0, factor == 0.0);
}
`;
