import { definedFields } from "../../base/defined_fields.ts";
import { type NamePattern, NameSelection } from "../../base/name_pattern.ts";
import { kindOf } from "../../base/options/kind_of.ts";
import { checkOptions } from "../../base/options/options.ts";
import type { Description } from "../../base/description.ts";
import { requireAtLeast } from "./hyperparameters.ts";
import type { UpdatedParameter } from "./optimizer.ts";
import { PARAMETER_GROUP, type ParameterGroup } from "./optimizer_options.ts";
import { describeSchedule } from "./schedules/schedule.ts";

/** The option `groups` of an optimiser. */
export class ParameterGroups {
  readonly #optimizer: string;
  readonly #groups: readonly ParameterGroup[];

  /** @throws TypeError or RangeError for invalid groups. */
  constructor(optimizer: string, groups: readonly ParameterGroup[] = []) {
    if (!Array.isArray(groups)) {
      throw new TypeError(
        `${optimizer}: groups is a list like [{ parameters: "encoder.*", learningRate: 1e-4 }], found ${
          kindOf(groups)
        }`,
      );
    }
    for (const group of groups) checkGroup(optimizer, group);
    this.#optimizer = optimizer;
    this.#groups = [...groups];
  }

  /**
   * The first group of each parameter, `undefined` for those that are in none.
   *
   * @throws TypeError for a pattern that matches none of them: it is misspelt.
   */
  of(parameters: readonly UpdatedParameter[]): (ParameterGroup | undefined)[] {
    const selections = this.#groups.map((group) => ({ group, names: new NameSelection(patternsOf(group)) }));
    const found = parameters.map(({ name }) => {
      // Every group is asked, so that each notices what it matches.
      return selections.filter(({ names }) => names.has(name))[0]?.group;
    });
    const unmatched = selections.flatMap(({ names }) => names.unmatched());
    if (unmatched.length === 0) return found;
    const known = parameters.map(({ name }) => JSON.stringify(name));
    throw new TypeError(
      `${this.#optimizer}: no parameter is called ${
        unmatched[0]?.replace(/^only /, "")
      }, as groups says; there is ${known.slice(0, SHOWN_NAMES).join(", ")}${
        known.length > SHOWN_NAMES ? ` and ${known.length - SHOWN_NAMES} more` : ""
      }`,
    );
  }

  /** What a checkpoint says of them; `undefined` where there are none. */
  describe(): Description | undefined {
    if (this.#groups.length === 0) return undefined;
    return {
      name: "groups",
      ...Object.fromEntries(this.#groups.map((group, index) => [index, describe(group)])),
    };
  }
}

const SHOWN_NAMES = 8;

function patternsOf({ parameters }: ParameterGroup): readonly NamePattern[] {
  return isList(parameters) ? parameters : [parameters];
}

function isList(parameters: ParameterGroup["parameters"]): parameters is readonly NamePattern[] {
  return Array.isArray(parameters);
}

function checkGroup(optimizer: string, group: ParameterGroup): void {
  const what = `A group of ${optimizer}`;
  const { weightDecay, frozen, learningRate } = checkOptions(
    what,
    group,
    PARAMETER_GROUP,
    '{ parameters: "encoder.*", learningRate: 1e-4 }',
  );
  const patterns = patternsOf(group);
  const isPattern = (each: unknown): boolean => typeof each === "string" || each instanceof RegExp;
  if (patterns.length === 0 || !patterns.every(isPattern)) {
    throw new TypeError(
      `${what} says which parameters it has by a name, a pattern like "encoder.*", an expression or a list of these`,
    );
  }
  if (weightDecay !== undefined) requireAtLeast(what, "weightDecay", weightDecay, 0);
  if (frozen === true && (weightDecay !== undefined || learningRate !== undefined)) {
    throw new TypeError(`${what} is frozen and has a rate or a decay; leave one of them out`);
  }
}

function describe({ learningRate, weightDecay, frozen, ...group }: ParameterGroup): Description {
  return definedFields<Description>({
    name: "group",
    parameters: patternsOf(group).map(String).join(", "),
    learningRate: learningRate === undefined ? undefined : describeSchedule(learningRate),
    weightDecay,
    frozen: frozen || undefined,
  });
}
