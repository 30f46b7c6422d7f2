import { keepAll, lastN } from "../../checkpoint/keep/retention/by_count.ts";
import { bestN } from "../../checkpoint/keep/retention/by_metric.ts";
import { everyNSteps, explicitSteps } from "../../checkpoint/keep/retention/by_step.ts";
import { everyNSeconds, latestDuration } from "../../checkpoint/keep/retention/by_time.ts";
import { anyOf } from "../../checkpoint/keep/retention/combine.ts";
import type { RetentionRule } from "../../checkpoint/keep/retention/rule.ts";
import { parseMetric } from "../ls/parse_metric.ts";
import { UsageError } from "../verb.ts";

const SECONDS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400 };

/** What `--keep` takes, for its help. */
export const KEEP_RULES: readonly string[] = [
  "last=3         the newest three",
  "best=val_loss  the best by a metric; best=f1:max, where the name does not say which is better; best=3:val_loss",
  "every=1000     multiples of 1000 steps",
  "steps=100      this step",
  "spaced=1h      the first in an hour, of each hour; s, m, h, d",
  "recent=2d      those of the last two days before the newest",
  "all            all of them",
];

/**
 * The rule that keeps what any of these keeps.
 *
 * @throws UsageError for what is no rule; RangeError for a value that the rule does not take.
 */
export function keepRule(texts: readonly string[]): RetentionRule {
  if (texts.length === 0) {
    throw new UsageError("cairn prune needs --keep, such as --keep last=3; see cairn prune --help");
  }
  return anyOf(...texts.map(parseRule));
}

function parseRule(text: string): RetentionRule {
  const [, name, value = ""] = /^([a-z]+)(?:=(.*))?$/.exec(text) ?? [];
  switch (name) {
    case "all":
      return keepAll();
    case "last":
      return lastN(numberOf(text, value));
    case "every":
      return everyNSteps(numberOf(text, value));
    case "steps":
      return explicitSteps([numberOf(text, value)]);
    case "spaced":
      return everyNSeconds(secondsOf(text, value));
    case "recent":
      return latestDuration(secondsOf(text, value));
    case "best": {
      const [, count = "1", metric = value] = /^(\d+):(.+)$/.exec(value) ?? [];
      return bestN(Number(count), parseMetric(metric));
    }
    default:
      throw new UsageError(
        `--keep ${text} is no rule; expected one such as last=3, best=val_loss or every=1000`,
      );
  }
}

function numberOf(text: string, value: string): number {
  if (/^\d+$/.test(value)) return Number(value);
  throw new UsageError(`--keep ${text} needs a whole number behind the =`);
}

function secondsOf(text: string, value: string): number {
  const [, number = "", unit = ""] = /^(\d+(?:\.\d+)?)([smhd])$/.exec(value) ?? [];
  const seconds = Number(number) * (SECONDS[unit] ?? NaN);
  if (seconds > 0) return seconds;
  throw new UsageError(`--keep ${text} needs a time behind the =, such as 30m, 1h or 2d`);
}
