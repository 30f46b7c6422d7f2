import { CairnError } from "../base/errors.ts";
import type { TimeLimit } from "../checkpoint/ranks/group_call.ts";
import { type ExitGuard, guardExit } from "./exit_guard.ts";
import { findLibrary, type MpiLibrary } from "./find_library.ts";
import { type Foreign, foreignOfRuntime } from "./foreign.ts";
import type { Environment, Launcher } from "./launcher.ts";
import { type Libc, openLibc, textForC } from "./libc.ts";
import { mpiSignatures } from "./mpi_functions.ts";
import { MpiThread } from "./mpi_thread.ts";
import { Reports } from "./reports.ts";
import type { Report } from "./thread/protocol.ts";

/**
 * Variables that keep UCX, which MPICH may be made with, from taking SIGSEGV: a trap of WebAssembly is one, and the
 * runtime has to see it.
 */
const QUIET: Readonly<Record<string, string>> = { UCX_HANDLE_ERRORS: "none", UCX_ERROR_SIGNALS: "" };

/** How MPI is begun. */
export interface Beginning {
  readonly environment: Environment;
  readonly launcher: Launcher | undefined;
  readonly limit: TimeLimit;
  readonly inlineBytes: number;
  readonly cutBytes: number;
}

/** MPI, after it has begun. */
export interface Begun {
  readonly rank: number;
  readonly size: number;
  /** What the library says of itself. */
  readonly version: string;
  readonly library: MpiLibrary;
  readonly foreign: Foreign;
  readonly thread: MpiThread;
  readonly guard: ExitGuard;
  /** Hands on what the thread says from now on. */
  hear(listener: (report: Report) => void): void;
}

/**
 * Loads the library and begins MPI, which waits for all other ranks.
 *
 * @throws CairnError `unsupported` where there is no library; `rank_missing` when not all have begun in time.
 */
export async function beginMpi(beginning: Beginning): Promise<Begun> {
  const { environment, launcher, limit, inlineBytes, cutBytes } = beginning;
  // Node finds koffi from here.
  const base = import.meta.url;
  const foreign = openForeign(base);
  const { name, libc } = openLibc(foreign);
  for (const [variable, value] of Object.entries(QUIET)) setVariable(foreign, libc, variable, value);
  const library = findLibrary(foreign, libc, { environment, launcher, platform: process.platform });
  const reports = new Reports();
  const thread = MpiThread.start(
    { library, libc: name, base, inlineBytes, cutBytes },
    (report) => reports.add(report),
  );
  const guard: ExitGuard = { isMissing: false, isBroken: false, leavingMs: undefined };
  const mpi = foreign.open(library.path, mpiSignatures(library.constants.handle));
  guardExit(guard, { thread, mpi, libc, world: library.constants.world });
  const report = await thread.whileAlive(inTime(reports.first, limit.leftMs));
  if (report === undefined) {
    guard.isMissing = true;
    throw notAllHaveBegun(limit.timeoutMs, launcher);
  }
  if (report.op !== "open") {
    guard.isBroken = true;
    const reason = report.op === "failed" ? report.message : report.op;
    throw new CairnError("unsupported", `MPI cannot begin with ${library.path}: ${reason}`, {
      details: { op: "open", path: library.path },
    });
  }
  return { ...report, library, foreign, thread, guard, hear: (listener) => reports.hear(listener) };
}

function notAllHaveBegun(timeoutMs: number, launcher: Launcher | undefined): CairnError {
  const ranks = launcher === undefined ? "ranks" : `${launcher.size} ranks`;
  return new CairnError(
    "rank_missing",
    `MPI has not begun after ${timeoutMs} ms, since it waits for all ${ranks}; look whether each of them has started ` +
      "and opens the group",
    { details: { op: "open", limit: timeoutMs } },
  );
}

/** @throws CairnError `unsupported` where the runtime cannot call libraries in C. */
function openForeign(base: string): Foreign {
  try {
    return foreignOfRuntime()(base);
  } catch (cause) {
    throw new CairnError(
      "unsupported",
      "This runtime cannot call an MPI library; Node needs the package koffi for it: npm install koffi",
      { cause },
    );
  }
}

function setVariable(foreign: Foreign, libc: Libc, variable: string, value: string): void {
  const [name, text] = [textForC(variable), textForC(value)];
  libc.setenv(foreign.addressOf(name), foreign.addressOf(text), 1);
}

/** `undefined` when the time is up. */
async function inTime<T>(work: Promise<T>, ms: number): Promise<T | undefined> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  // Timers of more than 24 days fire at once.
  const up = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), Math.min(ms, 2 ** 31 - 1));
  });
  try {
    return await Promise.race([work, up]);
  } finally {
    clearTimeout(timer);
  }
}
