import type { WorkProgress } from "../../base/work.ts";
import { checkOptions, type OptionNames } from "../../base/options/options.ts";

/** Where a run stands. */
export interface TrainingProgress {
  /** Optimiser updates done. */
  readonly step: number;
  /** Optimiser updates at the end of the run. */
  readonly totalSteps: number;
  /** The epoch that is being trained, 1-based. */
  readonly epoch: number;
  /** Epochs at the end of the run. */
  readonly totalEpochs: number;
  /** The newest loss that was read from the GPU; some steps old. */
  readonly loss: number | undefined;
  /** Of the same step: each term of the loss and each regulariser, by its name. Nothing for a loss that is one. */
  readonly terms?: Readonly<Record<string, number>> | undefined;
  /** What the last epoch measured. */
  readonly metrics: Readonly<Record<string, number>>;
}

/** Shows the progress of a run. Nothing that it throws is caught. */
export interface ProgressReporter {
  /** Called while kernels are compiled, before `start`: with none done, and after each. */
  compile?(progress: WorkProgress): void;
  /** Called before the first step. Training waits for it. */
  start?(progress: TrainingProgress): void | Promise<void>;
  /** Called after each step. */
  step?(progress: TrainingProgress): void;
  /** Called after each epoch, when its metrics are known. */
  epoch?(progress: TrainingProgress): void;
  /** Called with what went wrong and did not stop the run. */
  warning?(message: string): void;
  /** Called at the end, also of a run that failed. */
  stop?(): void;
}

/** The part of a Node stream that is written to. */
export interface TextStream {
  /** Whether a person may be looking: then a line is drawn over. */
  readonly isTTY?: boolean;
  /** Writes text. */
  write(text: string): unknown;
}

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
 * A progress bar when the stream is a terminal, plain lines when it is a file or a pipe. Throws a `TypeError`
 * where there is no stream.
 */
export function terminalProgress(options: TerminalProgressOptions = {}): ProgressReporter {
  checkOptions("terminalProgress()", options, TERMINAL_PROGRESS_OPTIONS);
  const stream = options.stream ?? standardError();
  if (stream === undefined) {
    throw new TypeError("There is no standard error here; give terminalProgress a stream");
  }
  const lines = new LineReporter(
    stream,
    options.lineIntervalMs ?? 10_000,
    options.now ?? (() => performance.now()),
  );
  return stream.isTTY === true ? new BarReporter(stream, lines) : lines;
}

/** The reporter that `TrainOptions.progress` means: without one, a bar if standard error is a terminal. */
export function reporterOf(progress: ProgressReporter | boolean | undefined): ProgressReporter | undefined {
  if (typeof progress === "object") return progress;
  if (progress === false) return undefined;
  if (progress === true) return terminalProgress();
  const stream = standardError();
  return stream?.isTTY === true ? terminalProgress({ stream }) : undefined;
}

class LineReporter implements ProgressReporter {
  readonly #stream: TextStream;
  readonly #intervalMs: number;
  readonly #now: () => number;
  #lastLine = -Infinity;

  constructor(stream: TextStream, intervalMs: number, now: () => number) {
    this.#stream = stream;
    this.#intervalMs = intervalMs;
    this.#now = now;
  }

  compile(progress: WorkProgress): void {
    if (this.#now() - this.#lastLine >= this.#intervalMs) this.#line(describeCompiling(progress));
  }

  start(): void {
    this.#lastLine = this.#now();
  }

  step(progress: TrainingProgress): void {
    if (this.#now() - this.#lastLine < this.#intervalMs) return;
    this.#line(`epoch ${progress.epoch}/${progress.totalEpochs}, ${describeStep(progress)}`);
  }

  epoch(progress: TrainingProgress): void {
    const metrics = Object.entries(progress.metrics).map(([name, value]) => `${name} ${value.toFixed(4)}`);
    this.#line(
      [`epoch ${progress.epoch}/${progress.totalEpochs}`, `step ${progress.step}`, ...metrics].join(", "),
    );
  }

  warning(message: string): void {
    this.#line(`warning: ${message}`);
  }

  #line(text: string): void {
    this.#lastLine = this.#now();
    this.#stream.write(`${text}\n`);
  }
}

function describeCompiling({ done, total }: WorkProgress): string {
  return `compiling kernels ${done}/${total}`;
}

function describeStep(progress: TrainingProgress): string {
  const loss = progress.loss === undefined ? "" : `, loss ${describeLoss(progress)}`;
  return `step ${progress.step}/${progress.totalSteps}${loss}`;
}

/** The loss, and what it is made of where that is several terms. */
function describeLoss({ loss, terms = {} }: TrainingProgress): string {
  const parts = Object.entries(terms).map(([name, value]) => `${name} ${value.toFixed(4)}`);
  const total = loss?.toFixed(4) ?? "-";
  return parts.length === 0 ? total : `${total} (${parts.join(", ")})`;
}

/** To the line's beginning, and nothing behind it. */
const CLEAR_LINE = "\r\x1b[K";

type BarOptions = import("cli-progress").Options;

/** The part of cli-progress that is used. */
interface Bar {
  start(total: number, value: number, payload: Record<string, string>): void;
  update(value: number, payload: Record<string, string>): void;
  stop(): void;
}

class BarReporter implements ProgressReporter {
  readonly #stream: TextStream;
  readonly #lines: LineReporter;
  #bar: Bar | undefined;
  #restart: (() => void) | undefined;
  /** Whether a line says so. */
  #isCompiling = false;

  constructor(stream: TextStream, lines: LineReporter) {
    this.#stream = stream;
    this.#lines = lines;
  }

  compile(progress: WorkProgress): void {
    this.#isCompiling = progress.done < progress.total;
    this.#stream.write(this.#isCompiling ? `${CLEAR_LINE}${describeCompiling(progress)}` : CLEAR_LINE);
  }

  async start(progress: TrainingProgress): Promise<void> {
    // Asked for here and not at the top: it needs a terminal and is nothing that a browser could load.
    const { default: cliProgress } = await import("cli-progress");
    this.#bar = new cliProgress.SingleBar({
      format: "epoch {epoch} {bar} {value}/{total} steps | {eta_formatted} left | loss {loss}{metrics}",
      stream: this.#stream as BarOptions["stream"],
      hideCursor: true,
      clearOnComplete: true,
      // It would install signal handlers, which are the program's to install.
      gracefulExit: false,
      etaBuffer: 50,
    }, cliProgress.Presets.shades_classic);
    this.#begin(progress);
  }

  step(progress: TrainingProgress): void {
    this.#bar?.update(progress.step, payloadOf(progress));
    this.#restart = () => this.#begin(progress);
  }

  epoch(progress: TrainingProgress): void {
    this.step(progress);
    this.#above(() => this.#lines.epoch(progress));
  }

  warning(message: string): void {
    this.#above(() => this.#lines.warning(message));
  }

  stop(): void {
    // Of a run that failed before its first step.
    if (this.#isCompiling) this.#stream.write(CLEAR_LINE);
    this.#isCompiling = false;
    this.#bar?.stop();
    this.#bar = undefined;
  }

  #begin(progress: TrainingProgress): void {
    this.#bar?.start(progress.totalSteps, progress.step, payloadOf(progress));
    this.#restart = () => this.#begin(progress);
  }

  /** Writes whole lines over the bar, which is drawn again below them. */
  #above(write: () => void): void {
    this.#bar?.stop();
    write();
    this.#restart?.();
  }
}

function payloadOf(progress: TrainingProgress): Record<string, string> {
  const metrics = Object.entries(progress.metrics).filter(([name]) => name !== "loss")
    .map(([name, value]) => `, ${name} ${value.toFixed(4)}`);
  return {
    epoch: `${progress.epoch}/${progress.totalEpochs}`,
    loss: describeLoss(progress),
    metrics: metrics.join(""),
  };
}
