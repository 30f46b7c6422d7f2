import { safeText, shortNumber } from "../../base/printable.ts";
import type { Output } from "./output.ts";

/** How a piece of text may stand out. */
export type Style = "bold" | "dim" | "red" | "green" | "yellow";

const CODES: Readonly<Record<Style, readonly [on: number, off: number]>> = {
  bold: [1, 22],
  dim: [2, 22],
  red: [31, 39],
  green: [32, 39],
  yellow: [33, 39],
};

/** `text`, which is safe already, in a style where the output has them. */
export function styled(output: Pick<Output, "hasStyles">, style: Style | undefined, text: string): string {
  if (style === undefined || !output.hasStyles || text === "") return text;
  const [on, off] = CODES[style];
  return `\x1b[${on}m${text}\x1b[${off}m`;
}

/** A cell of a table: text from anywhere, which is made safe, and how it stands out. */
export type Cell = string | { readonly text: string; readonly style?: Style | undefined };

/** A column of a table. */
export interface Column {
  readonly title: string;
  /** Default `left`. */
  readonly align?: "left" | "right";
}

/** Longer cells are cut, names of files and tensors among them. */
const LONGEST_CELL = 80;

/** `text` without its end, where it is long. */
export function cut(text: string, longest: number = LONGEST_CELL): string {
  const letters = [...text];
  return letters.length <= longest ? text : `${letters.slice(0, longest - 1).join("")}…`;
}

/**
 * Rows of cells under their titles, as lines. Each column is as wide as its widest cell, and an empty one is left out.
 */
export function table(
  output: Pick<Output, "hasStyles">,
  columns: readonly Column[],
  rows: readonly (readonly Cell[])[],
): string {
  const shown = rows.map((row) => row.map((cell) => typeof cell === "string" ? { text: cell } : cell))
    .map((row) => row.map(({ text, ...style }) => ({ ...style, text: safeText(cut(text)) })));
  const widths = columns.map(({ title }, at) =>
    Math.max(...shown.map((row) => row[at]?.text.length ?? 0), 0) === 0
      ? 0
      : Math.max(title.length, ...shown.map((row) => row[at]?.text.length ?? 0))
  );
  const line = (cells: readonly { readonly text: string; readonly style?: Style | undefined }[]): string => {
    const visible = columns.map(({ align }, at) => ({ align, at })).filter(({ at }) => widths[at] !== 0);
    return visible.map(({ align, at }, place) => {
      const { text = "", style } = cells[at] ?? {};
      const space = " ".repeat((widths[at] ?? 0) - text.length);
      const isLast = place === visible.length - 1;
      return align === "right"
        ? space + styled(output, style, text)
        : styled(output, style, text) + (isLast ? "" : space);
    }).join("  ").trimEnd();
  };
  const head = line(columns.map(({ title }) => ({ text: title, style: "dim" as const })));
  return [head, ...shown.map(line)].map((text) => `${text}\n`).join("");
}

/** A number of bytes with three digits: `1.23 MB`, `640 B`. */
export function bytesText(byteLength: number): string {
  return `${shortNumber(byteLength)}B`;
}

/** A number as people read it: at most five digits, NaN and infinities by name. */
export function numberText(value: number): string {
  if (!Number.isFinite(value)) return String(value);
  return Number.isInteger(value) && Math.abs(value) < 1e15
    ? String(value)
    : String(Number(value.toPrecision(5)));
}

/** A share as a percentage: `12.5 %`; what is there and not seen in three digits is `<0.1 %`. */
export function shareText(count: number, total: number): string {
  if (count === 0 || total === 0) return "0 %";
  const percent = 100 * count / total;
  if (percent < 0.1) return "<0.1 %";
  return `${Number((percent > 99.9 && count < total ? 99.9 : percent).toFixed(1))} %`;
}

/** `1 tensor`, `2 tensors`. */
export function countText(count: number, noun: string): string {
  return `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;
}

/** `[3, 4]`, and `[]` for a scalar. */
export function shapeText(shape: readonly number[]): string {
  return `[${shape.join(", ")}]`;
}

/** `2026-11-30 19:01:23` in UTC, of a time by ISO 8601; what is none is shown as it is. */
export function timeText(time: string | undefined): string {
  if (time === undefined) return "";
  const ms = Date.parse(time);
  return Number.isNaN(ms) ? time : `${new Date(ms).toISOString().slice(0, 19).replace("T", " ")}Z`;
}
