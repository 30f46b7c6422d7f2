import { type Clock, systemClock } from "../../base/clock.ts";
import { checkOptions } from "../../base/options/options.ts";
import type { Failure } from "./failure.ts";
import { GROUP_OPTIONS, type GroupCallName, type GroupOptions } from "./group_call.ts";
import { rankClosed, rankFailed } from "./group_errors.ts";
import type { Letter, Mailbox } from "./mailbox.ts";
import { MailboxGroup } from "./mailbox_group.ts";

/** What all ranks of one process share. */
class SharedMemory {
  /** By rank, then by number of the call. */
  readonly letters: readonly Map<
    number,
    { readonly call: GroupCallName; readonly pieces: readonly Uint8Array[] }
  >[];
  readonly failures = new Map<number, Failure>();
  readonly closed = new Set<number>();
  /** Another one after each change, so that none is missed. */
  #changed = new AbortController();

  constructor(size: number) {
    this.letters = Array.from({ length: size }, () => new Map());
  }

  get changed(): AbortSignal {
    return this.#changed.signal;
  }

  change(): void {
    this.#changed.abort();
    this.#changed = new AbortController();
  }
}

/** The letters of one rank, in the memory that all have. */
class MemoryMailbox implements Mailbox {
  readonly rank: number;
  readonly size: number;
  readonly #shared: SharedMemory;
  readonly #clock: Clock;
  /** Aborted by a change after the last look. */
  #changed: AbortSignal;

  constructor(shared: SharedMemory, rank: number, clock: Clock) {
    this.rank = rank;
    this.size = shared.letters.length;
    this.#shared = shared;
    this.#clock = clock;
    this.#changed = shared.changed;
  }

  send(number: number, call: GroupCallName, pieces: readonly Uint8Array[]): Promise<void> {
    this.#shared.letters[this.rank]?.set(number, {
      call,
      pieces: pieces.map((piece) => new Uint8Array(piece)),
    });
    this.#shared.change();
    return Promise.resolve();
  }

  // deno-lint-ignore require-await -- what it throws is a rejection.
  async receive(number: number, from: readonly number[]): Promise<ReadonlyMap<number, Letter>> {
    const { letters, failures, closed } = this.#shared;
    this.#changed = this.#shared.changed;
    const found = new Map<number, Letter>();
    for (const rank of from) {
      const letter = letters[rank]?.get(number);
      const piece = letter?.pieces.length === 1 ? letter.pieces[0] : letter?.pieces[this.rank];
      if (letter !== undefined) found.set(rank, { call: letter.call, bytes: new Uint8Array(piece ?? []) });
    }
    if (found.size === from.length) return found;
    for (const [rank, failure] of failures) throw rankFailed(rank, failure);
    const gone = from.find((rank) => !found.has(rank) && closed.has(rank));
    if (gone !== undefined) throw rankClosed(gone);
    return found;
  }

  async wait(atMostMs: number, signal: AbortSignal): Promise<void> {
    await this.#clock.sleep(atMostMs, AbortSignal.any([signal, this.#changed]));
  }

  forget(before: number): Promise<void> {
    const own = this.#shared.letters[this.rank];
    for (const number of own?.keys() ?? []) if (number < before) own?.delete(number);
    return Promise.resolve();
  }

  abort(failure: Failure): Promise<void> {
    this.#shared.failures.set(this.rank, failure);
    this.#shared.change();
    return Promise.resolve();
  }

  close(): Promise<void> {
    this.#shared.closed.add(this.rank);
    this.#shared.change();
    return Promise.resolve();
  }
}

/** See `ProcessGroup.inMemory`. */
export function openInMemory(size: number, options: GroupOptions = {}): MailboxGroup[] {
  const { clock = systemClock } = checkOptions("ProcessGroup.inMemory()", options, GROUP_OPTIONS);
  if (!(Number.isSafeInteger(size) && size >= 1)) {
    throw new RangeError(`A group of ${size} ranks; expected a number of ranks from 1`);
  }
  const shared = new SharedMemory(size);
  return shared.letters.map((_, rank) => new MailboxGroup(new MemoryMailbox(shared, rank, clock), options));
}
