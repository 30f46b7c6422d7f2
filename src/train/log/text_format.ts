import type { CallbackRun } from "../callbacks/callback.ts";
import type { KnownEntry, LogEntry } from "./log_entry.ts";

/** How a log of lines is written. */
export interface TextFormat {
  /** What messages call it. */
  readonly name: string;
  /** The first line; none where it is empty. */
  header(run: CallbackRun): string;
  /** Whether a file of this format may begin so, that ends within its first line. */
  mayBegin(text: string, run: CallbackRun): boolean;
  /** One line, without its end. */
  line(entry: LogEntry, run: CallbackRun): string;
  /** What of a line is looked at when a run goes on; undefined for one that this format does not write. */
  parse(line: string): KnownEntry | undefined;
}
