import { definedFields } from "../../base/defined_fields.ts";
import { describedAs, type DescribedValue, type Description } from "../../base/description.ts";
import type { Update } from "../../graph/program.ts";
import { STEP_SCALARS_VALUES } from "../../kernels/step_scalars.ts";
import { requireAtLeast } from "./hyperparameters.ts";
import type { Optimizer, UpdateBindings, UpdatedElements, UpdateRule } from "./optimizer.ts";
import type { OptimizerOptions } from "./optimizer_options.ts";
import { ParameterGroups } from "./parameter_groups.ts";
import { describeSchedule, type Schedule } from "./schedules/schedule.ts";
import { scheduleOf } from "./schedules/schedule_of.ts";

/** What is the same for the parameters of a group. */
export interface GroupHyperparameters {
  /** Which of the step's scalars is the learning rate. */
  readonly rate: number;
  readonly weightDecay: number;
}

/** The numbers of a step, whose rate is multiplied by `scaleOf`. */
export type ScalarsOfRate = (step: number, scaleOf: Schedule | undefined) => readonly number[];

/** An optimiser, but for the groups of its parameters. */
export interface OptimizerDefinition {
  readonly name: string;
  /** As the caller gave them, checked for names. */
  readonly options: OptimizerOptions;
  readonly defaults: { readonly learningRate?: number | undefined; readonly weightDecay: number };
  readonly slots: readonly string[];
  /** Default `"ranges"`. */
  readonly over?: UpdateRule["over"] | undefined;
  readonly decays?: readonly number[] | undefined;
  /** How many of the step's scalars belong to another optimiser beside it. Default 0. */
  readonly scalarsBefore?: number | undefined;
  /** The numbers of a step that each learning rate stands for, the rate first. Default: the rate. */
  readonly scalarsOfRate?: {
    readonly count: number;
    readonly of: (schedule: Schedule) => ScalarsOfRate;
  } | undefined;
  /** What a checkpoint says of it besides. */
  readonly described: Readonly<Record<string, DescribedValue>>;
  update(
    bindings: UpdateBindings,
    elements: UpdatedElements,
    group: GroupHyperparameters,
  ): readonly Update[];
}

/**
 * An optimiser whose parameters are in groups with a rate and a decay of their own.
 *
 * @throws RangeError for an invalid rate or decay; TypeError for invalid groups.
 */
export function groupedOptimizer(definition: OptimizerDefinition): Optimizer {
  const { name, options, slots, decays = [], over = "ranges", scalarsBefore = 0 } = definition;
  const { learningRate = definition.defaults.learningRate, decayBiasesAndNorms = true } = options;
  const { weightDecay = definition.defaults.weightDecay } = options;
  if (learningRate === undefined) throw new TypeError(`${name}: needs a learningRate, such as 0.1`);
  requireAtLeast(name, "weightDecay", weightDecay, 0);
  const groups = new ParameterGroups(name, options.groups);
  const rates = new Rates(definition, scalarsBefore, [
    learningRate,
    ...(options.groups ?? []).map((group) => group.learningRate),
  ]);
  const rules = new Map<string, UpdateRule>();
  const ruleOf = (rate: number, decay: number): UpdateRule => {
    const key = `${rate} ${decay}`;
    const rule = rules.get(key) ?? {
      slots,
      over,
      update: (bindings, elements) => definition.update(bindings, elements, { rate, weightDecay: decay }),
    };
    rules.set(key, rule);
    return rule;
  };
  const optimizer: Optimizer = {
    name,
    decays,
    scalars: (step, scaleOf) => rates.at(step, scaleOf),
    learningRate: scheduleOf(name, learningRate),
    rulesFor: (parameters) =>
      groups.of(parameters).map((group, index) => {
        if (group?.frozen === true) return undefined;
        const isBiasOrNorm = (parameters[index]?.shape.length ?? 0) < 2;
        const decay = isBiasOrNorm && !decayBiasesAndNorms ? 0 : group?.weightDecay ?? weightDecay;
        return ruleOf(rates.scalarOf(group?.learningRate ?? learningRate), decay);
      }),
  };
  const description = definedFields<Description>({
    name,
    ...definition.described,
    weightDecay,
    decayBiasesAndNorms: decayBiasesAndNorms ? undefined : false,
    groups: groups.describe(),
    learningRate: describeSchedule(learningRate),
  });
  return describedAs(optimizer, description);
}

/** The learning rates of an optimiser, each once. */
class Rates {
  readonly #before: number;
  readonly #perRate: number;
  readonly #given: readonly (number | Schedule)[];
  readonly #scalars: readonly ScalarsOfRate[];

  constructor(
    { name, scalarsOfRate }: OptimizerDefinition,
    before: number,
    given: readonly (number | Schedule | undefined)[],
  ) {
    this.#before = before;
    this.#given = [...new Set(given.flatMap((rate) => rate ?? []))];
    const { count, of } = scalarsOfRate ?? RATE_ALONE;
    this.#perRate = count;
    const most = Math.floor((STEP_SCALARS_VALUES - before) / count);
    if (this.#given.length > most) {
      throw new TypeError(
        `${name}: groups have ${this.#given.length} learning rates, and a step takes at most ${most}`,
      );
    }
    this.#scalars = this.#given.map((rate) => of(scheduleOf(name, rate)));
  }

  at(step: number, scaleOf: Schedule | undefined): number[] {
    return this.#scalars.flatMap((scalars) => scalars(step, scaleOf));
  }

  /** Which of the step's scalars it is. */
  scalarOf(rate: number | Schedule): number {
    return this.#before + this.#perRate * this.#given.indexOf(rate);
  }
}

const RATE_ALONE = {
  count: 1,
  of: (schedule: Schedule): ScalarsOfRate => (step, scaleOf = unscaled) => [schedule(step) * scaleOf(step)],
};

/** What learning rates are multiplied by where nothing else is said. */
export const unscaled: Schedule = () => 1;
