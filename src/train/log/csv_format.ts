import type { CallbackRun } from "../callbacks/callback.ts";
import type { KnownEntry, LogEntry } from "./log_entry.ts";
import { shortestFloat32 } from "../../base/text/shortest_float.ts";
import type { TextFormat } from "./text_format.ts";

/** Columns of every run; terms of the loss and metrics follow. */
const COLUMNS = [
  "kind",
  "step",
  "epoch",
  "loss",
  "learning_rate",
  "tag",
  "stall_ms",
  "duration_ms",
  "bytes",
  "time_ms",
] as const;

type Cells = Readonly<Partial<Record<string, string | number>>>;

/** A row for each entry. A cell that says nothing is empty; a number that is not finite is `nan`, `inf` or `-inf`. */
export const CSV_FORMAT: TextFormat = {
  name: "CSV",
  header: headerOf,
  mayBegin: (text, run) => headerOf(run).startsWith(text),
  line(entry, run) {
    const cells = cellsOf(entry);
    return columnsOf(run).map((column) => quoted(textOf(cells[column]))).join(",");
  },
  parse(line) {
    const [, kind = "", step = "", , loss = ""] = /^([a-z]+),(\d+),([^,]*),([^,]*),/.exec(line) ?? [];
    if (kind === "") return undefined;
    const known: KnownEntry = { kind, step: Number(step) };
    return kind === "step" ? { ...known, loss: loss === "nan" ? NaN : Number(loss) } : known;
  },
};

function headerOf(run: CallbackRun): string {
  return columnsOf(run).map(quoted).join(",");
}

function columnsOf({ termNames, metricNames }: CallbackRun): string[] {
  return [...new Set([...COLUMNS, ...termNames, ...metricNames])];
}

function cellsOf(entry: LogEntry): Cells {
  const { kind, step } = entry;
  switch (entry.kind) {
    case "step": {
      const terms = Object.entries(entry.terms).map(([name, value]) => [name, float32(value)]);
      return {
        ...Object.fromEntries(terms),
        kind,
        step,
        loss: float32(entry.loss),
        learning_rate: entry.rate,
      };
    }
    case "epoch":
    case "validation":
      return { ...entry.metrics, kind, step, epoch: entry.epoch };
    case "save":
      return {
        kind,
        step,
        tag: entry.tag,
        stall_ms: entry.stallMs,
        duration_ms: entry.durationMs,
        bytes: entry.bytes,
        time_ms: entry.timeMs,
      };
    case "start":
      return { kind, step, tag: entry.resumedFrom, time_ms: entry.timeMs };
    case "end":
      return { kind, step, tag: entry.endedBy, time_ms: entry.timeMs };
  }
}

function float32(value: number): string | number {
  return Number.isFinite(value) ? shortestFloat32(value) : value;
}

function textOf(cell: string | number | undefined): string {
  if (typeof cell !== "number") return cell ?? "";
  if (Number.isNaN(cell)) return "nan";
  return Number.isFinite(cell) ? String(cell) : cell > 0 ? "inf" : "-inf";
}

/** RFC 4180, but for a line's end in a cell: a space, so that a line is a row. */
function quoted(text: string): string {
  const flat = text.replace(/[\r\n]+/g, " ");
  return /[",]/.test(flat) ? `"${flat.replaceAll('"', '""')}"` : flat;
}
