import { CairnError } from "../../base/errors.ts";
import { listRanks } from "../file/parts/rank_view.ts";
import { failureOf } from "./failure.ts";
import type { GroupCallOptions } from "./group_call.ts";
import type { ProcessGroup } from "./process_group.ts";
import { decodeMessage, encodeMessage, errorOfRank, type Said, type SaveMessages } from "./rank_messages.ts";

const NOTHING = new Uint8Array();

/**
 * The messages of a save, over any group: the others report to rank 0, then rank 0 tells all of them, and so on in
 * turns. A rank that fails says so in its turn, so that all stay in step and the group can be used again. Where the
 * talk itself fails, as when a rank is missing, only {@link end} is left.
 */
export class RankTalk {
  readonly #group: ProcessGroup;
  readonly #options: GroupCallOptions;
  #isRankZeroToTell = false;
  #isBroken = false;
  #hasFirstGivenUp = false;

  constructor(group: ProcessGroup, options: GroupCallOptions) {
    this.#group = group;
    this.#options = options;
  }

  /** Whether it is known that rank 0 will not commit what this rank has written. */
  get hasFirstGivenUp(): boolean {
    return this.#hasFirstGivenUp;
  }

  /** What the other ranks say to rank 0, in order of rank. */
  async hear<Kind extends keyof SaveMessages>(kind: Kind, what: string): Promise<Said<Kind>[]> {
    this.#isRankZeroToTell = true;
    return await this.#unlessBroken(
      what,
      async () => await Promise.all((await this.#hearBytes()).map((bytes) => decodeMessage(kind, bytes))),
    );
  }

  /** Says something to rank 0. */
  async say<Kind extends keyof SaveMessages>(said: Said<Kind>, what: string): Promise<void> {
    await this.#unlessBroken(
      what,
      () => this.#group.allToAll(this.#toFirst(encodeMessage(said)), this.#options),
    );
  }

  /** Tells the other ranks something, as rank 0. */
  async tell<Kind extends keyof SaveMessages>(said: Said<Kind>): Promise<void> {
    this.#isRankZeroToTell = false;
    await this.#unlessBroken("listen", () => this.#group.broadcast(0, encodeMessage(said), this.#options));
  }

  /**
   * What rank 0 tells.
   *
   * @throws CairnError with the code of rank 0's failure, when it reports one.
   */
  async listen<Kind extends keyof SaveMessages>(kind: Kind, what: string): Promise<SaveMessages[Kind]> {
    const said = await this.#unlessBroken(
      what,
      async () => await decodeMessage(kind, await this.#group.broadcast(0, undefined, this.#options)),
    );
    if (said.failure === undefined) return said.message;
    this.#hasFirstGivenUp = true;
    throw errorOfRank(0, said.failure);
  }

  /** Tells the other ranks of an error of rank 0, when they have said what they are about to say. Never throws. */
  async giveUp(error: unknown): Promise<void> {
    try {
      // Their answers are not needed.
      if (!this.#isRankZeroToTell) await this.#hearBytes();
      await this.tell({ failure: failureOf(error) });
    } catch {
      await this.#group.abort(error);
    }
  }

  /** Ends the group for all where the talk has failed of this error or another one. */
  async end(error: unknown): Promise<void> {
    if (this.#isBroken) await this.#group.abort(error);
  }

  async #hearBytes(): Promise<Uint8Array[]> {
    return (await this.#group.allToAll(this.#toFirst(NOTHING), this.#options)).slice(1);
  }

  #toFirst(bytes: Uint8Array): Uint8Array[] {
    return Array.from({ length: this.#group.size }, (_, rank) => rank === 0 ? bytes : NOTHING);
  }

  async #unlessBroken<T>(what: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      this.#isBroken = true;
      if (isOfFirst(error)) this.#hasFirstGivenUp = true;
      throw errorOfSave(error, this.#group.size, what);
    }
  }
}

/**
 * What a save rejects with when its group has failed.
 *
 * @param what What a missing rank did not do.
 */
export function errorOfSave(error: unknown, size: number, what: string): unknown {
  if (!(error instanceof CairnError)) return error;
  const { ranks = [], limit } = error.details;
  if (error.code === "rank_failed") return errorOfRank(ranks[0] ?? 0, failureOf(error.cause), error);
  if (error.code !== "rank_missing") return error;
  const problem = limit === undefined
    ? error.message
    : `${listRanks(ranks)} of ${size} did not ${what} after ${limit} ms; ` +
      "look whether that rank lives and saves into the same directory";
  return new CairnError("commit_failed", `Cannot save together: ${problem}`, {
    details: { ...error.details, op: "save" },
    cause: error,
  });
}

function isOfFirst(error: unknown): boolean {
  return error instanceof CairnError && error.code === "rank_failed" && error.details.ranks?.[0] === 0;
}
