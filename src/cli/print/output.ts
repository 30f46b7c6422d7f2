/**
 * Where a verb writes. Everything that the command says goes through one of these, so that a test can catch it, and
 * no other file of `src/` writes at all.
 */
export interface Output {
  /** Writes results. `text` is complete: nothing is put behind it. */
  write(text: string): void;
  /** Writes what is no result: errors and progress. */
  note(text: string): void;
  /** Whether a person looks at a terminal, where lines may be written anew. */
  readonly isTerminal: boolean;
  /** Whether text may have colours and weights. */
  readonly hasStyles: boolean;
  /** Ends what goes on by itself, such as `--watch`. */
  readonly signal: AbortSignal;
}

/** What of a runtime is written to. */
interface Host {
  readonly stdout?: Stream;
  readonly stderr?: Stream;
  readonly env?: Readonly<Record<string, string | undefined>>;
}

interface Stream {
  readonly isTTY?: boolean;
  write(text: string): unknown;
  on?(event: "error", listener: (error: { readonly code?: string }) => void): unknown;
}

/** The terminal or the pipe that the process has. Without a terminal, and with `NO_COLOR`, text has no styles. */
export function processOutput(): Output {
  const { stdout, stderr, env = {} } = (globalThis as { process?: Host }).process ?? {};
  const stop = new AbortController();
  // A reader that has seen enough, as in `cairn ls | head`, is no failure.
  stdout?.on?.("error", ({ code }) => code === "EPIPE" ? stop.abort() : undefined);
  return {
    write: (text) => void stdout?.write(text),
    note: (text) => void stderr?.write(text),
    isTerminal: stdout?.isTTY === true,
    hasStyles: stdout?.isTTY === true && !env.NO_COLOR && env.TERM !== "dumb",
    signal: stop.signal,
  };
}
