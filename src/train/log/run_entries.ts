import type { CallbackRun } from "../callbacks/callback.ts";
import type { EpochRecord } from "../loop/history.ts";
import type { KnownEntry, LogEntry, MeasuredEntry, StepEntry } from "./log_entry.ts";

/** The steps from `from` to below `to`, both from 0. */
export function stepEntries(run: CallbackRun, from: number, to: number): StepEntry[] {
  const { history, termNames } = run;
  return [...history.lossesBetween(from, to)].map((loss, index) => {
    const at = from + index;
    const terms = Object.fromEntries(termNames.map((name) => [name, history.at(name, at)]));
    return { kind: "step", step: at + 1, loss, rate: run.learningRateAt(at), terms };
  });
}

export function measuredEntry(kind: MeasuredEntry["kind"], record: EpochRecord): MeasuredEntry {
  const { step, epoch, metrics } = record;
  return { kind, step, epoch, metrics };
}

/** Everything that the history of a run has, in the order of its steps. */
function entriesOf(run: CallbackRun, afterStep: number): LogEntry[] {
  const measured = [
    ...run.history.epochs.map((record) => measuredEntry("epoch", record)),
    ...run.history.validations.map((record) => measuredEntry("validation", record)),
  ].sort((a, b) => a.step - b.step);
  const entries: LogEntry[] = [];
  let done = afterStep;
  for (const entry of measured) {
    const to = Math.min(Math.max(done, entry.step), run.history.length);
    entries.push(...stepEntries(run, done, to), entry);
    done = Math.max(done, to);
  }
  return [...entries, ...stepEntries(run, done, run.history.length)];
}

/** What of a log stays when a run goes on, and what it lacks. */
export interface Continuation {
  /** Of each known entry. */
  readonly stays: readonly boolean[];
  /** What the history has and the log has not. */
  readonly missing: readonly LogEntry[];
  /** Steps whose losses are in the log then. */
  readonly logged: number;
}

/**
 * How a log goes on with a run: what is behind its step goes, as the run will do it again; what is lost, because the
 * process or the machine ended before it was written, comes from the history. A log of another run goes altogether.
 */
export function continuationOf(run: CallbackRun, known: readonly KnownEntry[]): Continuation {
  const { history, step } = run;
  const { loss } = history;
  const measured = new Set([...history.epochs, ...history.validations].map((record) => record.step));
  const isMeasured = ({ kind }: KnownEntry): boolean => kind === "epoch" || kind === "validation";
  let logged = 0;
  const seen = new Set<number>();
  const stays = known.map((entry) => {
    if (entry.step > step) return false;
    if (entry.kind === "step") {
      // Each once and in order; behind a hole all are written again.
      const isNext = entry.step === logged + 1 && isSame(entry.loss, loss[logged]);
      if (isNext) logged++;
      return isNext;
    }
    if (!isMeasured(entry)) return true;
    const isNew = measured.has(entry.step) && !seen.has(entry.step);
    seen.add(entry.step);
    return isNew;
  });
  // Every step that it says differs: it is another run's.
  const isOther = logged === 0 && known.some(({ kind, step: at }) => kind === "step" && at <= step);
  if (isOther) {
    return { stays: known.map(() => false), missing: entriesOf(run, 0), logged: history.length };
  }
  const missing = entriesOf(run, logged).filter((entry) => !isMeasured(entry) || !seen.has(entry.step));
  return { stays, missing, logged: history.length };
}

function isSame(a: number | undefined, b: number | undefined): boolean {
  return Object.is(Math.fround(a ?? NaN), Math.fround(b ?? NaN));
}
