import { checkDuration, type RetentionCandidate, type RetentionRule, rule } from "./rule.ts";

/**
 * Keeps the first checkpoint, and then each one that was saved so many seconds after the one kept before. A time before
 * that one's means that the clock was set back: that checkpoint is kept, and counting begins again from there. One
 * without a time is not kept by this.
 *
 * @throws RangeError unless `seconds` is above 0.
 */
export function everyNSeconds(seconds: number): RetentionRule {
  checkDuration("everyNSeconds", seconds);
  return rule(`the first in ${seconds} s`, (checkpoints) => {
    const kept: Timed[] = [];
    for (const checkpoint of timed(checkpoints)) {
      const last = kept.at(-1);
      const distanceMs = last === undefined ? undefined : checkpoint.timeMs - last.timeMs;
      if (distanceMs === undefined || distanceMs < 0 || distanceMs >= seconds * 1000) kept.push(checkpoint);
    }
    return kept;
  });
}

/**
 * Keeps what was saved in the last so many seconds before the newest checkpoint, the one committed last, whatever the
 * clock says now: a run that stood still for a month loses nothing. A time after the newest one's means that the
 * clock was ahead once, or was set back since: such a checkpoint is kept. One without a time is not kept by this.
 *
 * @throws RangeError unless `seconds` is above 0.
 */
export function latestDuration(seconds: number): RetentionRule {
  checkDuration("latestDuration", seconds);
  return rule(`from the last ${seconds} s`, (checkpoints) => {
    const all = timed(checkpoints);
    const newestMs = all.at(-1)?.timeMs ?? -Infinity;
    return all.filter(({ timeMs }) => timeMs >= newestMs - seconds * 1000);
  });
}

type Timed = RetentionCandidate & { readonly timeMs: number };

function timed(checkpoints: readonly RetentionCandidate[]): Timed[] {
  return checkpoints.filter((checkpoint): checkpoint is Timed => checkpoint.timeMs !== undefined);
}
