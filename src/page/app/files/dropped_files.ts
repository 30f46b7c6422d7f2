import { CairnError } from "../../../base/errors.ts";
import { BlobSource } from "../../../storage/blob_source.ts";
import type { StorageReader } from "../../../storage/storage.ts";
import type { ReadableFiles } from "./readable_files.ts";

/** Files that a person dropped on the page or chose. Only what is read of them is loaded. */
export class DroppedFiles implements ReadableFiles {
  readonly #files = new Map<string, File>();

  /** Takes a file, in place of another one of the same name. Gives the name. */
  add(file: File): string {
    // Not every runtime that has files has the path of those of a directory.
    const path = file.webkitRelativePath || file.name;
    this.#files.set(path, file);
    return path;
  }

  /** All of them. */
  get files(): readonly (readonly [path: string, file: File])[] {
    return [...this.#files];
  }

  openRead(path: string): Promise<StorageReader> {
    const file = this.#files.get(path);
    if (file === undefined) {
      const why = `There is no ${path} among the dropped files; drop it too`;
      return Promise.reject(new CairnError("not_found", why, { details: { path } }));
    }
    const source = new BlobSource(file);
    const { byteLength } = source;
    return Promise.resolve({
      byteLength,
      async read(offset, into) {
        const part = into.subarray(0, Math.max(0, byteLength - offset));
        await source.read(offset, part);
        return part.byteLength;
      },
      close: () => Promise.resolve(),
    });
  }

  async readFrom(path: string, offset: number): Promise<Uint8Array | "shorter"> {
    const reader = await this.openRead(path);
    if (reader.byteLength < offset) return "shorter";
    const bytes = new Uint8Array(reader.byteLength - offset);
    await reader.read(offset, bytes);
    return bytes;
  }
}
