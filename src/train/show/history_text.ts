import { safeText, textTable } from "../../base/printable.ts";
import type { PlottedHistory } from "./curves.ts";

/** Rows that are shown of a long run. */
const MOST_ROWS = 12;

/** A history for people: how many losses it has, and a table of its epochs, the last ones of many. */
export function historyText(
  { loss, epochs }: Pick<PlottedHistory, "loss"> & { readonly epochs: readonly EpochRow[] },
): string {
  const last = loss.length === 0 ? "" : `, the last one ${formatMeasure(loss[loss.length - 1] ?? NaN)}`;
  const head = `TrainingHistory: losses of ${counted(loss.length, "step")}${last}; ${
    counted(epochs.length, "epoch")
  }`;
  if (epochs.length === 0) return head;
  const names = [...new Set(epochs.flatMap(({ metrics }) => Object.keys(metrics)))];
  const rows = epochs.slice(-MOST_ROWS).map(({ epoch, step, metrics }) => [
    epoch,
    step,
    ...names.map((name) => metrics[name] === undefined ? "" : formatMeasure(metrics[name])),
  ]);
  const left = epochs.length - rows.length;
  return [
    head,
    textTable([["epoch", "step", ...names.map(safeText)], ...rows]),
    ...left === 0 ? [] : [`and ${counted(left, "epoch")} before`],
  ].join("\n");
}

interface EpochRow {
  readonly epoch: number;
  readonly step: number;
  readonly metrics: Readonly<Record<string, number>>;
}

/** `1 step`, `2 steps`. */
export function counted(count: number, what: string): string {
  return `${count.toLocaleString("en")} ${what}${count === 1 ? "" : "s"}`;
}

/** Four decimals where they say something. */
export function formatMeasure(value: number): string {
  const size = Math.abs(value);
  const isPlain = value === 0 || !Number.isFinite(value) || (size >= 1e-3 && size < 1e6);
  return isPlain ? value.toFixed(4) : value.toExponential(2);
}
