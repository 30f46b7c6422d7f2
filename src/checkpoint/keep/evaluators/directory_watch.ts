import { throwIfAborted } from "../../../base/abort.ts";
import type { Clock } from "../../../base/clock.ts";
import { nodeBuiltin } from "../../../base/node_builtin.ts";
import { FileStorage } from "../../../storage/file_storage.ts";
import type { CheckpointFolder } from "../../engine/checkpoint_folder.ts";

/**
 * Ends a wait early when a file of a directory changes. It only helps: some file systems and networks cannot be
 * watched, and the directory need not exist yet. So a caller also looks again after some time.
 *
 * Call {@link DirectoryWatch.arm} before looking, and {@link DirectoryWatch.wait} when there was nothing: what
 * changes between the two ends the wait at once.
 */
export class DirectoryWatch {
  readonly #path: string | undefined;
  readonly #matches: (name: string) => boolean;
  #watcher: { close(): void } | undefined;
  #hasChanged = false;
  #wake: () => void = () => {};

  /** @param matches Which names matter; a save alone makes many changes to a temporary file. */
  constructor(folder: CheckpointFolder | undefined, matches: (name: string) => boolean) {
    this.#path = folder?.storage instanceof FileStorage
      ? folder.storage.describe(folder.directory)
      : undefined;
    this.#matches = matches;
  }

  /** Begins to watch, where that can be done and is not being done, and forgets earlier changes. */
  arm(): void {
    this.#hasChanged = false;
    if (this.#path === undefined || this.#watcher !== undefined) return;
    try {
      const watcher = nodeBuiltin("node:fs")?.watch(this.#path, { persistent: false }, (_, name) => {
        if (name !== null && !this.#matches(name)) return;
        this.#hasChanged = true;
        this.#wake();
      });
      watcher?.on("error", () => this.close());
      this.#watcher = watcher;
    } catch {
      // It is not there yet, or may not be watched.
    }
  }

  /**
   * Waits for so long, or until something changed since {@link arm}. Throws the signal's reason when that is aborted.
   */
  async wait(clock: Clock, ms: number, signal: AbortSignal | undefined): Promise<void> {
    throwIfAborted(signal);
    if (this.#hasChanged) return;
    const stop = new AbortController();
    const end = (): void => stop.abort();
    this.#wake = end;
    signal?.addEventListener("abort", end);
    await clock.sleep(ms, stop.signal);
    signal?.removeEventListener("abort", end);
    this.#wake = () => {};
    throwIfAborted(signal);
  }

  /** Stops watching. Safe to call twice. */
  close(): void {
    this.#watcher?.close();
    this.#watcher = undefined;
  }
}
