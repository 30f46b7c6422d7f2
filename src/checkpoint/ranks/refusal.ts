import { randomHex } from "../../base/hex.ts";
import type { RankExchange } from "./rank_exchange.ts";
import { asState, errorOfRank, failureOf, parseMessage } from "./rank_messages.ts";

/** How long the first rank stays, at most, to tell the others why it cannot save. */
export const MOST_TELLING_MS = 60_000;

const REFUSED = "refused";

/**
 * Another rank that waits until the first one says what to write. It says so itself, with a nonce, since a first rank that cannot even
 * begin must not call: the directory may be somebody else's.
 */
export class WaitingRank {
  readonly #exchange: RankExchange;
  readonly #rank: number;
  readonly #nonce = randomHex(8);

  private constructor(exchange: RankExchange, rank: number) {
    this.#exchange = exchange;
    this.#rank = rank;
  }

  static async begin(exchange: RankExchange, rank: number): Promise<WaitingRank> {
    const waiting = new WaitingRank(exchange, rank);
    await exchange.send(waitingName(rank), asState({ nonce: waiting.#nonce }));
    return waiting;
  }

  /** @throws CairnError with the code of what the first rank failed of, when it does not begin. */
  async assertNotRefused(): Promise<void> {
    const refusal = parseMessage("givenUp", await this.#exchange.receive(REFUSED));
    if (refusal?.nonces.includes(this.#nonce)) throw errorOfRank(0, refusal);
  }

  /** Waits no more; to the first rank that is the answer to a refusal. Never throws. */
  async end(): Promise<void> {
    await this.#exchange.takeBack(waitingName(this.#rank));
  }
}

/**
 * Tells all other ranks why the first one does not begin, as each of them comes to wait, and resolves when all have heard it.
 *
 * @param exchange One whose time is up soon, as a rank may never come.
 * @throws CairnError `commit_failed` when the time is up; of the storage.
 */
export async function refuseOthers(exchange: RankExchange, worldSize: number, error: unknown): Promise<void> {
  const told = new Map<number, string>();
  const gone = new Set<number>();
  try {
    await exchange.until(async () => {
      let isNew = false;
      for (let rank = 1; rank < worldSize; rank++) {
        const waiting = parseMessage("waiting", await exchange.receive(waitingName(rank)));
        if (waiting === undefined) {
          if (told.has(rank)) gone.add(rank);
        } else if (waiting.nonce !== told.get(rank)) {
          // Another one than before: what was told was what a killed process had left.
          told.set(rank, waiting.nonce);
          isNew = true;
        }
      }
      const refusal = { ...failureOf(error), nonces: [...told.values()] };
      if (isNew) await exchange.send(REFUSED, asState(refusal));
      return gone.size === worldSize - 1 ? true : undefined;
    }, () => "not all ranks came to hear why rank 0 cannot save");
  } finally {
    await exchange.takeBack(REFUSED);
  }
}

function waitingName(rank: number): string {
  return `waiting-${rank}`;
}
