import { epochMeans } from "./epoch_means.ts";
import type { Run } from "./run.ts";

/** Whether a moment within an epoch is to be measured, and was not. */
export function isValidationDue({ step, isAtEndOfEpoch, validation, history }: Run): boolean {
  const everySteps = validation?.everySteps ?? null;
  if (everySteps === null || step === 0 || step % everySteps !== 0 || isAtEndOfEpoch) {
    return false;
  }
  return history.measuredAt(step) === undefined;
}

/** Measures the epoch that is done and adds it to the history. */
export async function finishEpoch(run: Run, signal?: AbortSignal): Promise<void> {
  await run.readLosses();
  const epoch = run.history.epochs.length + 1;
  const end = run.stepsAfter(epoch);
  run.history.addEpoch({ epoch, step: end, metrics: await measure(run, end, signal) });
}

/** Measures this moment within an epoch and adds it to the history. */
export async function validateWithinEpoch(run: Run, signal?: AbortSignal): Promise<void> {
  await run.readLosses();
  const { step, currentEpoch: epoch } = run;
  run.history.addValidation({ epoch, step, metrics: await measure(run, step, signal) });
}

/** The mean losses of the epoch that step `end` is in up to there, and what the validation data give. */
async function measure(run: Run, end: number, signal?: AbortSignal): Promise<Record<string, number>> {
  const begin = run.history.epochs.findLast(({ step }) => step < end)?.step ?? 0;
  const metrics = epochMeans(run.history, run.kept, begin, end, run.order);
  if (run.validation === undefined) return metrics;
  const report = await run.evaluate(run.validation.data, signal);
  metrics.val_loss = report.loss;
  for (const [name, value] of Object.entries({ ...report.terms, ...report.metrics })) {
    metrics[`val_${name}`] = value;
  }
  return metrics;
}
