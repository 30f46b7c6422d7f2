import { randomHex } from "../../../base/hex.ts";
import { failureOf } from "../failure.ts";
import { TimeLimit } from "../group_call.ts";
import { rankFailed, rankMissing } from "../group_errors.ts";
import type { MessageDirectory } from "./message_directory.ts";
import { asState, MESSAGE, parseSessionMessage } from "./session_messages.ts";
import type { Seat } from "./seat.ts";

/** How long rank 0 stays, at most, to tell the others why it cannot begin. */
const MOST_TELLING_MS = 60_000;

/**
 * Another rank that waits for rank 0. It says so itself, with a nonce, since a rank 0 that cannot begin must not
 * call: the directory may belong to another group.
 */
export class WaitingRank {
  readonly #messages: MessageDirectory;
  readonly #rank: number;
  readonly #nonce = randomHex(8);

  private constructor(messages: MessageDirectory, rank: number) {
    this.#messages = messages;
    this.#rank = rank;
  }

  static async begin(messages: MessageDirectory, rank: number): Promise<WaitingRank> {
    const waiting = new WaitingRank(messages, rank);
    await messages.send(MESSAGE.waiting(rank), asState({ nonce: waiting.#nonce }));
    return waiting;
  }

  /** @throws CairnError `rank_failed` with the reason of rank 0, when it does not begin. */
  async assertNotRefused(): Promise<void> {
    const refusal = parseSessionMessage("givenUp", await this.#messages.receive(MESSAGE.refused));
    if (refusal?.nonces.includes(this.#nonce)) throw rankFailed(0, refusal);
  }

  /** Waits no more; to rank 0 that is the answer to a refusal. Never throws. */
  async end(): Promise<void> {
    await this.#messages.takeBack(MESSAGE.waiting(this.#rank));
  }
}

/**
 * Tells all other ranks why rank 0 does not begin, as each of them comes to wait, and resolves when all have heard
 * it. It stays a minute at most, as a rank may never come.
 *
 * @throws CairnError `rank_missing` when the time is up; of the storage.
 */
export async function refuseOthers(seat: Seat, error: unknown): Promise<void> {
  const { messages, size, signal, options } = seat;
  const limit = new TimeLimit({
    ...options,
    timeoutMs: Math.min(options.timeoutMs ?? MOST_TELLING_MS, MOST_TELLING_MS),
  });
  const told = new Map<number, string>();
  const gone = new Set<number>();
  const others = Array.from({ length: size - 1 }, (_, index) => index + 1);
  try {
    await messages.until(async () => {
      let isNew = false;
      for (const rank of others) {
        const waiting = parseSessionMessage("waiting", await messages.receive(MESSAGE.waiting(rank)));
        if (waiting === undefined) {
          if (told.has(rank)) gone.add(rank);
        } else if (waiting.nonce !== told.get(rank)) {
          // Another one than before: what was told was what a killed process had left.
          told.set(rank, waiting.nonce);
          isNew = true;
        }
      }
      const refusal = { ...failureOf(error), nonces: [...told.values()] };
      if (isNew) await messages.send(MESSAGE.refused, asState(refusal));
      return gone.size === others.length ? true : undefined;
    }, {
      limit,
      signal,
      timeUp: () =>
        rankMissing(others.filter((rank) => !gone.has(rank)), {
          op: "refusing the other ranks",
          size,
          timeoutMs: limit.timeoutMs,
        }),
    });
  } finally {
    await messages.takeBack(MESSAGE.refused);
  }
}
