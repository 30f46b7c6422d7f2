import { type Clock, systemClock } from "../../base/clock.ts";
import { checkOptions, type OptionNames } from "../../base/options/options.ts";

const DEFAULT_TIMEOUT_MS = 1_800_000;

/** The calls of a `ProcessGroup` that wait for other ranks. */
export type GroupCallName = "barrier" | "broadcast" | "allGather" | "allToAll";

/** Options of each call of a `ProcessGroup`. */
export interface GroupCallOptions {
  /** Stops the waiting, which then rejects with the signal's reason. It ends the group on this rank. */
  readonly signal?: AbortSignal | undefined;
  /** How long to wait for the other ranks, at most, in milliseconds. Default: that of the group. */
  readonly timeoutMs?: number | undefined;
}

/** Every option of {@link GroupCallOptions}. */
export const GROUP_CALL_OPTIONS: OptionNames<GroupCallOptions> = { signal: true, timeoutMs: true };

/** Options of every `ProcessGroup`. */
export interface GroupOptions {
  /** How long a call waits for the other ranks unless it says otherwise. Default 1 800 000 ms. */
  readonly timeoutMs?: number | undefined;
  /** The clock that waits; that of the system unless given. */
  readonly clock?: Clock | undefined;
}

/** Every option of {@link GroupOptions}. */
export const GROUP_OPTIONS: OptionNames<GroupOptions> = { timeoutMs: true, clock: true };

/** A time limit that has begun. */
export class TimeLimit {
  readonly timeoutMs: number;
  readonly #clock: Clock;
  readonly #endMs: number;

  /** @throws RangeError for an invalid time. */
  constructor({ timeoutMs = DEFAULT_TIMEOUT_MS, clock = systemClock }: GroupOptions) {
    if (!(Number.isFinite(timeoutMs) && timeoutMs >= 0)) {
      throw new RangeError(`timeoutMs is ${timeoutMs}; expected a number of milliseconds from 0`);
    }
    this.timeoutMs = timeoutMs;
    this.#clock = clock;
    this.#endMs = clock.now() + timeoutMs;
  }

  /** Milliseconds that are left; 0 when the time is up. */
  get leftMs(): number {
    return Math.max(0, this.#endMs - this.#clock.now());
  }
}

/** @throws TypeError, RangeError for options that a call does not take. */
export function checkCallOptions(name: GroupCallName, options: GroupCallOptions): GroupCallOptions {
  return checkOptions(`${name}()`, options, GROUP_CALL_OPTIONS);
}
