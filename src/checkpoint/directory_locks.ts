import type { Storage } from "../storage/storage.ts";
import { type AcquireOptions, WriterLock } from "./writer_lock.ts";

/** The locks that one engine holds, one for each directory that it writes to. */
export class DirectoryLocks {
  readonly #storage: Storage;
  readonly #held = new Map<string, WriterLock>();

  constructor(storage: Storage) {
    this.#storage = storage;
  }

  /** Takes the lock of a directory, or makes sure that it is still there. @throws CairnError `locked`. */
  async hold(directory: string, options: AcquireOptions): Promise<void> {
    if (this.#held.has(directory)) return await this.assertHeld(directory);
    this.#held.set(directory, await WriterLock.acquire(this.#storage, directory, options));
  }

  /** @throws CairnError `locked` when the lock of the directory was taken and is lost. */
  async assertHeld(directory: string): Promise<void> {
    try {
      await this.#held.get(directory)?.assertHeld();
    } catch (error) {
      // The next one to hold it tries to have it again.
      this.#held.delete(directory);
      throw error;
    }
  }

  /** Gives all of them back. Never throws. */
  async release(): Promise<void> {
    for (const lock of this.#held.values()) await lock.release();
    this.#held.clear();
  }
}
