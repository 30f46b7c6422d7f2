import type { Libc } from "./libc.ts";
import type { MpiFunctions } from "./mpi_functions.ts";
import type { MpiThread } from "./mpi_thread.ts";
import { STAGE } from "./thread/protocol.ts";

/** The code of a job in which a rank ended without closing its group: an error within a program. */
export const EXIT_NOT_CLOSED = 70;
/** The code of a job in which a rank did not answer in time: worth to be started again. */
export const EXIT_RANK_MISSING = 75;

/** What the end of this process means for the job. */
export interface ExitGuard {
  /** Somebody has been waited for in vain. */
  isMissing: boolean;
  /** MPI has failed here, and nobody is to be waited for. */
  isBroken: boolean;
  /** Milliseconds to wait for the other ranks at the end; `undefined` until the group was closed. */
  leavingMs: number | undefined;
}

/** What ends a job. */
export interface JobEnds {
  readonly thread: MpiThread;
  readonly mpi: MpiFunctions;
  readonly libc: Libc;
  readonly world: number;
}

/**
 * Makes sure that a process that ends while others wait for it ends all of them: MPICH's `mpiexec` takes the end of
 * one rank with the code 0 for the end of the job, and says that all is well.
 */
export function guardExit(guard: ExitGuard, job: JobEnds): void {
  let isDone = false;
  let isUncaught = false;
  const end = (code: number): void => {
    const { stage } = job.thread;
    if (isDone || stage === STAGE.left || (stage === STAGE.beginning && guard.isBroken)) return;
    isDone = true;
    endJob(guard, job, { code, isUncaught });
  };
  process.on("exit", end);
  // Node says what was not caught after that, and would not get to it.
  if (!("Bun" in globalThis)) process.on("uncaughtExceptionMonitor", () => void (isUncaught = true));
  // `Deno.exit` ends a process without that.
  if ("Deno" in globalThis) globalThis.addEventListener("unload", () => end(Number(process.exitCode ?? 0)));
}

function endJob(
  guard: ExitGuard,
  { thread, mpi, libc, world }: JobEnds,
  { code, isUncaught }: { code: number; isUncaught: boolean },
): void {
  if (guard.leavingMs !== undefined && code === 0 && !guard.isBroken) {
    thread.waitUntilLeft(guard.leavingMs);
    if (thread.stage === STAGE.left) return;
    guard.isMissing = true;
  }
  const failed = guard.isMissing ? EXIT_RANK_MISSING : code || EXIT_NOT_CLOSED;
  if (isUncaught) process.exitCode = failed;
  if (thread.stage === STAGE.beginning) {
    // The thread is inside of a call that may never end, and a runtime waits for its threads.
    if (isUncaught) libc.alarm(1);
    else libc._exit(failed);
  } else if (!isUncaught) mpi.MPI_Abort(world, failed);
}
