import { CairnError } from "../base/errors.ts";
import { withoutAddressSecrets } from "../base/text/without_secrets.ts";
import { HttpSource, type HttpSourceOptions } from "./http_source.ts";
import type { Storage, StorageReader } from "./storage.ts";

/**
 * The files of a web server beside one of them, to be read by ranges: a checkpoint of several files, or a model in
 * several. A web server lists nothing and takes nothing, so every other method refuses.
 */
export class HttpStorage implements Storage {
  /** Name of the file that the address names. */
  readonly name: string;
  readonly #url: URL;
  readonly #options: HttpSourceOptions;
  /** Each file is asked for its length once. */
  readonly #sources = new Map<string, Promise<HttpSource>>();

  /** `url` names a file. Its query, such as a signature, is for that file only. */
  constructor(url: string | URL, options: HttpSourceOptions = {}) {
    this.#url = new URL(url);
    this.#options = options;
    this.name = decoded(this.#url.pathname.slice(this.#url.pathname.lastIndexOf("/") + 1));
  }

  /** Without credentials and the query, which may be a signature. */
  describe(path: string): string {
    return withoutAddressSecrets(this.#urlOf(path).href);
  }

  async openRead(path: string): Promise<StorageReader> {
    const known = this.#sources.get(path) ?? HttpSource.open(this.#urlOf(path), this.#options);
    this.#sources.set(path, known);
    const source = await known;
    return {
      byteLength: source.byteLength,
      read: async (offset, into) => {
        const part = into.subarray(0, Math.max(0, Math.min(into.byteLength, source.byteLength - offset)));
        if (part.byteLength > 0) await source.read(offset, part);
        return part.byteLength;
      },
      close: () => Promise.resolve(),
    };
  }

  list(): Promise<never> {
    return this.#refuse("be listed");
  }

  makeDirectory(): Promise<never> {
    return this.#refuse("be written to");
  }

  createExclusive(): Promise<never> {
    return this.#refuse("be written to");
  }

  move(): Promise<never> {
    return this.#refuse("be written to");
  }

  remove(): Promise<never> {
    return this.#refuse("be written to");
  }

  syncDirectory(): Promise<never> {
    return this.#refuse("be written to");
  }

  freeBytes(): Promise<undefined> {
    return Promise.resolve(undefined);
  }

  #urlOf(path: string): URL {
    return path === this.name
      ? this.#url
      : new URL(path.split("/").map(encodeURIComponent).join("/"), this.#url);
  }

  #refuse(what: string): Promise<never> {
    const path = withoutAddressSecrets(new URL(".", this.#url).href);
    return Promise.reject(
      new CairnError(
        "unsupported",
        `${path} cannot ${what}: a web server only gives files; name one of them`,
        {
          details: { path },
        },
      ),
    );
  }
}

function decoded(name: string): string {
  try {
    return decodeURIComponent(name);
  } catch {
    return name;
  }
}
