/**
 * What a rule knows of a checkpoint. All of it is in the checkpoint's own file, so that a restart changes no
 * decision.
 */
export interface RetentionCandidate {
  /** Its tag, by which a rule names it. */
  readonly tag: string;
  /** Optimiser updates at which it was saved. */
  readonly step: number | undefined;
  /** When it was saved, in milliseconds since 1970. */
  readonly timeMs: number | undefined;
  /** Figures that were measured when it was saved, by name. */
  readonly metrics: Readonly<Record<string, number>>;
}

/**
 * Says which checkpoints to keep. Pure: the same list gives the same answer, and a checkpoint that a rule keeps is kept
 * again when others that it does not keep are gone. Follows the preservation policies of Orbax.
 *
 * The functions of `keep` make some, `keep.anyOf` and `keep.allOf` put them together; any object of this shape will do.
 */
export interface RetentionRule {
  /** What a checkpoint is that it keeps, so that "it is …" is a sentence: `one of the last 3`. */
  readonly description: string;
  /**
   * Chooses among checkpoints.
   *
   * @param checkpoints Of one run, oldest first, and the one just committed last.
   * @returns The tags to keep, each with the reason, so that "it is …" is a sentence.
   */
  keep(checkpoints: readonly RetentionCandidate[]): ReadonlyMap<string, string>;
}

/** A rule whose reason is its description. */
export function rule(
  description: string,
  choose: (checkpoints: readonly RetentionCandidate[]) => readonly RetentionCandidate[],
): RetentionRule {
  return {
    description,
    keep: (checkpoints) => new Map(choose(checkpoints).map(({ tag }) => [tag, description])),
  };
}

/** Throws a `RangeError` that names the rule unless `value` is an integer from 1. */
export function checkCount(name: string, value: number): void {
  if (!Number.isSafeInteger(value) || value < 1) {
    throw new RangeError(`${name} takes an integer from 1, found ${value}`);
  }
}

/** Throws a `RangeError` that names the rule unless `value` is a finite number above 0. */
export function checkDuration(name: string, value: number): void {
  if (!Number.isFinite(value) || value <= 0) {
    throw new RangeError(`${name} takes a number of seconds above 0, found ${value}`);
  }
}
