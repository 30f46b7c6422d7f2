import { type JsonValue, parseStrictJson } from "../../../base/canonical_json.ts";
import type { Point } from "../numbers/thin.ts";
import type { RunCurves, RunMark } from "./run_curves.ts";

/** Numbers of a line that place it, and measure nothing. */
const PLACES: ReadonlySet<string> = new Set(["step", "epoch", "time", "version"]);
/** Kinds of lines of which the step is marked, and nothing drawn. */
const MARKED: ReadonlySet<string> = new Set(["save", "resume"]);
const NUMBERS_AS_TEXT: ReadonlyMap<JsonValue | undefined, number> = new Map<JsonValue | undefined, number>([
  ["NaN", NaN],
  ["Infinity", Infinity],
  ["-Infinity", -Infinity],
  [null, NaN],
]);

type JsonObject = { readonly [key: string]: JsonValue };

/**
 * The curves of a log in JSON lines, which may grow: each line is an object with a `step`, and every other number in
 * it is a measure. A line whose `kind` is `save` or `resume` is a mark. Where a run went back to an earlier step, what
 * it measured behind that step is forgotten.
 */
export class LogCurves {
  readonly #series = new Map<string, Point[]>();
  #marks: RunMark[] = [];
  #badLines = 0;
  #rest = "";

  /** Takes more of the log's text. What follows its last line break waits for the rest. */
  add(text: string): void {
    const lines = (this.#rest + text).split("\n");
    this.#rest = lines.pop() ?? "";
    for (const line of lines) if (line.trim() !== "") this.#addLine(line);
  }

  /** What was read so far. */
  curves(name: string, path: string): RunCurves {
    return { name, path, series: new Map(this.#series), marks: [...this.#marks], badLines: this.#badLines };
  }

  #addLine(line: string): void {
    const value = parsed(line);
    if (value === undefined) {
      this.#badLines++;
      return;
    }
    const { step, kind } = value;
    if (typeof step !== "number") return;
    if (kind === "resume") this.#forgetFrom(step + 1);
    if (typeof kind === "string" && MARKED.has(kind)) {
      this.#marks.push({ step, kind });
      return;
    }
    for (const [name, number] of numbersOf(value)) this.#addPoint(name, { step, value: number });
  }

  #addPoint(name: string, point: Point): void {
    const points = this.#series.get(name) ?? [];
    this.#series.set(name, points);
    while (points.length > 0 && (points.at(-1)?.step ?? -1) >= point.step) points.pop();
    points.push(point);
  }

  #forgetFrom(step: number): void {
    for (const points of this.#series.values()) {
      while (points.length > 0 && (points.at(-1)?.step ?? -1) >= step) points.pop();
    }
    this.#marks = this.#marks.filter((mark) => mark.step < step);
  }
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
