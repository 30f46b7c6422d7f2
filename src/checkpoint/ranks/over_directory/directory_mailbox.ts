import type { CairnError } from "../../../base/errors.ts";
import type { Failure } from "../failure.ts";
import type { GroupCallName } from "../group_call.ts";
import { rankClosed, rankFailed } from "../group_errors.ts";
import type { Letter, Mailbox } from "../mailbox.ts";
import { isCalledAgain } from "./rendezvous.ts";
import type { Seat } from "./seat.ts";
import type { MessageDirectory } from "./message_directory.ts";
import { asState, MESSAGE, parseSessionMessage } from "./session_messages.ts";

/** The name of a letter's bytes for all ranks, or for one of them. */
const FOR_ALL = "all";
const forRank = (rank: number): string => `rank-${rank}`;

/** The letters of one rank, as files. */
export class DirectoryMailbox implements Mailbox {
  readonly rank: number;
  readonly size: number;
  readonly #messages: MessageDirectory;
  readonly #session: string;
  /** Numbers of calls whose letters are still there. */
  readonly #kept = new Set<number>();
  #calledAgain: CairnError | undefined;

  constructor({ messages, rank, size }: Seat, session: string) {
    this.rank = rank;
    this.size = size;
    this.#messages = messages;
    this.#session = session;
  }

  /** What a call of this rank has failed of, when rank 0 was stopped and opens the group anew. */
  get calledAgain(): CairnError | undefined {
    return this.#calledAgain;
  }

  async send(number: number, call: GroupCallName, pieces: readonly Uint8Array[]): Promise<void> {
    this.#kept.add(number);
    const attachments: Record<string, Uint8Array> = {};
    for (const [rank, piece] of pieces.entries()) {
      if (piece.byteLength > 0) attachments[pieces.length === 1 ? FOR_ALL : forRank(rank)] = piece;
    }
    await this.#messages.send(this.#letterOf(number, this.rank), asState({ call }), attachments);
  }

  async receive(number: number, from: readonly number[]): Promise<ReadonlyMap<number, Letter>> {
    // Before the letters: what rank 0 left before it called again is there by then.
    const isAnew = this.rank !== 0 && await isCalledAgain(this.#messages, this.#session);
    const names = await this.#messages.names();
    const found = new Map<number, Letter>();
    for (const rank of from) {
      const letter = names.has(this.#letterOf(number, rank)) ? await this.#read(number, rank) : undefined;
      if (letter !== undefined) found.set(rank, letter);
    }
    if (found.size < from.length) await this.#assertAllAlive(names, isAnew);
    for (const rank of from) {
      if (found.has(rank) || !names.has(MESSAGE.closed(this.#session, rank))) continue;
      // A list may show what came while it was made, and not what came before.
      const letter = await this.#read(number, rank);
      if (letter === undefined) throw rankClosed(rank);
      found.set(rank, letter);
    }
    return found;
  }

  async wait(atMostMs: number, signal: AbortSignal): Promise<void> {
    await this.#messages.pause(atMostMs, signal);
  }

  async forget(before: number): Promise<void> {
    for (const number of this.#kept) {
      if (number >= before) continue;
      this.#kept.delete(number);
      await this.#messages.takeBack(this.#letterOf(number, this.rank));
    }
  }

  async abort(failure: Failure): Promise<void> {
    await this.#messages.send(MESSAGE.failed(this.#session, this.rank), asState(failure));
  }

  async close(): Promise<void> {
    await this.#messages.send(MESSAGE.closed(this.#session, this.rank), undefined);
    const names = await this.#messages.names();
    const isLast = Array.from({ length: this.size }, (_, rank) => MESSAGE.closed(this.#session, rank))
      .every((name) => names.has(name));
    if (isLast) await this.#messages.clear((name) => name.startsWith(this.#session));
  }

  async #assertAllAlive(names: ReadonlySet<string>, isAnew: boolean): Promise<void> {
    for (let rank = 0; rank < this.size; rank++) {
      const name = MESSAGE.failed(this.#session, rank);
      if (!names.has(name)) continue;
      const failure = parseSessionMessage("failed", await this.#messages.receive(name));
      if (failure !== undefined) throw rankFailed(rank, failure);
    }
    if (!isAnew) return;
    this.#calledAgain = rankFailed(0, {
      code: "commit_failed",
      message: "it was stopped, and has begun anew",
    });
    throw this.#calledAgain;
  }

  async #read(number: number, rank: number): Promise<Letter | undefined> {
    return await this.#messages.read(this.#letterOf(number, rank), async (reader) => {
      const head = parseSessionMessage("letter", reader.manifest.state);
      if (head === undefined) return undefined;
      const name = [FOR_ALL, forRank(this.rank)].find((name) => reader.has(name));
      return { call: head.call, bytes: name === undefined ? new Uint8Array() : await reader.read(name) };
    });
  }

  #letterOf(number: number, rank: number): string {
    return MESSAGE.letter(this.#session, number, rank);
  }
}
