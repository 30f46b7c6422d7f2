import { type Dispatch, LINEAR_MAIN_WGSL, linearGrid } from "../../gpu/dispatch.ts";
import { requireNumber, requireSizes } from "../sizes.ts";
import { STEP_SCALARS_WGSL } from "../step_scalars.ts";
import { GATE_WGSL, STEP_VERDICT_WGSL } from "./step_verdict.ts";

/** What SGD binds: f32 tensors of `count` elements, the step's scalars and its verdict. */
export interface SgdBindings<B> {
  /** Read and written. */
  readonly parameter: B;
  readonly gradient: B;
  /** Read and written; zeros at first. Needed exactly when there is momentum. */
  readonly velocity?: B | undefined;
  /** `values[0]`: learning rate. */
  readonly scalars: B;
  /** Whether to do anything. */
  readonly verdict: B;
}

/** Hyperparameters, with PyTorch's defaults. */
export interface SgdOptions {
  readonly count: number;
  /** Default 0. */
  readonly momentum?: number;
  /** Default false. */
  readonly nesterov?: boolean;
  /** Default 0. */
  readonly weightDecay?: number;
}

/**
 * One step of stochastic gradient descent as PyTorch computes it (without dampening), fused over a slab of
 * parameters:
 *
 * `g ← g + decay·p`, `v ← momentum·v + g`, `p ← p - lr·v`, or with Nesterov's momentum `p ← p - lr (g + momentum·v)`.
 *
 * Elements that are zero with a zero gradient stay zero, so a slab's padding does. Throws `RangeError` for
 * hyperparameters out of range and `TypeError` for momentum without velocity, or the reverse.
 */
export function sgd<B>(bindings: SgdBindings<B>, options: SgdOptions): Dispatch<B> {
  const { count, momentum = 0, nesterov = false, weightDecay = 0 } = options;
  requireSizes("sgd", { count });
  requireNumber("sgd", "momentum", momentum, 0, 1);
  requireNumber("sgd", "weightDecay", weightDecay, 0, 1e30);
  const { parameter, gradient, velocity, scalars, verdict } = bindings;
  if ((velocity !== undefined) !== (momentum > 0)) {
    throw new TypeError(
      `sgd: momentum is ${momentum}, and velocity is ${velocity === undefined ? "missing" : "bound"}`,
    );
  }
  if (nesterov && momentum === 0) throw new TypeError("sgd: nesterov needs momentum");
  const isVector = count % 4 === 0;
  return {
    label: `sgd ${count}`,
    code: sgdWgsl(isVector ? "vec4<f32>" : "f32", weightDecay > 0, momentum > 0, nesterov),
    constants: {
      count: isVector ? count / 4 : count,
      ...weightDecay > 0 ? { weight_decay: weightDecay } : {},
      ...momentum > 0 ? { momentum } : {},
    },
    bindings: velocity === undefined
      ? [parameter, gradient, scalars, verdict]
      : [parameter, gradient, scalars, verdict, velocity],
    workgroups: linearGrid(isVector ? count / 4 : count),
  };
}

function sgdWgsl(
  elements: "f32" | "vec4<f32>",
  hasDecay: boolean,
  hasMomentum: boolean,
  nesterov: boolean,
): string {
  return `override count: u32;
${hasDecay ? "override weight_decay: f32;\n" : ""}${hasMomentum ? "override momentum: f32;\n" : ""}
${STEP_SCALARS_WGSL}
${STEP_VERDICT_WGSL}
alias Elements = ${elements};

@group(0) @binding(0) var<storage, read_write> parameter: array<Elements>;
@group(0) @binding(1) var<storage, read> gradient: array<Elements>;
@group(0) @binding(2) var<uniform> scalars: StepScalars;
@group(0) @binding(3) var<uniform> verdict: StepVerdict;
${hasMomentum ? MOMENTUM_WGSL(nesterov) : PLAIN_WGSL}
${LINEAR_MAIN_WGSL}
${GATE_WGSL}
  let learning_rate = scalars.values[0].x;
  // Without decay nothing is added: 0 times an infinite parameter would be NaN.
  let decayed = gradient[index]${hasDecay ? " + parameter[index] * weight_decay" : ""};
  parameter[index] -= learning_rate * direction(index, decayed);
}
`;
}

const PLAIN_WGSL = `
fn direction(index: u32, decayed: Elements) -> Elements {
  return decayed;
}
`;

const MOMENTUM_WGSL = (nesterov: boolean): string =>
  `@group(0) @binding(4) var<storage, read_write> velocity: array<Elements>;

fn direction(index: u32, decayed: Elements) -> Elements {
  let v = velocity[index] * momentum + decayed;
  velocity[index] = v;
  return ${nesterov ? "decayed + v * momentum" : "v"};
}
`;
