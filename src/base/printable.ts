import { escapeMarkup } from "./text/escape_markup.ts";

/** What `console.log` asks for instead of an object's fields: in Node and Bun, and in Deno. */
const INSPECTED_AS = [Symbol.for("nodejs.util.inspect.custom"), Symbol.for("Deno.customInspect")];

/** Plain data that prints as text. */
export type Printable<Data extends object> = Data & {
  /** A table, for people. */
  toString(): string;
};

/**
 * `data`, whose `toString()` is `format(data)`, which `console.log` shows as well. Everything else, such as
 * `JSON.stringify` and a comparison, sees the fields alone.
 */
export function printable<Data extends object>(data: Data, format: (data: Data) => string): Printable<Data> {
  const text = (): string => format(data);
  for (const key of ["toString", ...INSPECTED_AS]) Object.defineProperty(data, key, { value: text });
  Object.defineProperty(data, JUPYTER, { value: () => displayed(text()) });
  return data;
}

/** What Deno's Jupyter kernel asks the last value of a cell for: what it looks like, by media type. */
const JUPYTER = Symbol.for("Jupyter.display");

/**
 * Makes `console.log` show objects of a class as text. To be called in the class itself, with its prototype.
 *
 * @param text What is shown; of names from files no more than `safeText` lets through.
 * @param picture SVG, for notebooks. Default: none, and the class shows itself there as it does anywhere else.
 */
export function showAs<Shown extends object>(
  prototype: Shown,
  text: (shown: Shown) => string,
  picture?: (shown: Shown) => string,
): void {
  const define = (key: symbol, value: (this: Shown) => unknown): void => {
    Object.defineProperty(prototype, key, { value, configurable: true, writable: true });
  };
  for (const key of INSPECTED_AS) {
    define(key, function () {
      // Somebody may look at the prototype itself, which has no fields.
      return this === prototype ? `${prototype.constructor.name}.prototype` : text(this);
    });
  }
  if (picture === undefined) return;
  define(JUPYTER, function () {
    return { ...displayed(text(this)), "image/svg+xml": picture(this) };
  });
}

function displayed(text: string): Record<string, string> {
  return { "text/plain": text, "text/html": `<pre>${escapeMarkup(text)}</pre>` };
}

/** Rows of cells as lines, each column as wide as its widest cell; columns of numbers are flush right. */
export function textTable(rows: readonly (readonly (string | number)[])[]): string {
  const cells = rows.map((row) =>
    row.map((cell) => typeof cell === "number" ? cell.toLocaleString("en") : cell)
  );
  const columns = Math.max(0, ...cells.map(({ length }) => length));
  const widths = Array.from(
    { length: columns },
    (_, column) => Math.max(0, ...cells.map((row) => row[column]?.length ?? 0)),
  );
  const isNumeric = widths.map((_, column) => rows.slice(1).some((row) => typeof row[column] === "number"));
  return cells.map((row) =>
    row.map((cell, column) => {
      const width = widths[column] ?? 0;
      return isNumeric[column] ? cell.padStart(width) : cell.padEnd(width);
    }).join("  ").trimEnd()
  ).join("\n");
}

const UNITS = [["G", 1e9], ["M", 1e6], ["k", 1e3]] as const;

/** A large number with three digits and what a unit begins with: `1.23 M`, or `640 ` for a small one. */
export function shortNumber(value: number): string {
  const [unit, size] = UNITS.find(([, each]) => value >= each) ?? ["", 1];
  return unit === "" ? `${value} ` : `${(value / size).toPrecision(3)} ${unit}`;
}

/** Controls, marks that turn the direction of writing, separators of lines, and halves of a pair. */
// deno-lint-ignore no-control-regex
const UNPRINTABLE = /[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]|\p{Surrogate}/gu;
const ESCAPES: Readonly<Record<string, string>> = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };

/**
 * Text from a file, on one line and without power over a terminal: control characters, marks of direction and what
 * cannot be seen are written as escapes, such as `\x1b` and `\u202e`.
 */
export function safeText(text: string): string {
  return text.replace(UNPRINTABLE, (found) => {
    const code = found.charCodeAt(0);
    return ESCAPES[found] ??
      (code < 0x100
        ? `\\x${code.toString(16).padStart(2, "0")}`
        : `\\u${code.toString(16).padStart(4, "0")}`);
  });
}
