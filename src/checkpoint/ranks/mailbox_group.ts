import { throwIfAborted } from "../../base/abort.ts";
import { CairnError } from "../../base/errors.ts";
import { failureOf } from "./failure.ts";
import {
  checkCallOptions,
  type GroupCallName,
  type GroupCallOptions,
  type GroupOptions,
  TimeLimit,
} from "./group_call.ts";
import { rankFailed, rankMissing } from "./group_errors.ts";
import type { Mailbox } from "./mailbox.ts";

/**
 * After so many broadcasts in a row all ranks wait for all: so a root is not further ahead, and few letters lie
 * about.
 */
const MOST_BROADCASTS = 16;
/** Timers of more than 24 days fire at once. */
const LONGEST_WAIT_MS = 24 * 60 * 60 * 1000;
const NOTHING = new Uint8Array();

/** A call that has begun. */
interface GroupCall {
  readonly number: number;
  readonly name: GroupCallName;
  readonly limit: TimeLimit;
  readonly signal: AbortSignal;
}

/** A `ProcessGroup` over whatever can bring letters from rank to rank. */
export class MailboxGroup {
  readonly rank: number;
  readonly size: number;
  readonly #mailbox: Mailbox;
  readonly #options: GroupOptions;
  readonly #others: readonly number[];
  /** Aborted when the group is over on this rank, with what its calls reject with from then on. */
  readonly #over = new AbortController();
  #calls = 0;
  #broadcastsInARow = 0;
  #underWay: GroupCallName | undefined;
  #hasToldAll = false;
  #isClosed = false;

  /** @throws RangeError for an invalid time limit. */
  constructor(mailbox: Mailbox, options: GroupOptions) {
    // An invalid limit is refused now, and not at the first call.
    new TimeLimit(options);
    this.rank = mailbox.rank;
    this.size = mailbox.size;
    this.#mailbox = mailbox;
    this.#options = options;
    this.#others = Array.from({ length: mailbox.size }, (_, rank) => rank).filter((rank) =>
      rank !== this.rank
    );
  }

  async barrier(options: GroupCallOptions = {}): Promise<void> {
    await this.#run("barrier", options, (call) => this.#exchange(call, [NOTHING]));
  }

  async broadcast(root: number, bytes?: Uint8Array, options: GroupCallOptions = {}): Promise<Uint8Array> {
    if (!(Number.isSafeInteger(root) && root >= 0 && root < this.size)) {
      throw new RangeError(`The root of a broadcast is ${root}; expected a rank from 0 to ${this.size - 1}`);
    }
    const sent = root === this.rank ? requireBytes(bytes) : NOTHING;
    return await this.#run("broadcast", options, async (call) => {
      if (++this.#broadcastsInARow > MOST_BROADCASTS) {
        return (await this.#exchange(call, [sent]))[root] ?? NOTHING;
      }
      if (root !== this.rank) return (await this.#receive(call, [root])).get(root) ?? NOTHING;
      await this.#mailbox.send(call.number, call.name, [sent]);
      await this.#untilTaken(call);
      return await this.#copy(sent);
    });
  }

  async allGather(bytes: Uint8Array, options: GroupCallOptions = {}): Promise<Uint8Array[]> {
    requireBytes(bytes);
    return await this.#run("allGather", options, (call) => this.#exchange(call, [bytes]));
  }

  async allToAll(pieces: readonly Uint8Array[], options: GroupCallOptions = {}): Promise<Uint8Array[]> {
    if (pieces.length !== this.size) {
      throw new RangeError(
        `allToAll() takes one piece for each of ${this.size} ranks, found ${pieces.length}`,
      );
    }
    pieces.forEach(requireBytes);
    return await this.#run("allToAll", options, (call) => this.#exchange(call, pieces));
  }

  async abort(reason: unknown): Promise<void> {
    if (this.#isClosed || this.#hasToldAll || this.#wasTold) return;
    this.#hasToldAll = true;
    const failure = failureOf(reason);
    this.#over.abort(rankFailed(this.rank, failure));
    await this.#mailbox.abort(failure).catch(() => {});
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#over.abort(new CairnError("closed", "The group was closed; open another one"));
    await this.#mailbox.close().catch(() => {});
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** Whether another rank has said that the group is over. */
  get #wasTold(): boolean {
    const { reason } = this.#over.signal;
    return reason instanceof CairnError && reason.code === "rank_failed";
  }

  async #run<T>(
    name: GroupCallName,
    options: GroupCallOptions,
    work: (call: GroupCall) => Promise<T>,
  ): Promise<T> {
    const { signal, timeoutMs = this.#options.timeoutMs } = checkCallOptions(name, options);
    const limit = new TimeLimit({ ...this.#options, timeoutMs });
    if (this.#underWay !== undefined) {
      throw new TypeError(`Rank ${this.rank} is in ${this.#underWay}() already; await it before ${name}()`);
    }
    const over = this.#over.signal;
    throwIfAborted(over);
    this.#underWay = name;
    try {
      const either = signal === undefined ? over : AbortSignal.any([over, signal]);
      throwIfAborted(either);
      return await work({ number: this.#calls++, name, limit, signal: either });
    } catch (error) {
      this.#over.abort(error);
      throw error;
    } finally {
      this.#underWay = undefined;
    }
  }

  /** Gives pieces to all ranks and waits for those of all. */
  async #exchange(call: GroupCall, pieces: readonly Uint8Array[]): Promise<Uint8Array[]> {
    this.#broadcastsInARow = 0;
    await this.#mailbox.send(call.number, call.name, pieces);
    const received = await this.#receive(call, this.#others);
    // Who is in this call has finished all before it.
    await this.#mailbox.forget(call.number);
    const own = await this.#copy((pieces.length === 1 ? pieces[0] : pieces[this.rank]) ?? NOTHING);
    await this.#untilTaken(call);
    return Array.from({ length: this.size }, (_, rank) => received.get(rank) ?? own);
  }

  async #copy(bytes: Uint8Array): Promise<Uint8Array> {
    return await this.#mailbox.copy?.(bytes) ?? new Uint8Array(bytes);
  }

  /** Waits for the ranks that read what was passed. */
  async #untilTaken(call: GroupCall): Promise<void> {
    for (;;) {
      throwIfAborted(call.signal);
      const missing = this.#mailbox.holding?.() ?? [];
      if (missing.length === 0) return;
      await this.#waitFor(missing, call);
    }
  }

  /** @throws CairnError `rank_missing` when the time is up. */
  async #waitFor(missing: readonly number[], { name, limit, signal }: GroupCall): Promise<void> {
    const { leftMs, timeoutMs } = limit;
    if (leftMs === 0) throw rankMissing(missing, { op: name, size: this.size, timeoutMs });
    await this.#mailbox.wait(Math.min(leftMs, LONGEST_WAIT_MS), signal);
  }

  async #receive(call: GroupCall, from: readonly number[]): Promise<ReadonlyMap<number, Uint8Array>> {
    const received = new Map<number, Uint8Array>();
    for (let missing = from; missing.length > 0;) {
      throwIfAborted(call.signal);
      for (const [rank, letter] of await this.#mailbox.receive(call.number, missing)) {
        requireSameCall(call, rank, letter.call);
        received.set(rank, letter.bytes);
      }
      missing = from.filter((rank) => !received.has(rank));
      if (missing.length === 0) break;
      await this.#waitFor(missing, call);
    }
    return received;
  }
}

function requireBytes(bytes: Uint8Array | undefined): Uint8Array {
  if (bytes instanceof Uint8Array) return bytes;
  throw new TypeError(
    `A group takes the bytes of a Uint8Array, found ${bytes === undefined ? "none" : typeof bytes}`,
  );
}

function requireSameCall({ name }: GroupCall, rank: number, other: GroupCallName): void {
  if (other === name) return;
  throw new CairnError(
    "state_mismatch",
    `Rank ${rank} is in ${other}(), and this rank in ${name}(); make the same calls in the same order on every rank`,
    { details: { op: name, ranks: [rank], value: other } },
  );
}
