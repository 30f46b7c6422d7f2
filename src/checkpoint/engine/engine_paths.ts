import type { Storage } from "../../storage/storage.ts";
import { joinPath } from "../../storage/storage_path.ts";
import type { CommitInfo } from "./commit_info.ts";
import { checkTag, fileNameOf } from "../file/tags.ts";

/**
 * Where an engine's checkpoints are: one file each, in one directory of a storage unless its commit info says another
 * one.
 */
export class EnginePaths {
  readonly #storage: Storage;
  readonly #directory: string;

  constructor(storage: Storage, directory: string) {
    this.#storage = storage;
    this.#directory = directory;
  }

  /** See `Engine.location`. */
  get location(): string {
    return this.#storage.describe(joinPath(this.#directory, "x")).slice(0, -1);
  }

  /** The directory inside the storage that a checkpoint is made in. */
  directoryOf({ saveDir }: CommitInfo): string {
    return saveDir === "" ? this.#directory : saveDir;
  }

  /** The file of a checkpoint that is made. */
  fileOf(info: CommitInfo): string {
    return joinPath(this.directoryOf(info), fileNameOf(info.tag));
  }

  /** The file of a checkpoint in the engine's own directory. @throws CairnError `invalid_tag`. */
  fileOfTag(tag: string): string {
    return joinPath(this.#directory, fileNameOf(checkTag(tag)));
  }
}

/** A path without the first of these locations that it begins with; as it is where it begins with none. */
export function withoutPrefix(path: string, locations: readonly string[]): string {
  return path.slice(locations.find((location) => path.startsWith(location))?.length ?? 0);
}
