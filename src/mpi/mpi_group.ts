import { CairnError } from "../base/errors.ts";
import { checkOptions, type OptionNames } from "../base/options/options.ts";
import { type GroupCallOptions, TimeLimit } from "../checkpoint/ranks/group_call.ts";
import { MailboxGroup } from "../checkpoint/ranks/mailbox_group.ts";
import type { ProcessGroup } from "../checkpoint/ranks/process_group.ts";
import { MpiSession } from "./mpi_session.ts";

/** Options of `MpiGroup.open`. */
export interface MpiGroupOptions {
  /**
   * How long to wait for the other ranks, at most, in milliseconds: until all have opened the group, in each call that
   * says nothing else, and until all have closed it. Default 1 800 000 ms.
   */
  readonly timeoutMs?: number | undefined;
}

/** Every option of {@link MpiGroupOptions}. */
export const MPI_GROUP_OPTIONS: OptionNames<MpiGroupOptions> = { timeoutMs: true };

let hasBegun = false;

/**
 * The processes that `mpiexec` has started, as a `ProcessGroup`: in Bun, in Deno, and in Node with the package
 * `koffi`, over MPICH, Open MPI, or a library with the standard interface of MPI 4.2. `CAIRN_MPI_LIBRARY` names the
 * library where it is not found.
 *
 * All calls to MPI are made on a thread of their own, straight from and to the memory of the arrays. Messages go from
 * each rank to each other one, so that a call knows who has not come, and who is in another call.
 *
 * Once opened, the end of a process is that of the job. A process that ends without {@link close}, or with another
 * code than 0, ends all ranks, with that code or 70. When ranks were missing, it ends them with 75, ten seconds later
 * at the latest. So a supervisor sees a code other than 0 whatever has happened to any of them.
 */
export class MpiGroup implements ProcessGroup {
  readonly rank: number;
  readonly size: number;
  readonly #session: MpiSession;
  readonly #group: MailboxGroup;
  #isClosed = false;

  private constructor(session: MpiSession, timeoutMs: number | undefined) {
    this.rank = session.rank;
    this.size = session.size;
    this.#session = session;
    this.#group = new MailboxGroup(session.nextMailbox(), { timeoutMs });
  }

  /**
   * Begins MPI and resolves when all ranks have. A process that no launcher has started is a group of one. A process
   * can do it once.
   *
   * @throws CairnError `unsupported` where there is no MPI library, where it is not that of the launcher (which would
   * make every process rank 0), or where Node has no `koffi`; `rank_missing` when not all ranks have come in time.
   * RangeError for an invalid time; TypeError for the second time.
   */
  static async open(options: MpiGroupOptions = {}): Promise<MpiGroup> {
    const { timeoutMs } = checkOptions("MpiGroup.open()", options, MPI_GROUP_OPTIONS);
    // An invalid time is refused before.
    new TimeLimit({ timeoutMs });
    if (hasBegun) throw new TypeError("MPI begins once in a process; open the group once, and pass it on");
    hasBegun = true;
    return new MpiGroup(await MpiSession.open({ timeoutMs }), timeoutMs);
  }

  /** What the MPI library says of itself. */
  get version(): string {
    return this.#session.version;
  }

  barrier(options?: GroupCallOptions): Promise<void> {
    return this.#watched(this.#group.barrier(options));
  }

  broadcast(root: number, bytes?: Uint8Array, options?: GroupCallOptions): Promise<Uint8Array> {
    return this.#watched(this.#group.broadcast(root, bytes, options));
  }

  allGather(bytes: Uint8Array, options?: GroupCallOptions): Promise<Uint8Array[]> {
    return this.#watched(this.#group.allGather(bytes, options));
  }

  allToAll(pieces: readonly Uint8Array[], options?: GroupCallOptions): Promise<Uint8Array[]> {
    return this.#watched(this.#group.allToAll(pieces, options));
  }

  /**
   * Tells the other ranks, and ends all of them with the code 70 after ten seconds, unless this one closes the group.
   */
  async abort(reason: unknown): Promise<void> {
    if (this.#isClosed) return;
    await this.#group.abort(reason);
    this.#session.endSoon(false);
  }

  /**
   * Leaves the group. The process stays alive until all ranks have closed it, for as long as a call waits at most;
   * then it ends the job with the code 75.
   */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await this.#group.close();
    this.#session.leave().catch(() => {});
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #watched<T>(call: Promise<T>): Promise<T> {
    try {
      return await call;
    } catch (error) {
      if (error instanceof CairnError && error.code === "rank_missing") this.#session.endSoon(true);
      throw error;
    }
  }
}
