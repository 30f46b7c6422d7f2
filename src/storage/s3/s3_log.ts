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
  type LogContent,
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

/** For so long a writer need not look again before it commits: whoever was faster has its number. */
const FRESH_MS = 10_000;

/** A commit of which nobody knows whether it was made: what it names has to stay. */
export class UncertainCommit extends CairnError {}

/**
 * Which files there are: numbered entries that each list all of them. The one with the highest number is the truth.
 * An entry is created under a number that nothing has yet, which only one writer can, in one step. That is the commit.
 */
export class S3Log {
  readonly #client: S3Client;
  /** Directories that this process has taken over, with its tokens. */
  readonly #claims = new Map<string, string>();
  #known: LogEntry = EMPTY_LOG;
  /** When that was the newest one, by this machine's clock. */
  #lookedMs = -Infinity;

  constructor(client: S3Client) {
    this.#client = client;
  }

  /** The newest entry of the last look. */
  get known(): LogEntry {
    return this.#known;
  }

  /** Whether that look was so lately that a change can be tried on it: whoever was faster is found when it is made. */
  get isFresh(): boolean {
    const age = this.#client.clock.now() - this.#lookedMs;
    return age >= 0 && age < FRESH_MS;
  }

  /** The newest entry there is now. */
  async newest(): Promise<LogEntry> {
    for (let looks = 1;; looks++) {
      const nowMs = this.#client.clock.now();
      const number = await this.#highestNumber();
      const entry = number === this.#known.number ? this.#known : await this.entry(number);
      if (entry !== undefined) {
        this.#lookedMs = nowMs;
        return this.#known = entry;
      }
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
   * @param path What is changed. @param change Gives the files that there are to be, or throws when the change cannot
   * be made any more.
   * @throws UncertainCommit where nobody can say whether it was made; CairnError `locked`, and nothing was made, when
   * another writer has taken over a directory that this one has claimed, or when so many others wrote meanwhile that
   * this writer's number had been taken and collected.
   */
  async append(path: string, change: (files: LoggedFiles) => LoggedFiles): Promise<void> {
    await this.#append((base) => {
      this.#requireOwned(base, path);
      return { files: change(base.files), owners: base.owners };
    });
  }

  /**
   * Takes a directory over: whoever had claimed it before commits nothing there from now on.
   *
   * @returns What gives it back, so that this process may write there beside others again.
   */
  async claim(directory: string, token: string): Promise<() => void> {
    await this.#append(({ files, owners }) => ({ files, owners: new Map(owners).set(directory, token) }));
    this.#claims.set(directory, token);
    return () => void (this.#claims.get(directory) === token && this.#claims.delete(directory));
  }

  async #append(contentAfter: (base: LogEntry) => LogContent): Promise<void> {
    const nonce = randomHex(16);
    let mayBeLate = this.isFresh && isPossible(() => contentAfter(this.#known));
    let base = mayBeLate ? this.#known : await this.newest();
    for (let rebases = 0; rebases < MOST_REBASES; rebases++) {
      const entry = entryAfter(base, nonce, contentAfter(base));
      const key = keyOfEntry(entry.number);
      const created = await createOnce(this.#client, key, encodeEntry(entry)); // COMMIT POINT
      if (created.outcome === "unknown") throw uncertain(this.#client.describe(key), created.error);
      if (created.outcome === "created") {
        mayBeLate &&= this.isFresh;
        const newest = await this.#newestAfter(entry);
        if (newest === undefined) return;
        if (!mayBeLate) throw this.#fenced(key, newest);
        // So many were faster since the last look that the number was free again: the change is made anew.
        mayBeLate = false;
        base = newest;
        continue;
      }
      base = decodeEntry(created.bytes, entry.number, this.#client.describe(key));
      // Others may be further by now.
      if (rebases > 0) base = await this.newest();
      else this.#known = base;
    }
    throw this.#overtaken("write");
  }

  #requireOwned({ number, owners }: LogEntry, path: string): void {
    for (const [directory, token] of this.#claims) {
      const isInside = directory === "" || path.startsWith(`${directory}/`);
      if (!isInside || owners.get(directory) === token) continue;
      const [file, place] = [path, directory].map((each) => this.#client.describe(each));
      throw new CairnError(
        "locked",
        `Cannot commit "${file}": another process has taken over "${place}", as entry ${number} of its log says; ` +
          "nothing was changed. Make sure that one process writes there, and open a new engine",
        { details: { op: "commit", path: file ?? path, value: number } },
      );
    }
  }

  /**
   * The number of an entry that was collected is free again. A writer that slept for so long creates its entry, and
   * finds here that a higher one does not follow from it.
   *
   * @returns That higher one.
   */
  async #newestAfter(ours: LogEntry): Promise<LogEntry | undefined> {
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
    if (isIn === undefined) throw uncertain(key, this.#fenced(keyOfEntry(ours.number), newest));
    return isIn ? undefined : newest;
  }

  #fenced(key: string, { number }: LogEntry): CairnError {
    const path = this.#client.describe(key);
    return new CairnError(
      "locked",
      `Cannot commit "${path}": other writers are at ${number} already and know nothing of it; ` +
        "nothing was changed. Look which process writes there, and save again",
      { details: { op: "commit", path, value: number } },
    );
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

/** Whether a change can be made on what may be outdated; if not, only the newest entry says why. */
function isPossible(change: () => LogContent): boolean {
  try {
    return change() !== undefined;
  } catch (error) {
    if (error instanceof CairnError) return false;
    throw error;
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
