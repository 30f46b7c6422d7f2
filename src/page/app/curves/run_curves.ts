import type { Point } from "../numbers/thin.ts";

/** Something that happened at a step. */
export interface RunMark {
  readonly step: number;
  /** Such as `save`, `end` or `resume`. */
  readonly kind: string;
}

/** What was measured of a run, by step. */
export interface RunCurves {
  readonly name: string;
  /** Where it was read from. */
  readonly path: string;
  /** By what was measured; each in order of step. */
  readonly series: ReadonlyMap<string, readonly Point[]>;
  readonly marks: readonly RunMark[];
  /** Lines of a log that could not be read. */
  readonly badLines: number;
}

/** Measures whose curves belong into one picture: `loss` and `val_loss`. */
export interface Measure {
  readonly name: string;
  /** Names of the series, that of training first. */
  readonly series: readonly string[];
}

const VALIDATION = "val_";

/** What there is to draw of some runs: the loss first, then as the runs have them. */
export function measuresOf(runs: readonly RunCurves[]): readonly Measure[] {
  const names = [...new Set(runs.flatMap(({ series }) => [...series.keys()]))];
  const bases = [...new Set(names.map(baseOf))];
  const first = bases.filter((name) => name === "loss");
  return [...first, ...bases.filter((name) => name !== "loss")].map((base) => {
    const series = [base, VALIDATION + base].filter((each) => names.includes(each));
    return { name: series[0] ?? base, series };
  });
}

/** Whether a series was measured on other data than the run was trained on. */
export function isValidation(name: string): boolean {
  return name.startsWith(VALIDATION);
}

function baseOf(name: string): string {
  return isValidation(name) ? name.slice(VALIDATION.length) : name;
}
