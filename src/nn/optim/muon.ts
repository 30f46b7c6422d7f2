import { describedAs, type Description, descriptionOf } from "../../base/description.ts";
import { type NamePattern, NameSelection } from "../../base/name_pattern.ts";
import { checkOptions, type OptionNames } from "../../base/options/options.ts";
import { add, mul, sub } from "../../graph/ops/arithmetic.ts";
import { reshape } from "../../graph/ops/views.ts";
import { elementCount } from "../../tensor/shape.ts";
import { adamOptimizer } from "./adam.ts";
import { ADAMW_OPTIONS, type AdamWOptions } from "./adamw.ts";
import { opsUpdate } from "./from_ops.ts";
import { groupedOptimizer } from "./grouped_optimizer.ts";
import { requireDecays } from "./hyperparameters.ts";
import { orthogonalized } from "./newton_schulz.ts";
import type { Optimizer, UpdatedParameter } from "./optimizer.ts";
import { OPTIMIZER_OPTIONS, type OptimizerOptions } from "./optimizer_options.ts";

/**
 * Options of {@link muon}: those of its matrices. Default rate 0.02, default decay 0: the matrix shrinks by
 * `learningRate * weightDecay`. A frozen group is frozen whatever its parameters are.
 */
export interface MuonOptions extends OptimizerOptions {
  /** Default 0.95. */
  readonly momentum?: number | undefined;
  /** Nesterov's momentum. Default true. */
  readonly nesterov?: boolean | undefined;
  /** Steps of Newton and Schulz, from 1. Default 5. */
  readonly newtonSchulzSteps?: number | undefined;
  /**
   * Names or patterns of parameters with two axes or more that AdamW updates too. Its authors name embeddings and the
   * output layer.
   */
  readonly except?: readonly NamePattern[] | undefined;
  /** How AdamW updates the rest: what has fewer than two axes, and `except`. Default: as `adamw()` does. */
  readonly adamw?: AdamWOptions | undefined;
}

/** Every option of {@link MuonOptions}. */
export const MUON_OPTIONS: OptionNames<MuonOptions> = {
  ...OPTIMIZER_OPTIONS,
  momentum: true,
  nesterov: true,
  newtonSchulzSteps: true,
  except: true,
  adamw: true,
};

const SLOTS = ["momentum"] as const;

/**
 * Muon (Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks"): the momentum of a matrix is
 * made nearly orthogonal by five steps of Newton and Schulz, so that all its directions move alike. Tensors of more
 * axes are matrices of their first axis and the rest. Everything else is updated by AdamW.
 *
 * `b ← momentum·b + g`, `d ← orthogonal(g + momentum·b)`, `p ← p (1 - lr·decay) - lr √max(1, rows / columns) d`. Its
 * authors compute in bf16, this in f32.
 */
export function muon(options: MuonOptions = {}): Optimizer {
  const { momentum = 0.95, nesterov = true, newtonSchulzSteps = 5, except = [], adamw = {} } = checkOptions(
    "muon()",
    options,
    MUON_OPTIONS,
    "{ learningRate: 0.02, adamw: { learningRate: 3e-4 } }",
  );
  checkOptions("adamw of muon()", adamw, ADAMW_OPTIONS, "{ learningRate: 3e-4 }");
  requireDecays("muon", { momentum });
  if (!Number.isSafeInteger(newtonSchulzSteps) || newtonSchulzSteps < 1) {
    throw new RangeError(`muon: newtonSchulzSteps is an integer from 1, found ${newtonSchulzSteps}`);
  }
  const matrices = groupedOptimizer({
    name: "muon",
    options,
    defaults: { learningRate: 0.02, weightDecay: 0 },
    slots: SLOTS,
    over: "tensors",
    described: { momentum, nesterov, newtonSchulzSteps, except: except.map(String).join(", ") },
    update: (bindings, { parameters: [parameter] }, { rate, weightDecay }) => {
      if (parameter === undefined) return [];
      return opsUpdate("muon", bindings, parameter, SLOTS, rate, (tensors) => {
        const { parameter: p, gradient, learningRate, slots } = tensors;
        const next = add(mul(slots.momentum, momentum), gradient);
        const [rows, columns] = matrixOf(parameter);
        const wanted = reshape(nesterov ? add(gradient, mul(next, momentum)) : next, [rows, columns]);
        const direction = mul(
          orthogonalized(wanted, newtonSchulzSteps),
          Math.sqrt(Math.max(1, rows / columns)),
        );
        const decayed = weightDecay === 0 ? p : sub(p, mul(p, mul(learningRate, weightDecay)));
        const moved = sub(decayed, mul(reshape(direction, parameter.shape), learningRate));
        return { parameter: moved, slots: { momentum: next } };
      });
    },
  });
  const rest = adamOptimizer("adamw", adamw, "decoupled", 0.01, matrices.scalars(0).length);
  return together(matrices, rest, except);
}

/** Matrices by the one, everything else by the other. */
function together(matrices: Optimizer, rest: Optimizer, except: readonly NamePattern[]): Optimizer {
  const optimizer: Optimizer = {
    name: matrices.name,
    decays: rest.decays,
    scalars: (step, scaleOf) => [...matrices.scalars(step, scaleOf), ...rest.scalars(step, scaleOf)],
    learningRate: (step) => matrices.learningRate?.(step) ?? NaN,
    rulesFor: (parameters) => {
      const excepted = new NameSelection(except);
      const isExcepted = parameters.map(({ name }) => excepted.has(name));
      const [unmatched] = excepted.unmatched();
      if (unmatched !== undefined) {
        throw new TypeError(
          `muon: no parameter is called ${unmatched.replace(/^only /, "")}, as except says`,
        );
      }
      const ofRest = rest.rulesFor(parameters);
      return matrices.rulesFor(parameters).map((rule, index) => {
        const isMatrix = (parameters[index]?.shape.length ?? 0) > 1 && isExcepted[index] !== true;
        return rule === undefined || isMatrix ? rule : ofRest[index];
      });
    },
  };
  return describedAs(optimizer, { ...descriptionIn(matrices), adamw: descriptionIn(rest) });
}

function descriptionIn(optimizer: Optimizer): Description {
  return descriptionOf(optimizer) ?? { name: optimizer.name };
}

/** The rows and columns of a parameter as a matrix. */
function matrixOf({ shape }: UpdatedParameter): [rows: number, columns: number] {
  const [rows = 1, ...columns] = shape;
  return [rows, elementCount(columns)];
}
