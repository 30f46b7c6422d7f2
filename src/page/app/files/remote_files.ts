import { CairnError } from "../../../base/errors.ts";
import { HttpSource } from "../../../storage/http_source.ts";
import type { StorageReader } from "../../../storage/storage.ts";
import type { ReadableFiles } from "./readable_files.ts";

/** The files of the server that the page came from, by ranges. */
export class RemoteFiles implements ReadableFiles {
  readonly #base: URL;

  /** `base` ends with a slash. */
  constructor(base: URL) {
    this.#base = base;
  }

  /** The address of a file. */
  addressOf(path: string): URL {
    return new URL(path.split("/").map(encodeURIComponent).join("/"), this.#base);
  }

  async openRead(path: string): Promise<StorageReader> {
    const source = await HttpSource.open(this.addressOf(path));
    const { byteLength } = source;
    return {
      byteLength,
      async read(offset, into) {
        const part = into.subarray(0, Math.max(0, byteLength - offset));
        if (part.byteLength > 0) await source.read(offset, part);
        return part.byteLength;
      },
      close: () => source.close(),
    };
  }

  /** What is behind `offset`, and whether the file is still the one that had this much. */
  async readFrom(path: string, offset: number, signal: AbortSignal): Promise<Uint8Array | "shorter"> {
    const headers = { range: `bytes=${offset}-` };
    const response = await fetch(this.addressOf(path), { headers, signal });
    const length = Number(/\/(\d+)$/.exec(response.headers.get("content-range") ?? "")?.[1] ?? NaN);
    if (response.status === 416) return length < offset ? "shorter" : new Uint8Array(0);
    if (response.status === 206) return new Uint8Array(await response.arrayBuffer());
    throw new CairnError("storage_failed", `Cannot read ${path}: the server answered ${response.status}`);
  }
}
