/** A tensor seen as `[outer, reduced, inner]`, row-major, whose middle is reduced. */
export interface ReductionRun {
  readonly outer: number;
  readonly reduced: number;
  readonly inner: number;
}

/**
 * `sequential`: one invocation for each part. `tree`: a workgroup for each, whose invocations take turns with the terms and then join
 * what they have in pairs.
 */
export type ReduceVariant = "sequential" | "tree";

/** One dispatch of a reduction: `[outer, reduced, inner]` becomes `[outer, parts, inner]`. */
export interface ReductionStage extends ReductionRun {
  /** How many neighbouring terms one part has; the last may have fewer. */
  readonly partTerms: number;
  readonly parts: number;
  readonly variant: ReduceVariant;
}

/** Up to this many terms are not cut: a second dispatch costs more than it saves. */
const MOST_TERMS_OF_ONE_PART = 1024;

/** Neighbours along `inner` that are read together: from here on an invocation a part is as fast as memory. */
const WIDE = 32;

/** Invocations, and workgroups, that keep a large GPU busy. */
const ENOUGH_INVOCATIONS = 65_536;
const ENOUGH_WORKGROUPS = 1024;

/** Terms of a part that is worth an invocation, and a workgroup. */
const TERMS_FOR_AN_INVOCATION = 256;
const TERMS_FOR_A_WORKGROUP = 32_768;

/**
 * The dispatches of a reduction over `runs`, one after the other, each of the results of the one before. Long runs are cut into parts,
 * so that few long sums keep a whole GPU busy. The plan depends on the sizes only, because it decides the last bits.
 */
export function planReduction(runs: readonly ReductionRun[]): ReductionStage[] {
  return runs.flatMap(stagesOf);
}

function stagesOf(run: ReductionRun): ReductionStage[] {
  const stage = stageOf(run);
  if (stage.parts <= 1) return [stage];
  return [stage, ...stagesOf({ ...run, reduced: stage.parts })];
}

function stageOf(run: ReductionRun): ReductionStage {
  const { outer, reduced, inner } = run;
  const results = outer * inner;
  const isShort = reduced <= MOST_TERMS_OF_ONE_PART;
  if (isShort || inner >= WIDE) {
    const wanted = isShort ? 1 : partsFor(ENOUGH_INVOCATIONS / results, reduced / TERMS_FOR_AN_INVOCATION);
    return { ...run, ...cut(reduced, wanted), variant: "sequential" };
  }
  const wanted = partsFor(ENOUGH_WORKGROUPS / results, reduced / TERMS_FOR_A_WORKGROUP);
  return { ...run, ...cut(reduced, wanted), variant: "tree" };
}

function partsFor(enough: number, most: number): number {
  return Math.max(1, Math.min(Math.ceil(enough), Math.floor(most)));
}

/** `terms` in at most `wanted` parts of equal length, which is a multiple of what is read at once. */
function cut(terms: number, wanted: number): { partTerms: number; parts: number } {
  const partTerms = Math.max(1, Math.ceil(terms / wanted / 8) * 8);
  // Of no term there is one part, which gives what a sum begins with.
  return { partTerms, parts: Math.max(1, Math.ceil(terms / partTerms)) };
}
