import { type JsonValue, parseStrictJson } from "../../../base/canonical_json.ts";
import type { Point } from "../numbers/thin.ts";
import type { RunCurves, RunMark } from "./run_curves.ts";

/** Numbers of a line that place it, and measure nothing. */
const PLACES: ReadonlySet<string> = new Set(["step", "epoch", "timeMs"]);
/** Kinds of lines that measure something else than one step. */
const MEASURED: ReadonlySet<string> = new Set(["epoch", "validation"]);
const NUMBERS_AS_TEXT: ReadonlyMap<JsonValue | undefined, number> = new Map<JsonValue | undefined, number>([
  ["NaN", NaN],
  ["Infinity", Infinity],
  ["-Infinity", -Infinity],
  [null, NaN],
]);

type JsonObject = { readonly [key: string]: JsonValue };

/** Points by what was measured. */
type Series = Map<string, Point[]>;

/**
 * The curves of a log in JSON lines, which may grow. Each line is an object with a `step`, and every other number in it
 * is a measure: of the step, or of an epoch or a validation where its `kind` says so. Other kinds are marks. Where a
 * run went back to an earlier step, what it measured behind that step is forgotten.
 */
export class LogCurves {
  readonly #ofSteps: Series = new Map();
  readonly #measured: Series = new Map();
  #marks: RunMark[] = [];
  #badLines = 0;
  #rest = "";

  /** Takes more of the log's text. What follows its last line break waits for the rest. */
  add(text: string): void {
    const lines = (this.#rest + text).split("\n");
    this.#rest = lines.pop() ?? "";
    for (const line of lines) if (line.trim() !== "") this.#addLine(line);
  }

  /** What was read so far. What every step has needs no mean over an epoch as well. */
  curves(name: string, path: string): RunCurves {
    const series = new Map([...this.#measured, ...this.#ofSteps]);
    return { name, path, series, marks: [...this.#marks], badLines: this.#badLines };
  }

  #addLine(line: string): void {
    const value = parsed(line);
    if (value === undefined) {
      this.#badLines++;
      return;
    }
    const { step, kind = "step", resumedFrom = "" } = value;
    if (typeof step !== "number" || typeof kind !== "string") return;
    const series = MEASURED.has(kind) ? this.#measured : kind === "step" ? this.#ofSteps : undefined;
    if (series === undefined) {
      const isResume = kind === "start" && resumedFrom !== "";
      if (isResume) this.#forgetBehind(step);
      this.#marks.push({ step, kind: isResume ? "resume" : kind });
      return;
    }
    for (const [name, number] of numbersOf(value)) addPoint(series, name, { step, value: number });
  }

  #forgetBehind(step: number): void {
    for (const series of [this.#ofSteps, this.#measured]) {
      for (const points of series.values()) dropFrom(points, step + 1);
    }
    this.#marks = this.#marks.filter((mark) => mark.step <= step);
  }
}

function addPoint(series: Series, name: string, point: Point): void {
  const points = series.get(name) ?? [];
  series.set(name, points);
  dropFrom(points, point.step);
  points.push(point);
}

/** Drops the points at `step` and behind it. */
function dropFrom(points: Point[], step: number): void {
  while ((points.at(-1)?.step ?? -Infinity) >= step) points.pop();
}

function parsed(line: string): JsonObject | undefined {
  try {
    const value = parseStrictJson(line, "The line");
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** The measures of a line, also of objects in it such as `metrics`: their names stand for themselves. */
function* numbersOf(value: JsonObject, depth = 0): Generator<[string, number]> {
  for (const [name, field] of Object.entries(value)) {
    if (depth === 0 && PLACES.has(name)) continue;
    const number = typeof field === "number" ? field : NUMBERS_AS_TEXT.get(field);
    if (number !== undefined) yield [name, number];
    else if (depth === 0 && field !== undefined && isObject(field)) yield* numbersOf(field, depth + 1);
  }
}

function isObject(value: JsonValue): value is { [key: string]: JsonValue } {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
