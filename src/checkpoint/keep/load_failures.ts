import { CairnError } from "../../base/errors.ts";
import { joinPath } from "../../storage/storage_path.ts";
import type { CheckpointFolder } from "../engine/checkpoint_folder.ts";
import type { Engine } from "../engine/engine.ts";
import { readSmallFile, writeSmallFile } from "../file/small_file.ts";

/** The directory beside the checkpoints that counts how often each failed to load. */
export const FAILED_LOADS_DIRECTORY = "failed_loads";

/**
 * Counts how often a checkpoint failed to load, across processes: the count is durable before the attempt begins, so
 * that it also counts the attempts that took the process down. It is of one file: what is overwritten begins at 0.
 *
 * Where nothing can be written, nothing is counted: a checkpoint can be loaded from a read-only disk.
 */
export class LoadFailures {
  readonly #folder: CheckpointFolder | undefined;

  /** Those of an engine's checkpoints. An engine without folders has none. */
  constructor({ folders: [folder] }: Engine) {
    this.#folder = folder;
  }

  /** How many attempts to load this very file were begun and not forgotten. */
  async count(tag: string, fileId: string): Promise<number> {
    if (this.#folder === undefined) return 0;
    const found = await readSmallFile(this.#folder.storage, pathOf(this.#folder, tag));
    if (typeof found !== "object" || found === null || Array.isArray(found)) return 0;
    const { failures } = found;
    return found.fileId === fileId && typeof failures === "number" ? failures : 0;
  }

  /** Sets the count, durably; 0 forgets it. */
  async record(tag: string, fileId: string, failures: number): Promise<void> {
    if (this.#folder === undefined) return;
    const { storage } = this.#folder;
    try {
      if (failures > 0) await writeSmallFile(storage, pathOf(this.#folder, tag), { fileId, failures });
      else await storage.remove(pathOf(this.#folder, tag));
    } catch (error) {
      if (!(error instanceof CairnError)) throw error;
    }
  }

  /** Removes the counts of checkpoints that are gone. */
  async forget(tags: readonly string[]): Promise<void> {
    if (this.#folder === undefined) return;
    const { storage, directory } = this.#folder;
    const there = new Set(
      (await storage.list(joinPath(directory, FAILED_LOADS_DIRECTORY))).map(({ name }) => name),
    );
    for (const tag of tags) if (there.has(`${tag}.json`)) await this.record(tag, "", 0);
  }
}

function pathOf({ directory }: CheckpointFolder, tag: string): string {
  return joinPath(joinPath(directory, FAILED_LOADS_DIRECTORY), `${tag}.json`);
}
