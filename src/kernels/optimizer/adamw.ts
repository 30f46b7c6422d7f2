import { type Dispatch, LINEAR_MAIN_WGSL, linearGrid } from "../../gpu/dispatch.ts";
import { requireNumber, requireSizes } from "../sizes.ts";
import { STEP_SCALARS_WGSL } from "../step_scalars.ts";
import { GATE_WGSL, STEP_VERDICT_WGSL } from "./step_verdict.ts";

/** What AdamW binds: f32 tensors of `count` elements, the step's scalars and its verdict. */
export interface AdamWBindings<B> {
  /** Read and written. */
  readonly parameter: B;
  readonly gradient: B;
  /** Running mean of the gradients, read and written; zeros at first. */
  readonly m: B;
  /** Running mean of their squares, read and written; zeros at first. */
  readonly v: B;
  /** `values[0]`: learning rate. */
  readonly scalars: B;
  /** Whether to do anything; `corrections`: 1 - beta1^t and 1 - beta2^t, with t = 1 in the first update. */
  readonly verdict: B;
}

/** Hyperparameters, with PyTorch's defaults. */
export interface AdamWOptions {
  readonly count: number;
  /** Default 0.9. */
  readonly beta1?: number;
  /** Default 0.999. */
  readonly beta2?: number;
  /** Default 1e-8. Above 0, or elements whose gradient was always 0 would become NaN; at least 2^-126. */
  readonly epsilon?: number;
  /** Default 0.01. */
  readonly weightDecay?: number;
}

const SMALLEST_NORMAL = 2 ** -126;

/**
 * One step of AdamW (Loshchilov and Hutter 2019) as PyTorch computes it, fused over a slab of parameters:
 *
 * `p ← p (1 - lr·decay)`, `m ← m + (g - m)(1 - β1)`, `v ← β2 v + (1 - β2) g²`,
 * `p ← p - lr / (1 - β1^t) · m / (√v / √(1 - β2^t) + ε)`.
 *
 * Elements that are zero with a zero gradient stay zero, so a slab's padding does. Throws `RangeError` for
 * hyperparameters out of range.
 */
export function adamw<B>(bindings: AdamWBindings<B>, options: AdamWOptions): Dispatch<B> {
  const { count, beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8, weightDecay = 0.01 } = options;
  requireSizes("adamw", { count });
  requireNumber("adamw", "beta1", beta1, 0, 1);
  requireNumber("adamw", "beta2", beta2, 0, 1);
  requireNumber("adamw", "epsilon", epsilon, SMALLEST_NORMAL, 1e30);
  requireNumber("adamw", "weightDecay", weightDecay, 0, 1e30);
  const isVector = count % 4 === 0;
  return {
    label: `adamw ${count}`,
    code: isVector ? adamwWgsl("vec4<f32>") : adamwWgsl("f32"),
    constants: {
      count: isVector ? count / 4 : count,
      // Subtracted here: in f32, 1 - 0.999 keeps four digits.
      one_minus_beta1: 1 - beta1,
      beta2,
      one_minus_beta2: 1 - beta2,
      epsilon,
      weight_decay: weightDecay,
    },
    bindings: [
      bindings.parameter,
      bindings.gradient,
      bindings.m,
      bindings.v,
      bindings.scalars,
      bindings.verdict,
    ],
    workgroups: linearGrid(isVector ? count / 4 : count),
  };
}

function adamwWgsl(elements: "f32" | "vec4<f32>"): string {
  return `override count: u32;
override one_minus_beta1: f32;
override beta2: f32;
override one_minus_beta2: f32;
override epsilon: f32;
override weight_decay: f32;

${STEP_SCALARS_WGSL}
${STEP_VERDICT_WGSL}
alias Elements = ${elements};

@group(0) @binding(0) var<storage, read_write> parameter: array<Elements>;
@group(0) @binding(1) var<storage, read> gradient: array<Elements>;
@group(0) @binding(2) var<storage, read_write> mean: array<Elements>;
@group(0) @binding(3) var<storage, read_write> mean_square: array<Elements>;
@group(0) @binding(4) var<uniform> scalars: StepScalars;
@group(0) @binding(5) var<uniform> verdict: StepVerdict;

${LINEAR_MAIN_WGSL}
${GATE_WGSL}
  let learning_rate = scalars.values[0].x;
  let correction1 = verdict.corrections.x;
  let correction2 = verdict.corrections.y;
  let g = gradient[index];
  let m = mean[index] + (g - mean[index]) * one_minus_beta1;
  let v = mean_square[index] * beta2 + g * g * one_minus_beta2;
  let denominator = sqrt(v) / sqrt(correction2) + epsilon;
  let decayed = parameter[index] * (1.0 - learning_rate * weight_decay);
  mean[index] = m;
  mean_square[index] = v;
  parameter[index] = decayed - learning_rate / correction1 * (m / denominator);
}
`;
}
