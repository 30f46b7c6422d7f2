import { describedAs, descriptionOf } from "../../base/description.ts";
import { checkOptions, type OptionNames } from "../../base/options/options.ts";
import type { UpdateBinding } from "../../graph/program.ts";
import { average } from "../../kernels/optimizer/average.ts";
import { AVERAGE_SLOT } from "../../tensor/group_names.ts";
import { requireDecays, slotOf } from "./hyperparameters.ts";
import type { Optimizer, UpdateRule } from "./optimizer.ts";

/** Options of {@link ema}. */
export interface EmaOptions {
  /** How much of the average stays in each update. Default 0.999. */
  readonly decay?: number | undefined;
}

/** Every option of {@link EmaOptions}. */
export const EMA_OPTIONS: OptionNames<EmaOptions> = { decay: true };

/**
 * `optimizer`, with an exponential moving average of the weights beside them: `average = decay * average +
 * (1 - decay) * weights` after each update, and the weights themselves after the first. It is saved and resumed as the
 * slot `average`, and is what the model is evaluated and exported with.
 *
 * @example
 * ```ts
 * const optimizer = optim.ema(optim.adamw({ learningRate: 1e-3 }), { decay: 0.999 });
 * ```
 *
 * @throws TypeError for an optimiser that keeps an average already.
 */
export function ema(optimizer: Optimizer, options: EmaOptions = {}): Optimizer {
  const { decay = 0.999 } = checkOptions("ema()", options, EMA_OPTIONS, "{ decay: 0.999 }");
  requireDecays("ema", { decay });
  const wrapped = new Map<UpdateRule, UpdateRule>();
  const withAverage = (rule: UpdateRule): UpdateRule => {
    const known = wrapped.get(rule) ?? averaged(rule, decay);
    wrapped.set(rule, known);
    return known;
  };
  const result: Optimizer = {
    ...optimizer,
    scalars: (step, scaleOf) => optimizer.scalars(step, scaleOf),
    rulesFor: (parameters) => optimizer.rulesFor(parameters).map((rule) => rule && withAverage(rule)),
  };
  return describedAs(result, { ...descriptionOf(optimizer) ?? { name: optimizer.name }, ema: decay });
}

function averaged(rule: UpdateRule, decay: number): UpdateRule {
  if (rule.slots.includes(AVERAGE_SLOT)) {
    throw new TypeError("ema: the optimizer keeps an average already; leave one of the two out");
  }
  const own = rule.slots.length;
  return {
    slots: [...rule.slots, AVERAGE_SLOT],
    over: rule.over,
    update: ({ slots, ...bindings }, elements) => [
      ...rule.update({ ...bindings, slots: slots.slice(0, own) }, elements),
      average<UpdateBinding>(
        {
          parameter: bindings.parameter,
          average: slotOf(slots, own, AVERAGE_SLOT),
          verdict: bindings.verdict,
        },
        { count: elements.count, decay },
      ),
    ],
  };
}
