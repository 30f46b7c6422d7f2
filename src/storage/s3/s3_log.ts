import { CairnError } from "../../base/errors.ts";
import { randomHex } from "../../base/hex.ts";
import {
  decodeEntry,
  EMPTY_LOG,
  encodeEntry,
  entryAfter,
  includes,
  keyOfEntry,
  LOG_PREFIX,
  type LogEntry,
  type LoggedFile,
  numberOfEntry,
} from "./log_entry.ts";
import type { S3Client } from "./s3_client.ts";
import { createOnce, getObject, listObjects } from "./s3_objects.ts";

/** Files by path. */
export type LoggedFiles = ReadonlyMap<string, LoggedFile>;

/** How often a writer that others overtake makes its change anew. */
const MOST_REBASES = 100;

/** A commit of which nobody knows whether it was made: what it names has to stay. */
export class UncertainCommit extends CairnError {}

/**
 * Which files there are: numbered entries that each list all of them. The one with the highest number is the truth.
 * An entry is created under a number that nothing has yet, which only one writer can, in one step. That is the commit.
 */
export class S3Log {
  readonly #client: S3Client;
  #known: LogEntry = EMPTY_LOG;

  constructor(client: S3Client) {
    this.#client = client;
  }

  /** The newest entry of the last look. */
  get known(): LogEntry {
    return this.#known;
  }

  /** The newest entry there is now. */
  async newest(): Promise<LogEntry> {
    for (let looks = 1;; looks++) {
      const number = await this.#highestNumber();
      if (number === this.#known.number) return this.#known;
      const entry = await this.entry(number);
      if (entry !== undefined) return this.#known = entry;
      // Collected between the two requests: then there are newer ones.
      if (looks === MOST_REBASES) throw this.#overtaken("read");
    }
  }

  /** One entry, whatever its number; `undefined` where there is none. @throws CairnError for a damaged one. */
  async entry(number: number): Promise<LogEntry | undefined> {
    const key = keyOfEntry(number);
    for (let attempt = 1;; attempt++) {
      const bytes = await getObject(this.#client, key);
      if (bytes === undefined) return undefined;
      try {
        return decodeEntry(bytes, number, this.#client.describe(key));
      } catch (error) {
        // Perhaps damaged on the way only.
        if (attempt >= this.#client.attempts) throw error;
        await this.#client.pause(attempt);
      }
    }
  }

  /** The numbers of all entries that there are, lowest first. */
  async numbers(): Promise<number[]> {
    const { objects } = await listObjects(this.#client, LOG_PREFIX);
    return objects.flatMap(({ key }) => numberOfEntry(key) ?? []);
  }

  /**
   * Makes a change exist. It is made anew on the newest entry each time another writer was faster.
   *
   * @param change Gives the files that there are to be, or throws when the change cannot be made any more.
   * @returns The entry that it became.
   * @throws UncertainCommit where nobody can say whether it was made; CairnError `locked` when so many others wrote
   * meanwhile that this writer's number had been taken and collected: it was not made.
   */
  async append(change: (files: LoggedFiles) => LoggedFiles): Promise<LogEntry> {
    const nonce = randomHex(16);
    let base = await this.newest();
    for (let rebases = 0; rebases < MOST_REBASES; rebases++) {
      const entry = entryAfter(base, nonce, change(base.files));
      const key = keyOfEntry(entry.number);
      const created = await createOnce(this.#client, key, encodeEntry(entry)); // COMMIT POINT
      if (created.outcome === "unknown") throw uncertain(this.#client.describe(key), created.error);
      if (created.outcome === "created") return await this.#confirm(entry);
      base = decodeEntry(created.bytes, entry.number, this.#client.describe(key));
      // Others may be further by now.
      if (rebases > 0) base = await this.newest();
      else this.#known = base;
    }
    throw this.#overtaken("write");
  }

  /**
   * The number of an entry that was collected is free again. A writer that slept for so long creates its entry, and
   * finds here that a higher one does not follow from it.
   */
  async #confirm(ours: LogEntry): Promise<LogEntry> {
    const key = this.#client.describe(keyOfEntry(ours.number));
    this.#known = ours;
    let newest: LogEntry;
    try {
      newest = await this.newest();
    } catch (error) {
      if (error instanceof CairnError) throw uncertain(key, error);
      throw error;
    }
    const isIn = includes(newest, ours);
    if (isIn === true) return ours;
    const error = new CairnError(
      "locked",
      `Cannot commit "${key}": other writers are at ${newest.number} already and know nothing of it; ` +
        "nothing was changed. Look which process writes there, and save again",
      { details: { op: "commit", path: key, value: newest.number } },
    );
    throw isIn === undefined ? uncertain(key, error) : error;
  }

  async #highestNumber(): Promise<number> {
    const from = this.#known.number;
    // From the one before, so that a log that was removed by hand is noticed.
    const options = from > 1 ? { startAfter: keyOfEntry(from - 1) } : {};
    const { objects } = await listObjects(this.#client, LOG_PREFIX, options);
    const numbers = objects.flatMap(({ key }) => numberOfEntry(key) ?? []);
    if (numbers.length === 0 && from > 0) this.#known = EMPTY_LOG;
    if (numbers.length === 0 && from > 1) return await this.#highestNumber();
    return numbers.reduce((highest, number) => Math.max(highest, number), 0);
  }

  #overtaken(op: string): CairnError {
    const path = this.#client.describe(LOG_PREFIX);
    return new CairnError("locked", `Cannot ${op} "${path}": ${MOST_REBASES} others were faster; try again`, {
      details: { op, path },
    });
  }
}

function uncertain(path: string, cause: CairnError): UncertainCommit {
  return new UncertainCommit(
    "commit_failed",
    `Nobody can say whether "${path}" was committed: ${cause.message}. List the checkpoints when the store answers; ` +
      "saving again is safe",
    { details: { op: "commit", path }, cause },
  );
}
