import { requireTermName } from "../../nn/losses/loss.ts";
import type { BatchTerm } from "../measure/batch_loss.ts";

/** Where the numbers of a term are in the history. */
export interface KeptTerm {
  /** What the term is called there; `undefined` for a loss that is one, whose mean is the loss of the step. */
  readonly name: string | undefined;
  readonly factor: number;
  /** Where the weights of the steps are; `undefined` where each example weighs 1. */
  readonly weights: string | undefined;
}

/** What is kept of each step beside its loss. */
export interface KeptTerms {
  readonly terms: readonly KeptTerm[];
  readonly regularizers: readonly string[];
  /** What is no part of the loss, such as the norm of the gradients. */
  readonly others: readonly string[];
}

/** What the norm of all gradients of a step, before they are clipped, is called in the history. */
export const GRADIENT_NORM = "gradient_norm";

/** What a loss that is one is called beside a regulariser. */
const UNNAMED = "data";

/**
 * What of a loss is kept, and what else.
 *
 * @throws TypeError for a name that two have, or that stands for something else.
 */
export function keptTerms(
  terms: readonly BatchTerm[],
  regularizers: readonly string[],
  others: readonly string[],
): KeptTerms {
  const kept = terms.map(({ name, factor, weight }): KeptTerm => {
    const own = name ?? (regularizers.length > 0 ? UNNAMED : undefined);
    return { name: own, factor, weights: weight === undefined ? undefined : `${own ?? UNNAMED}.weight` };
  });
  const names = [...kept.flatMap(({ name }) => name ?? []), ...regularizers.map(requireTermName), ...others];
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice === undefined) return { terms: kept, regularizers, others };
  throw new TypeError(`Two parts of the loss are called "${twice}"; give the regularizer another name`);
}

/** Names of the numbers of a step, in their order. */
export function columnsOf({ terms, regularizers, others }: KeptTerms): string[] {
  return [
    ...terms.flatMap(({ name, weights }) => [name ?? [], weights ?? []].flat()),
    ...regularizers,
    ...others,
  ];
}

/** Names of what the epochs of a run measure, besides `loss`. */
export function measuredNames(
  { kept, metrics, validation }: {
    readonly kept: KeptTerms;
    readonly metrics: Readonly<Record<string, unknown>>;
    readonly validation: unknown;
  },
): string[] {
  const terms = kept.terms.flatMap(({ name }) => name ?? []);
  const validated = validation === undefined ? [] : ["loss", ...Object.keys(metrics), ...terms];
  return [...terms, ...kept.regularizers, ...kept.others, ...validated.map((name) => `val_${name}`)];
}

/** TypeError for a metric that would be in the history under the name of the loss, or of a term of it. */
export function requireOtherNames(metrics: Readonly<Record<string, unknown>>, { terms }: KeptTerms): void {
  if (Object.hasOwn(metrics, "loss")) {
    throw new TypeError('A metric cannot be called "loss"; the loss is always measured');
  }
  const taken = terms.find(({ name }) => name !== undefined && Object.hasOwn(metrics, name))?.name;
  if (taken === undefined) return;
  throw new TypeError(`A metric cannot be called "${taken}": a term of the loss has that name`);
}
