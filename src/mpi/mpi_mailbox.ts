import type { Clock } from "../base/clock.ts";
import { CairnError, type CairnErrorCode } from "../base/errors.ts";
import type { Failure } from "../checkpoint/ranks/failure.ts";
import type { GroupCallName } from "../checkpoint/ranks/group_call.ts";
import { rankClosed, rankFailed } from "../checkpoint/ranks/group_errors.ts";
import type { Letter, Mailbox } from "../checkpoint/ranks/mailbox.ts";
import { type Heading, MESSAGE } from "./thread/protocol.ts";

/** Calls, by the number that stands in a message's head. */
const CALLS: readonly GroupCallName[] = ["barrier", "broadcast", "allGather", "allToAll"];

/** What brings a mailbox's messages to the other ranks. */
export interface Carrier {
  readonly rank: number;
  readonly size: number;
  readonly clock: Clock;
  /** Payloads up to this length are copied; the memory of longer ones is lent. */
  readonly inlineBytes: number;
  send(to: readonly number[], heading: Heading, bytes: Uint8Array): void;
  /** @param taken Called with each rank that has taken it. The bytes stay as they are until all have. */
  lend(to: readonly number[], heading: Heading, bytes: Uint8Array, taken: (by: number) => void): void;
  copy(bytes: Uint8Array): Promise<Uint8Array>;
  /** Says that somebody waits for messages until `wait` is over. */
  whileAwaited<T>(wait: Promise<T>): Promise<T>;
  /** @throws CairnError when MPI has failed. */
  check(): void;
  /** The group of this number is over on this rank. */
  drop(group: number): void;
}

/** The letters of one group over MPI. */
export class MpiMailbox implements Mailbox {
  readonly rank: number;
  readonly size: number;
  readonly #carrier: Carrier;
  readonly #group: number;
  readonly #others: readonly number[];
  /** By rank, then by number of the call. */
  readonly #letters: readonly Map<number, Letter>[];
  readonly #failures = new Map<number, Failure>();
  readonly #closed = new Set<number>();
  /** Ranks that have not taken what was sent them, by how many messages. */
  readonly #holding = new Map<number, number>();
  #changed = new AbortController();
  /** Aborted by a change after the last look. */
  #lookAgain: AbortSignal = this.#changed.signal;

  constructor(carrier: Carrier, group: number) {
    this.rank = carrier.rank;
    this.size = carrier.size;
    this.#carrier = carrier;
    this.#group = group;
    this.#letters = Array.from({ length: carrier.size }, () => new Map());
    this.#others = [...this.#letters.keys()].filter((rank) => rank !== carrier.rank);
  }

  /** A message has come. */
  take(from: number, { kind, number, call }: Heading, bytes: Uint8Array): void {
    if (kind === MESSAGE.failure) this.#failures.set(from, failureIn(bytes));
    else if (kind === MESSAGE.closing) this.#closed.add(from);
    else this.#letters[from]?.set(number, { call: CALLS[call] ?? "barrier", bytes });
    this.change();
  }

  /** Something has happened for which a wait should end. */
  change(): void {
    this.#changed.abort();
    this.#changed = new AbortController();
  }

  // deno-lint-ignore require-await -- what it throws is a rejection.
  async send(number: number, call: GroupCallName, pieces: readonly Uint8Array[]): Promise<void> {
    this.#carrier.check();
    const heading = { kind: MESSAGE.letter, group: this.#group, number, call: CALLS.indexOf(call) };
    const [first] = pieces;
    if (pieces.length === 1 && first !== undefined) return this.#sendTo(this.#others, heading, first);
    for (const rank of this.#others) this.#sendTo([rank], heading, pieces[rank] ?? new Uint8Array());
  }

  // deno-lint-ignore require-await -- what it throws is a rejection.
  async receive(number: number, from: readonly number[]): Promise<ReadonlyMap<number, Letter>> {
    this.#lookAgain = this.#changed.signal;
    const found = new Map<number, Letter>();
    for (const rank of from) {
      const letter = this.#letters[rank]?.get(number);
      if (letter === undefined) continue;
      found.set(rank, letter);
      this.#letters[rank]?.delete(number);
    }
    if (found.size === from.length) return found;
    this.#carrier.check();
    for (const [rank, failure] of this.#failures) throw rankFailed(rank, failure);
    const gone = from.find((rank) => !found.has(rank) && this.#closed.has(rank));
    if (gone !== undefined) throw rankClosed(gone);
    return found;
  }

  holding(): readonly number[] {
    this.#lookAgain = this.#changed.signal;
    this.#carrier.check();
    return [...this.#holding.keys()];
  }

  copy(bytes: Uint8Array): Promise<Uint8Array> {
    return this.#carrier.copy(bytes);
  }

  async wait(atMostMs: number, signal: AbortSignal): Promise<void> {
    const { clock } = this.#carrier;
    await this.#carrier.whileAwaited(clock.sleep(atMostMs, AbortSignal.any([signal, this.#lookAgain])));
  }

  forget(): Promise<void> {
    return Promise.resolve();
  }

  abort(failure: Failure): Promise<void> {
    this.#tellAll(MESSAGE.failure, bytesOf(failure, this.#carrier.inlineBytes));
    return Promise.resolve();
  }

  close(): Promise<void> {
    this.#tellAll(MESSAGE.closing, new Uint8Array());
    this.#carrier.drop(this.#group);
    return Promise.resolve();
  }

  #tellAll(kind: number, bytes: Uint8Array): void {
    this.#carrier.send(this.#others, { kind, group: this.#group, number: 0, call: 0 }, bytes);
  }

  #sendTo(to: readonly number[], heading: Heading, bytes: Uint8Array): void {
    if (to.length === 0) return;
    if (bytes.byteLength <= this.#carrier.inlineBytes) return this.#carrier.send(to, heading, bytes);
    for (const rank of to) this.#holding.set(rank, (this.#holding.get(rank) ?? 0) + 1);
    this.#carrier.lend(to, heading, bytes, (by) => {
      const left = (this.#holding.get(by) ?? 1) - 1;
      if (left === 0) this.#holding.delete(by);
      else this.#holding.set(by, left);
      this.change();
    });
  }
}

/** A failure as a text of two lines or more, which is cut where it is too long. */
function bytesOf({ code, message }: Failure, mostBytes: number): Uint8Array {
  return new TextEncoder().encode(`${code}\n${message}`).subarray(0, mostBytes);
}

function failureIn(bytes: Uint8Array): Failure {
  const text = new TextDecoder().decode(bytes);
  const end = text.indexOf("\n");
  return { code: text.slice(0, end) as CairnErrorCode, message: text.slice(end + 1) };
}

/** The error when MPI itself has failed on a rank. */
export function mpiFailed(rank: number, message: string): CairnError {
  return new CairnError("rank_failed", `MPI has failed on rank ${rank}: ${message}`, {
    details: { op: "mpi", ranks: [rank] },
  });
}
