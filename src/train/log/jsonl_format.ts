import type { KnownEntry, LogEntry } from "./log_entry.ts";
import { shortestFloat32 } from "../../base/text/shortest_float.ts";
import type { TextFormat } from "./text_format.ts";

const BEGINNING = '{"kind":"';

/** An object for each entry, which begins with its kind and its step. A number that is not finite is null. */
export const JSONL_FORMAT: TextFormat = {
  name: "JSON lines",
  header: () => "",
  mayBegin: (text) => text.startsWith(BEGINNING) || BEGINNING.startsWith(text),
  line: (entry) => JSON.stringify(fieldsOf(entry)),
  parse(line) {
    const [, kind = "", step = "", loss = ""] =
      /^\{"kind":"([a-z]+)","step":(\d+)(?:,"loss":([^,}]+))?[,}].*\}?$/.exec(line) ?? [];
    if (kind === "" || !line.endsWith("}")) return undefined;
    const known: KnownEntry = { kind, step: Number(step) };
    return kind === "step" ? { ...known, loss: loss === "null" ? NaN : Number(loss) } : known;
  },
};

function fieldsOf(entry: LogEntry): object {
  if (entry.kind === "step") {
    const { kind, step, loss, rate, terms } = entry;
    const own = Object.entries(terms).map(([name, value]) => [name, float32(value)]);
    return {
      kind,
      step,
      loss: float32(loss),
      rate,
      terms: own.length === 0 ? undefined : Object.fromEntries(own),
    };
  }
  // The order of the fields is that of the lines.
  const { kind, step, ...rest } = entry;
  return { kind, step, ...rest };
}

function float32(value: number): number {
  return Number.isFinite(value) ? Number(shortestFloat32(value)) : value;
}
