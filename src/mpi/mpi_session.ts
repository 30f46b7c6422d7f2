import { type Clock, systemClock } from "../base/clock.ts";
import { CairnError } from "../base/errors.ts";
import { TimeLimit } from "../checkpoint/ranks/group_call.ts";
import { beginMpi, type Begun } from "./begin.ts";
import { EXIT_NOT_CLOSED, EXIT_RANK_MISSING } from "./exit_guard.ts";
import { LIBRARY_VARIABLE } from "./find_library.ts";
import { launcherOf } from "./launcher.ts";
import { type Carrier, mpiFailed, MpiMailbox } from "./mpi_mailbox.ts";
import type { Heading, Report } from "./thread/protocol.ts";

/** MPI counts with 31 bits. */
const CUT_BYTES = 2 ** 30;
/** With its head, a message of 4 KiB. */
const INLINE_BYTES = 4056;
/** Copies up to this length take less time than to ask for them. */
const COPIED_HERE_BYTES = 64 * 1024;
/** How long a rank may go on after its group has failed. */
const GRACE_MS = 10_000;

/** Options of {@link MpiSession.open}. */
export interface SessionOptions {
  /** How long to wait for the other ranks to begin, and to leave. */
  readonly timeoutMs: number | undefined;
  /** One message of MPI has at most so many bytes. */
  readonly cutBytes?: number | undefined;
}

/** Memory that ranks are still to take. */
interface Loan {
  /** Kept, whatever becomes of the call. */
  readonly bytes: Uint8Array;
  left: number;
  readonly taken: (by: number) => void;
}

/** A copy that the thread makes. */
interface Copy {
  /** What is read, kept until then. */
  readonly bytes: Uint8Array;
  readonly resolve: (copy: Uint8Array) => void;
  readonly reject: (error: unknown) => void;
}

/** MPI in this process, from its beginning to its end. A process has one, once. */
export class MpiSession implements Carrier {
  readonly clock: Clock = systemClock;
  readonly inlineBytes: number = INLINE_BYTES;
  readonly #begun: Begun;
  readonly #timeoutMs: number;
  readonly #boxes = new Map<number, MpiMailbox>();
  readonly #dropped = new Set<number>();
  readonly #loans = new Map<number, Loan>();
  readonly #copies = new Map<number, Copy>();
  #groups = 0;
  #ids = 0;
  #hasLeft: () => void = () => {};
  #failure: CairnError | undefined;

  private constructor(begun: Begun, timeoutMs: number) {
    this.#begun = begun;
    this.#timeoutMs = timeoutMs;
    begun.hear((report) => this.#hear(report));
  }

  /**
   * Begins MPI.
   *
   * @throws CairnError `unsupported` where there is no library, or it is not that of the launcher; `rank_missing` when
   * not all ranks have begun in time. RangeError for an invalid time.
   */
  static async open({ timeoutMs, cutBytes = CUT_BYTES }: SessionOptions): Promise<MpiSession> {
    const limit = new TimeLimit({ timeoutMs });
    const environment = process.env;
    const launcher = launcherOf(environment);
    const begun = await beginMpi({ environment, launcher, limit, cutBytes, inlineBytes: INLINE_BYTES });
    const session = new MpiSession(begun, limit.timeoutMs);
    const { size, library: { path } } = begun;
    if (launcher === undefined || launcher.size === size) return session;
    await session.leave();
    throw new CairnError(
      "unsupported",
      `${launcher.variable} says that ${launcher.size} processes were started, and ${path} says ${size}: it is not ` +
        `the library of that mpiexec. Start with the mpiexec of that library, or set ${LIBRARY_VARIABLE} to the ` +
        "library of that mpiexec",
      { details: { path, limit: launcher.size, value: size } },
    );
  }

  get rank(): number {
    return this.#begun.rank;
  }

  get size(): number {
    return this.#begun.size;
  }

  /** What the library says of itself. */
  get version(): string {
    return this.#begun.version;
  }

  /** The letters of another group. All ranks make them in the same order. */
  nextMailbox(): MpiMailbox {
    return this.#boxOf(this.#groups++);
  }

  /** The group has failed, and the job is to end soon, whatever becomes of this program, unless it leaves. */
  endSoon(isMissing: boolean): void {
    const { guard, thread } = this.#begun;
    guard.isMissing ||= isMissing;
    thread.ask({ op: "endAfter", ms: GRACE_MS, code: isMissing ? EXIT_RANK_MISSING : EXIT_NOT_CLOSED });
  }

  /** Leaves MPI when all ranks do, for which the process stays alive. When the time is up, the job ends. */
  async leave(): Promise<void> {
    const { guard, thread } = this.#begun;
    guard.leavingMs = this.#timeoutMs;
    const left = new Promise<void>((resolve) => void (this.#hasLeft = resolve));
    thread.ask({ op: "endAfter", ms: this.#timeoutMs, code: EXIT_RANK_MISSING });
    thread.ask({ op: "leave" });
    await thread.whileAlive(left);
  }

  send(to: readonly number[], heading: Heading, { buffer, byteOffset, byteLength }: Uint8Array): void {
    if (to.length === 0) return;
    const bytes = new ArrayBuffer(byteLength);
    new Uint8Array(bytes).set(new Uint8Array(buffer, byteOffset, byteLength));
    this.#begun.thread.ask({ op: "send", to, heading, bytes });
  }

  lend(to: readonly number[], heading: Heading, bytes: Uint8Array, taken: (by: number) => void): void {
    const id = this.#ids++;
    this.#loans.set(id, { bytes, left: to.length, taken });
    const { foreign, thread } = this.#begun;
    thread.ask({
      op: "lend",
      to,
      heading,
      id,
      address: addressOf(foreign, bytes),
      byteLength: bytes.byteLength,
    });
  }

  async copy(bytes: Uint8Array): Promise<Uint8Array> {
    if (bytes.byteLength <= COPIED_HERE_BYTES) return new Uint8Array(bytes);
    this.check();
    const id = this.#ids++;
    const { foreign, thread } = this.#begun;
    const copied = new Promise<Uint8Array>((resolve, reject) => {
      this.#copies.set(id, { bytes, resolve, reject });
    });
    thread.ask({ op: "copy", id, address: addressOf(foreign, bytes), byteLength: bytes.byteLength });
    return await thread.whileAlive(copied);
  }

  whileAwaited<T>(wait: Promise<T>): Promise<T> {
    return this.#begun.thread.whileAwaited(wait);
  }

  check(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }

  drop(group: number): void {
    this.#boxes.delete(group);
    this.#dropped.add(group);
  }

  #boxOf(group: number): MpiMailbox {
    const box = this.#boxes.get(group) ?? new MpiMailbox(this, group);
    // What still comes for a group that is over is for nobody.
    if (!this.#dropped.has(group)) this.#boxes.set(group, box);
    return box;
  }

  #hear(report: Report): void {
    if (report.op === "came") {
      this.#boxOf(report.heading.group).take(report.from, report.heading, new Uint8Array(report.bytes));
    } else if (report.op === "taken") this.#give(report.id, report.by);
    else if (report.op === "copied") {
      this.#copies.get(report.id)?.resolve(new Uint8Array(report.bytes));
      this.#copies.delete(report.id);
    } else if (report.op === "left") this.#hasLeft();
    else if (report.op === "failed") this.#fail(report.message);
  }

  #give(id: number, by: number): void {
    const loan = this.#loans.get(id);
    if (loan === undefined) return;
    if (--loan.left === 0) this.#loans.delete(id);
    loan.taken(by);
  }

  #fail(message: string): void {
    this.#failure = mpiFailed(this.rank, message);
    this.#begun.guard.isBroken = true;
    for (const { reject } of this.#copies.values()) reject(this.#failure);
    this.#copies.clear();
    this.#hasLeft();
    for (const box of this.#boxes.values()) box.change();
  }
}

/** Small arrays lie where a runtime may move them, until somebody has asked for their memory. */
function addressOf(foreign: Begun["foreign"], bytes: Uint8Array): number {
  void bytes.buffer;
  return foreign.addressOf(bytes);
}
