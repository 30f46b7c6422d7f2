import type { GroupCallName } from "./group_call.ts";
import type { Failure } from "./failure.ts";

/** What one rank has for another one in a call. */
export interface Letter {
  readonly call: GroupCallName;
  readonly bytes: Uint8Array;
}

/**
 * How letters get from rank to rank: all that `MailboxGroup` needs of a transport. Calls are counted from 0, on all
 * ranks alike.
 */
export interface Mailbox {
  readonly rank: number;
  readonly size: number;
  /**
   * Leaves letters: the one piece for all ranks, or one for each. What was passed may change when it resolves, but for
   * what {@link holding} says.
   */
  send(number: number, call: GroupCallName, pieces: readonly Uint8Array[]): Promise<void>;
  /**
   * Looks once for the letters that these ranks have for this one, and gives those that are there, each in new memory.
   *
   * @throws CairnError `rank_failed`, `rank_missing` where one is not there and never will be.
   */
  receive(number: number, from: readonly number[]): Promise<ReadonlyMap<number, Letter>>;
  /** Ranks that have not yet taken what was passed for them, which has to stay as it is; none unless given. */
  holding?(): readonly number[];
  /** The same bytes in new memory, for this rank itself. Copied by the caller unless given. */
  copy?(bytes: Uint8Array): Promise<Uint8Array>;
  /**
   * Resolves when it makes sense to look again, at once when it is aborted, and after so many milliseconds at the
   * latest.
   */
  wait(atMostMs: number, signal: AbortSignal): Promise<void>;
  /** All ranks have the letters that this one left in calls before this one. */
  forget(before: number): Promise<void>;
  /** Tells all ranks why this one ends the group. */
  abort(failure: Failure): Promise<void>;
  /** Leaves. The letters stay for those who have not read them, and go with the last rank. */
  close(): Promise<void>;
}
