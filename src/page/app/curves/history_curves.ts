import type { HostState } from "../../../checkpoint/capture/state_types.ts";
import type { Point } from "../numbers/thin.ts";
import type { RunCurves } from "./run_curves.ts";

type Fields = { readonly [key: string]: HostState };

/**
 * The curves that a trainer keeps in each checkpoint: the loss of every step, what else it kept of each, and what each
 * epoch measured. `undefined` for a state that has none.
 */
export function historyCurves(state: HostState, name: string, path: string): RunCurves | undefined {
  const history = fieldsOf(fieldsOf(state)?.history);
  if (history === undefined) return undefined;
  const series = new Map<string, readonly Point[]>();
  const add = (measure: string, points: readonly Point[]): void => {
    if (points.length > 0) series.set(measure, points);
  };
  add("loss", pointsOf(history.loss));
  for (const [measure, column] of Object.entries(fieldsOf(history.columns) ?? {})) {
    if (!measure.endsWith(".weight")) add(measure, pointsOf(column));
  }
  const records = [...recordsOf(history.epochs), ...recordsOf(history.validations)].sort((a, b) =>
    a.step - b.step
  );
  for (const measure of new Set(records.flatMap(({ metrics }) => Object.keys(metrics)))) {
    // What every step has needs no mean over the epoch as well.
    if (series.has(measure)) continue;
    add(measure, records.flatMap(({ step, metrics }) => measured(step, metrics[measure])));
  }
  return series.size === 0 ? undefined : { name, path, series, marks: [], badLines: 0 };
}

function measured(step: number, value: HostState): Point[] {
  return typeof value === "number" ? [{ step, value }] : [];
}

/** One value a step, of the steps 1, 2, 3 and so on. */
function pointsOf(column: HostState): Point[] {
  if (!(column instanceof Float32Array)) return [];
  return Array.from(column, (value, index) => ({ step: index + 1, value }));
}

function recordsOf(records: HostState): { readonly step: number; readonly metrics: Fields }[] {
  if (!Array.isArray(records)) return [];
  return records.flatMap((record) => {
    const { step, metrics } = fieldsOf(record) ?? {};
    return typeof step === "number" ? [{ step, metrics: fieldsOf(metrics) ?? {} }] : [];
  });
}

function fieldsOf(state: HostState): Fields | undefined {
  const isPlain = typeof state === "object" && state !== null &&
    Object.getPrototypeOf(state) === Object.prototype;
  return isPlain ? state as Fields : undefined;
}
