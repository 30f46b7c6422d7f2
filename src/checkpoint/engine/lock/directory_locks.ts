import type { Storage } from "../../../storage/storage.ts";
import type { FileMaker } from "../file_maker.ts";
import type { WriterLockOptions } from "./writer_lock_options.ts";
import { requireLockOf, WriterLock } from "./writer_lock.ts";

/**
 * The locks that one engine holds, one for each directory that it writes to; none at all where they are not asked
 * for.
 */
export class DirectoryLocks {
  readonly #storage: Storage;
  readonly #files: FileMaker;
  readonly #options: WriterLockOptions | undefined;
  readonly #held = new Map<string, WriterLock>();

  /** @param exclusive As in `FileEngineOptions`. @param files Says which run it is. */
  constructor(storage: Storage, files: FileMaker, exclusive: boolean | WriterLockOptions = false) {
    this.#storage = storage;
    this.#files = files;
    this.#options = typeof exclusive === "object" ? exclusive : exclusive ? {} : undefined;
  }

  /** Takes the lock of a directory, or makes sure that it is still there. @throws CairnError `locked`. */
  async hold(directory: string): Promise<void> {
    if (this.#options === undefined) return;
    await this.#storage.makeDirectory(directory);
    if (this.#held.has(directory)) return await this.assertHeld(directory);
    const { runId, now } = this.#files;
    const random = (): string => this.#files.randomHex(8);
    const lock = await WriterLock.acquire(this.#storage, directory, { ...this.#options, runId, now, random });
    this.#held.set(directory, lock);
  }

  /** @throws CairnError `locked` when the lock of the directory was taken and is lost. */
  async assertHeld(directory: string): Promise<void> {
    try {
      await this.#held.get(directory)?.assertHeld();
    } catch (error) {
      // The next call tries to take it again.
      this.#held.delete(directory);
      throw error;
    }
  }

  /** For a process that writes while another one holds the lock. @throws CairnError `locked` unless that run does. */
  async requireHeldBy(runId: string, directory: string): Promise<void> {
    if (this.#options !== undefined) await requireLockOf(this.#storage, directory, runId);
  }

  /** Gives all of them back. Never throws. */
  async release(): Promise<void> {
    for (const lock of this.#held.values()) await lock.release();
    this.#held.clear();
  }
}
