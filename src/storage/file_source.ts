import { refuseTilde } from "../base/options/refuse_tilde.ts";
import { CairnError } from "../base/errors.ts";
import { Breather } from "../base/event_loop.ts";
import { nodeBuiltin } from "../base/node_builtin.ts";
import { FileStorage } from "./file_storage.ts";
import type { StorageReader } from "./storage.ts";

/**
 * A stored file that is read at any offset. It is a source for a `ContainerReader`, and lets the event loop go on
 * between reads.
 */
export class FileSource {
  /** Of the file, when it was opened. */
  readonly byteLength: number;
  /** Whether {@link read} fills memory that is shared between threads as well as any other. */
  readonly fillsShared: boolean;
  /** How much is best read at once, where the storage knows. */
  readonly preferredReadBytes?: number;
  readonly #reader: StorageReader;
  readonly #name: string;
  readonly #breather = new Breather();

  /** A source over an open file, which it closes; `name` is for messages. */
  constructor(reader: StorageReader, name: string) {
    this.byteLength = reader.byteLength;
    this.fillsShared = reader.fillsShared === true;
    if (reader.preferredReadBytes !== undefined) this.preferredReadBytes = reader.preferredReadBytes;
    this.#reader = reader;
    this.#name = name;
  }

  /**
   * Opens a file of the local file system. As everywhere in Cairn, a symbolic link is not followed.
   *
   * @throws CairnError `not_found`, `unsupported` where there is no file system, or `storage_failed` for what is no
   * plain file.
   */
  static async open(path: string | URL): Promise<FileSource> {
    refuseTilde(path);
    const pathModule = nodeBuiltin("node:path");
    const urlModule = nodeBuiltin("node:url");
    if (pathModule === undefined || urlModule === undefined) {
      throw new CairnError(
        "unsupported",
        "This runtime has no file system (node:path); use a BlobSource or HttpSource",
      );
    }
    const full = pathModule.resolve(typeof path === "string" ? path : urlModule.fileURLToPath(path));
    const storage = await FileStorage.open(pathModule.dirname(full));
    const name = pathModule.basename(full);
    return new FileSource(await storage.openRead(name), storage.describe(name));
  }

  /** Fills all of `into`. @throws CairnError `truncated` where the file ends before that. */
  async read(offset: number, into: Uint8Array): Promise<void> {
    await this.#breather.breathe();
    for (let filled = 0; filled < into.byteLength;) {
      const count = await this.#reader.read(offset + filled, into.subarray(filled));
      if (count === 0) throw this.#endsEarly(offset + filled, offset + into.byteLength);
      filled += count;
    }
  }

  /** Closes the file. */
  async close(): Promise<void> {
    await this.#reader.close();
  }

  #endsEarly(found: number, expected: number): CairnError {
    return new CairnError(
      "truncated",
      `Cannot read "${this.#name}": it ends at byte ${found}, expected ${expected} or more`,
      { details: { path: this.#name, op: "read", offset: found } },
    );
  }
}
