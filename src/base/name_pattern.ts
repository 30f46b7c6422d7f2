import { kindOf } from "./options/kind_of.ts";
import { checkOptions, type OptionNames } from "./options/options.ts";

/**
 * Names of tensors: one name; or one with `*`, which stands for any run of characters, dots included; or an
 * expression that is found somewhere in them.
 */
export type NamePattern = string | RegExp;

/** How names change. */
export interface RenameRule {
  /** Which names. The first rule that matches a name is the only one that changes it. */
  readonly from: NamePattern;
  /**
   * The new name. Each `*` in it is what the same one of `from` stood for; where `from` is an expression, it is what
   * `String.replace` takes, with `$1`. A function gets what was matched and the groups.
   */
  readonly to: string | ((match: string, ...groups: string[]) => string);
}

/** Every option of {@link RenameRule}. */
export const RENAME_RULE: OptionNames<RenameRule> = { from: true, to: true };

/** @throws TypeError unless `rules` is a list of {@link RenameRule}. */
export function checkRenameRules(rules: readonly RenameRule[]): void {
  if (!Array.isArray(rules)) {
    throw new TypeError(
      `rename is a list of rules like [{ from: "encoder.*", to: "model.*" }], found ${kindOf(rules)}`,
    );
  }
  for (const rule of rules) checkOptions("A rule of rename", rule, RENAME_RULE);
}

/** The names that are meant by `only` and `exclude`. Notes which patterns match nothing. */
export class NameSelection {
  readonly #only: readonly NoticingPattern[] | undefined;
  readonly #exclude: readonly NoticingPattern[];

  constructor(only: readonly NamePattern[] | undefined, exclude: readonly NamePattern[] = []) {
    this.#only = only?.map((pattern) => new NoticingPattern("only", pattern));
    this.#exclude = exclude.map((pattern) => new NoticingPattern("exclude", pattern));
  }

  has(name: string): boolean {
    // Every pattern is asked, so that each of them notices.
    const isIn = (this.#only?.filter((pattern) => pattern.test(name)).length ?? 1) > 0;
    const isOut = this.#exclude.filter((pattern) => pattern.test(name)).length > 0;
    return isIn && !isOut;
  }

  /** Patterns that no name has matched so far, as in `only "model.wieght"`. */
  unmatched(): string[] {
    return [...this.#only ?? [], ...this.#exclude].filter(({ isMatched }) => !isMatched).map(String);
  }
}

/** `name` by the first rule that matches it; as it is when none does. */
export function renameBy(rules: readonly RenameRule[], name: string): string {
  for (const { from, to } of rules) {
    const expression = expressionOf(from);
    if (name.search(expression) < 0) continue;
    const replacement = typeof to === "string" && typeof from === "string" ? fillStars(from, to) : to;
    return typeof replacement === "string"
      ? name.replace(expression, replacement)
      : name.replace(expression, replacement);
  }
  return name;
}

class NoticingPattern {
  isMatched = false;
  readonly #option: string;
  readonly #pattern: NamePattern;
  readonly #expression: RegExp;

  constructor(option: string, pattern: NamePattern) {
    this.#option = option;
    this.#pattern = pattern;
    this.#expression = expressionOf(pattern);
  }

  test(name: string): boolean {
    const matches = name.search(this.#expression) >= 0;
    this.isMatched ||= matches;
    return matches;
  }

  toString(): string {
    const shown = typeof this.#pattern === "string" ? JSON.stringify(this.#pattern) : String(this.#pattern);
    return `${this.#option} ${shown}`;
  }
}

/** The pattern as an expression of our own: one with `g` or `y` remembers where it stopped. */
function expressionOf(pattern: NamePattern): RegExp {
  if (pattern instanceof RegExp) return new RegExp(pattern);
  const parts = pattern.split("*").map((part) => part.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&"));
  return new RegExp(`^${parts.join("(.*)")}$`, "su");
}

function fillStars(from: string, to: string): (match: string, ...groups: string[]) => string {
  const [first = "", ...rest] = to.split("*");
  const stars = from.split("*").length - 1;
  if (rest.length > stars) {
    throw new TypeError(`Cannot rename "${from}" to "${to}", which has more * than that`);
  }
  return (_, ...groups) => first + rest.map((part, index) => `${groups[index] ?? ""}${part}`).join("");
}
