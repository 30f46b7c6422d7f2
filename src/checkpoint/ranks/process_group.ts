import type { Storage } from "../../storage/storage.ts";
import type { GroupCallOptions, GroupOptions } from "./group_call.ts";
import { type DirectoryGroupOptions, openOverDirectory } from "./over_directory/directory_group.ts";
import { openInMemory } from "./memory_group.ts";

/**
 * Processes that work together, each with a number of its own, the rank: what `torch.distributed` and MPI call a
 * group or a communicator. It moves bytes and nothing else; it knows neither tensors nor files, and sums nothing.
 *
 * All ranks make the same calls in the same order, one after another. Bytes that are passed must stay as they are
 * until the call resolves, and may have any length, also none and many MiB. Bytes that come back are memory of the
 * caller's own. That a call resolves says that this rank has what it asked for, and of other ranks only what each
 * call promises.
 *
 * Every call takes a signal and a time limit, and rejects with
 * - a CairnError `rank_missing` when the time is up, or as soon as it is known that a rank which is waited for has
 *   closed the group; `details.ranks` are those that did not answer, `details.limit` is the time in milliseconds;
 * - a CairnError `rank_failed` when a rank has called {@link abort}; `details.ranks` is that rank, and `cause` is a
 *   CairnError with the code and the message of what it failed of;
 * - a CairnError `state_mismatch` where it is seen that another rank is in another call (else the time limit ends
 *   it);
 * - a CairnError `closed` after {@link close};
 * - what the transport fails of, and `signal.reason`.
 *
 * A call that rejects with one of these ends the group on this rank: the bytes of a later call could be those of this
 * one. Later calls reject in the same way. The other ranks do not know until they are told by {@link abort}. A
 * mistake of the caller (a TypeError or RangeError for its arguments, a TypeError for a second call while one is
 * under way) ends nothing and sends nothing.
 */
export interface ProcessGroup {
  /** This process among those of the group, from 0. */
  readonly rank: number;
  /** How many processes the group has. */
  readonly size: number;

  /** Resolves when all ranks have called it. */
  barrier(options?: GroupCallOptions): Promise<void>;

  /**
   * Gives the bytes of the rank `root` to all ranks. On the root it may resolve before the others have them.
   *
   * @param bytes On the root what is sent; what other ranks pass is not looked at.
   */
  broadcast(root: number, bytes?: Uint8Array, options?: GroupCallOptions): Promise<Uint8Array>;

  /** Gives the bytes of each rank to all ranks, in order of rank. The lengths may differ. */
  allGather(bytes: Uint8Array, options?: GroupCallOptions): Promise<Uint8Array[]>;

  /**
   * Gives `pieces[to]` to the rank `to`, and resolves to what each rank had for this one, in order of rank. The lengths
   * may differ, and a piece may be empty: so it is a gather and a scatter as well.
   *
   * @throws RangeError unless there is one piece for each rank.
   */
  allToAll(pieces: readonly Uint8Array[], options?: GroupCallOptions): Promise<Uint8Array[]>;

  /**
   * Ends the group for all ranks and tells them why. A call of this rank that is under way, and each later one,
   * rejects with `rank_failed`; so does the next one of another rank that has to wait for anything. A transport that
   * cannot tell them may end their processes instead, as `MPI_Abort` does. Resolves when that is done, and never
   * rejects. Does nothing on a rank that another one has told already, and after {@link close}.
   */
  abort(reason: unknown): Promise<void>;

  /**
   * Leaves the group and gives back what it holds. What this rank has sent still reaches the others. A call that is
   * under way rejects with `closed`. Never rejects, and does nothing the second time.
   */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Ways to a {@link ProcessGroup}. */
export interface ProcessGroups {
  /**
   * A group of processes that see one directory: small files in its folder `ranks` are the messages. Resolves when
   * all ranks have come. It needs no network and no launcher; a message takes milliseconds on a disk, and as long as
   * it takes to be seen on a shared file system. One group a directory at a time.
   *
   * Messages of an attempt that was stopped are never taken for answers, and the next group removes them. When rank 0
   * is stopped and opens the group anew, the others find their group ended, by `rank_failed` of rank 0, and can open
   * it too.
   *
   * @param directory A path, a URL, or a storage, whose root it is.
   * @throws CairnError `rank_missing`, and `rank_failed` when rank 0 gave up; `state_mismatch` when the ranks do not
   * agree how many they are; of the storage; `signal.reason`. RangeError for an invalid rank.
   */
  overDirectory(directory: string | URL | Storage, options: DirectoryGroupOptions): Promise<ProcessGroup>;

  /**
   * The groups of so many ranks that are all in this process, in order of rank: for tests of what is written for
   * several processes.
   *
   * @throws RangeError unless `size` is an integer from 1.
   */
  inMemory(size: number, options?: GroupOptions): ProcessGroup[];
}

/** Ways to a {@link ProcessGroup}. */
export const ProcessGroup: ProcessGroups = { overDirectory: openOverDirectory, inMemory: openInMemory };
