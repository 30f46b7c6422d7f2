import { checkOptions, type OptionNames } from "../../base/options/options.ts";
import type { Callback } from "../callbacks/callback.ts";
import { requireCallback } from "../callbacks/callback_list.ts";
import { ProgressBar } from "./progress_bar.ts";
import { ProgressLines } from "./progress_lines.ts";
import type { TextStream } from "./text_stream.ts";

/** Options of {@link terminalProgress}. */
export interface TerminalProgressOptions {
  /** Default: the process's standard error at the time of the call. */
  readonly stream?: TextStream | undefined;
  /** Least time between two lines where there is no terminal. Default 10 000. */
  readonly lineIntervalMs?: number | undefined;
  /** Milliseconds from any origin. */
  readonly now?: (() => number) | undefined;
}

/** Every option of {@link TerminalProgressOptions}. */
export const TERMINAL_PROGRESS_OPTIONS: OptionNames<TerminalProgressOptions> = {
  stream: true,
  lineIntervalMs: true,
  now: true,
};

/** The process's standard error, or undefined in a browser. */
export function standardError(): TextStream | undefined {
  return (globalThis as { process?: { stderr?: TextStream } }).process?.stderr;
}

/**
 * One bar for the whole run when the stream is a terminal, which one line takes the place of at the end; a line now and
 * then when it is a file or a pipe. Throws a `TypeError` where there is no stream.
 */
export function terminalProgress(options: TerminalProgressOptions = {}): Callback {
  checkOptions("terminalProgress()", options, TERMINAL_PROGRESS_OPTIONS);
  const { lineIntervalMs = 10_000, now = () => performance.now(), stream = standardError() } = options;
  if (stream === undefined) {
    throw new TypeError("There is no standard error here; give terminalProgress a stream");
  }
  return stream.isTTY === true
    ? new ProgressBar(stream, now)
    : new ProgressLines(stream, lineIntervalMs, now);
}

/** The callback that `TrainOptions.progress` means: without one, a bar if standard error is a terminal. */
export function progressCallback(progress: Callback | boolean | undefined): Callback | undefined {
  if (typeof progress === "object") {
    requireCallback(progress);
    return progress;
  }
  if (progress === false) return undefined;
  if (progress === true) return terminalProgress();
  const stream = standardError();
  return stream?.isTTY === true ? terminalProgress({ stream }) : undefined;
}
