/** A tensor seen as `[outer, reduced, inner]`, row-major, whose middle is reduced. */
export interface ReductionSpan {
  readonly outer: number;
  readonly reduced: number;
  readonly inner: number;
}

/**
 * `sequential`: one invocation for each partial. `tree`: a workgroup for each, whose invocations take turns with the
 * terms and then join what they have in pairs.
 */
export type ReduceVariant = "sequential" | "tree";

/** One dispatch of a reduction: `[outer, reduced, inner]` becomes `[outer, partials, inner]`. */
export interface ReductionPass extends ReductionSpan {
  /** How many neighbouring terms one partial has; the last may have fewer. */
  readonly partialTerms: number;
  readonly partials: number;
  readonly variant: ReduceVariant;
}

/** Up to this many terms are not cut: a second dispatch costs more than it saves. */
const MOST_TERMS_OF_ONE_PARTIAL = 1024;

/** Neighbours along `inner` that are read together: from here on an invocation a partial is as fast as memory. */
const WIDE = 32;

/** Invocations, and workgroups, that keep a large GPU busy. */
const ENOUGH_INVOCATIONS = 65_536;
const ENOUGH_WORKGROUPS = 1024;

/** Terms of a partial that is worth an invocation, and a workgroup. */
const TERMS_FOR_AN_INVOCATION = 256;
const TERMS_FOR_A_WORKGROUP = 32_768;

/**
 * The dispatches of a reduction over `spans`, one after the other, each of the results of the one before. Long spans
 * are cut into partials, so that few long sums keep a whole GPU busy. The plan depends on the sizes only, because it
 * decides the last bits.
 */
export function planReduction(spans: readonly ReductionSpan[]): ReductionPass[] {
  return spans.flatMap(passesOf);
}

function passesOf(span: ReductionSpan): ReductionPass[] {
  const pass = passOf(span);
  if (pass.partials <= 1) return [pass];
  return [pass, ...passesOf({ ...span, reduced: pass.partials })];
}

function passOf(span: ReductionSpan): ReductionPass {
  const { outer, reduced, inner } = span;
  const results = outer * inner;
  const isShort = reduced <= MOST_TERMS_OF_ONE_PARTIAL;
  if (isShort || inner >= WIDE) {
    const wanted = isShort ? 1 : partialsFor(ENOUGH_INVOCATIONS / results, reduced / TERMS_FOR_AN_INVOCATION);
    return { ...span, ...cut(reduced, wanted), variant: "sequential" };
  }
  const wanted = partialsFor(ENOUGH_WORKGROUPS / results, reduced / TERMS_FOR_A_WORKGROUP);
  return { ...span, ...cut(reduced, wanted), variant: "tree" };
}

function partialsFor(enough: number, most: number): number {
  return Math.max(1, Math.min(Math.ceil(enough), Math.floor(most)));
}

/** `terms` in at most `wanted` partials of equal length, which is a multiple of what is read at once. */
function cut(terms: number, wanted: number): { partialTerms: number; partials: number } {
  const partialTerms = Math.max(1, Math.ceil(terms / wanted / 8) * 8);
  // Of no term there is one partial, which gives what a sum begins with.
  return { partialTerms, partials: Math.max(1, Math.ceil(terms / partialTerms)) };
}
