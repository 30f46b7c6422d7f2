import type { OpenForeign } from "../foreign.ts";
import type { LIBC_FUNCTIONS } from "../libc.ts";
import type { mpiSignatures } from "../mpi_functions.ts";
import type { makeHeads } from "./heads.ts";
import type { makePost, Post } from "./post.ts";
import type { Command, MESSAGE, Report, SIGNAL, STAGE, ThreadStart } from "./protocol.ts";
import type { makeRequests } from "./requests.ts";

/** What the thread is made of: functions that are sent there as text, and plain values. */
export interface ThreadParts {
  readonly openForeign: OpenForeign;
  readonly mpiSignatures: typeof mpiSignatures;
  readonly makeRequests: typeof makeRequests;
  readonly makeHeads: typeof makeHeads;
  readonly makePost: typeof makePost;
  readonly workThrough: typeof workThrough;
  readonly LIBC_FUNCTIONS: typeof LIBC_FUNCTIONS;
  readonly MESSAGE: typeof MESSAGE;
  readonly SIGNAL: typeof SIGNAL;
  readonly STAGE: typeof STAGE;
}

/** How the thread talks to the one that started it. */
export interface ThreadPort {
  postMessage(report: Report, transfer?: readonly ArrayBuffer[]): void;
  /** What it was asked for next; `undefined` where there is nothing. */
  next(): Command | undefined;
}

/**
 * What runs on the thread that calls MPI: begins, does what it is asked until all ranks leave, and ends. It is sent
 * there as text, and sees nothing but what it is given.
 */
export function serve(port: ThreadPort, start: ThreadStart, parts: ThreadParts): void {
  const { SIGNAL, STAGE, MESSAGE } = parts;
  const { path, constants } = start.library;
  const signal = new Int32Array(start.signal);
  const reach = (stage: number): void => {
    Atomics.store(signal, SIGNAL.stage, stage);
    Atomics.notify(signal, SIGNAL.stage);
  };
  const tell = (report: Report, transfer: readonly ArrayBuffer[] = []): void =>
    port.postMessage(report, transfer);
  try {
    const foreign = parts.openForeign(start.base);
    const libc = foreign.open(start.libc, parts.LIBC_FUNCTIONS);
    const mpi = foreign.open(path, parts.mpiSignatures(constants.handle));
    const requests = parts.makeRequests(foreign, mpi, constants);
    const answer = new Uint8Array(new ArrayBuffer(16_384));
    const at = foreign.addressOf(answer);
    const ask = (call: (at: number) => number | bigint): number => {
      requests.check(call(at));
      return new Int32Array(answer.buffer)[0] ?? 0;
    };
    ask((provided) => mpi.MPI_Init_thread(0, 0, constants.threadMultiple, provided));
    requests.check(mpi.MPI_Comm_set_errhandler(constants.world, constants.errorsReturn));
    const rank = ask((into) => mpi.MPI_Comm_rank(constants.world, into));
    const size = ask((into) => mpi.MPI_Comm_size(constants.world, into));
    ask((length) => mpi.MPI_Get_library_version(length + 16, length));
    const version = new TextDecoder().decode(answer.subarray(16, answer.indexOf(0, 16)));
    reach(STAGE.open);
    tell({ op: "open", rank, size, version });
    const post = parts.makePost({
      requests,
      heads: parts.makeHeads(),
      foreign,
      libc,
      start,
      rank,
      size,
      MESSAGE,
      tell,
    });
    const abort = (code: number): void => void mpi.MPI_Abort(constants.world, code);
    parts.workThrough({ port, post, requests, signal, SIGNAL, abort });
    requests.check(mpi.MPI_Finalize());
    reach(STAGE.left);
    tell({ op: "left" });
  } catch (error) {
    tell({ op: "failed", message: error instanceof Error ? error.message : String(error) });
  }
}

/** What {@link workThrough} works with. */
interface Work {
  readonly port: ThreadPort;
  readonly post: Post;
  readonly requests: { goOn(): boolean };
  readonly signal: Int32Array;
  readonly SIGNAL: ThreadParts["SIGNAL"];
  abort(code: number): void;
}

/**
 * Does what it is asked, and has MPI go on, until all ranks have left. MPI goes on only while it is called, and knows
 * no way to wait that leaves the processor to others: so between looks the thread sleeps, for longer the longer nothing
 * has come. It is sent to the thread as text, and sees nothing but what it is given.
 */
export function workThrough({ port, post, requests, signal, SIGNAL, abort }: Work): void {
  /** Looks without sleep: a message within one machine comes in microseconds. */
  const LOOKS = 100;
  const [SHORTEST_MS, LONGEST_MS, IDLE_MS] = [0.02, 0.5, 5];
  let end = { atMs: Infinity, code: 0 };
  const obey = (command: Command): void => {
    if (command.op === "send") post.send(command);
    else if (command.op === "lend") post.lend(command);
    else if (command.op === "copy") post.copy(command);
    else if (command.op === "leave") post.leave();
    else end = { atMs: performance.now() + command.ms, code: command.code };
  };
  for (let quiet = 0; !post.isOver();) {
    const asked = Atomics.load(signal, SIGNAL.asked);
    let isQuiet = true;
    for (let command = port.next(); command !== undefined; command = port.next()) {
      obey(command);
      isQuiet = false;
    }
    if (requests.goOn()) isQuiet = false;
    if (performance.now() >= end.atMs) abort(end.code);
    if (!isQuiet) quiet = 0;
    else if (++quiet > LOOKS) {
      const isAwaited = post.isBusy() || Atomics.load(signal, SIGNAL.underWay) > 0;
      const ms = isAwaited ? Math.min(LONGEST_MS, SHORTEST_MS * 1.1 ** (quiet - LOOKS)) : IDLE_MS;
      Atomics.wait(signal, SIGNAL.asked, asked, ms);
    }
  }
}
