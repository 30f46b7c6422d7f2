import type {
  ListOptions,
  MoveOptions,
  Storage,
  StorageEntry,
  StorageReader,
  StorageWriter,
} from "../../src/storage/storage.ts";

/** A call on its way to a storage: its name and path, as in `sync runs/.tmp-1`. Writers and readers have calls too. */
export interface StorageCall {
  readonly op: string;
  readonly path: string;
}

/** A storage that hands everything on to another. What a subclass does to all calls, it says once, in `around`. */
export class WrappedStorage implements Storage {
  readonly inner: Storage;

  constructor(inner: Storage) {
    this.inner = inner;
  }

  /** Everything but `describe`, and the closing of what was read, comes through here. */
  protected around<T>(_call: StorageCall, work: () => Promise<T>): Promise<T> {
    return work();
  }

  describe(path: string): string {
    return this.inner.describe(path);
  }

  list(directory: string, options?: ListOptions): Promise<StorageEntry[]> {
    return this.around({ op: "list", path: directory }, () => this.inner.list(directory, options));
  }

  makeDirectory(directory: string): Promise<void> {
    return this.around({ op: "makeDirectory", path: directory }, () => this.inner.makeDirectory(directory));
  }

  async createExclusive(path: string): Promise<StorageWriter> {
    return this.#wrapped(
      path,
      await this.around({ op: "createExclusive", path }, () => this.inner.createExclusive(path)),
    );
  }

  async openAppend(path: string): Promise<StorageWriter> {
    return this.#wrapped(
      path,
      await this.around({ op: "openAppend", path }, async () => {
        const writer = await this.inner.openAppend?.(path);
        if (writer === undefined) throw new TypeError("The storage inside cannot append");
        return writer;
      }),
    );
  }

  truncate(path: string, byteLength: number): Promise<void> {
    return this.around({ op: "truncate", path }, async () => {
      if (this.inner.truncate === undefined) throw new TypeError("The storage inside cannot cut files");
      await this.inner.truncate(path, byteLength);
    });
  }

  #wrapped(path: string, writer: StorageWriter): StorageWriter {
    return {
      write: (bytes) => this.around({ op: "write", path }, () => writer.write(bytes)),
      sync: () => this.around({ op: "sync", path }, () => writer.sync()),
      close: () => this.around({ op: "close", path }, () => writer.close()),
    };
  }

  async openRead(path: string): Promise<StorageReader> {
    const reader = await this.around({ op: "openRead", path }, () => this.inner.openRead(path));
    return {
      byteLength: reader.byteLength,
      read: (offset, into) => this.around({ op: "read", path }, () => reader.read(offset, into)),
      close: () => reader.close(),
    };
  }

  move(from: string, to: string, options?: MoveOptions): Promise<void> {
    return this.around({ op: "move", path: to }, () => this.inner.move(from, to, options));
  }

  remove(path: string): Promise<void> {
    return this.around({ op: "remove", path }, () => this.inner.remove(path));
  }

  syncDirectory(directory: string): Promise<void> {
    return this.around({ op: "syncDirectory", path: directory }, () => this.inner.syncDirectory(directory));
  }

  freeBytes(directory: string): Promise<number | undefined> {
    return this.around({ op: "freeBytes", path: directory }, () => this.inner.freeBytes(directory));
  }
}
