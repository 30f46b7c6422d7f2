import type {
  MoveOptions,
  Storage,
  StorageEntry,
  StorageReader,
  StorageWriter,
} from "../../src/storage/storage.ts";

/** A call on its way to a storage. */
export interface StorageCall {
  readonly op: string;
  readonly path: string;
  /** From 0, over all calls. */
  readonly index: number;
}

/** What happens around each call. A hook that throws or rejects fails the call. */
export interface StorageHooks {
  before?(call: StorageCall): void | Promise<void>;
  after?(call: StorageCall): void | Promise<void>;
  /** In the place of a read: what it fills and says it filled. */
  read?(call: StorageCall, into: Uint8Array, read: () => Promise<number>): Promise<number>;
}

/** A storage with something to be done before and after each call: a scheduler's turn, an abort, a bad read. */
export class HookedStorage implements Storage {
  readonly inner: Storage;
  readonly #hooks: StorageHooks;
  #calls = 0;

  constructor(inner: Storage, hooks: StorageHooks) {
    this.inner = inner;
    this.#hooks = hooks;
  }

  /** Calls so far. */
  get calls(): number {
    return this.#calls;
  }

  describe(path: string): string {
    return this.inner.describe(path);
  }

  list(directory: string): Promise<StorageEntry[]> {
    return this.#around("list", directory, () => this.inner.list(directory));
  }

  makeDirectory(directory: string): Promise<void> {
    return this.#around("makeDirectory", directory, () => this.inner.makeDirectory(directory));
  }

  async createExclusive(path: string): Promise<StorageWriter> {
    const writer = await this.#around("createExclusive", path, () => this.inner.createExclusive(path));
    return {
      write: (bytes) => this.#around("write", path, () => writer.write(bytes)),
      sync: () => this.#around("sync", path, () => writer.sync()),
      close: () => this.#around("close", path, () => writer.close()),
    };
  }

  async openRead(path: string): Promise<StorageReader> {
    const reader = await this.#around("openRead", path, () => this.inner.openRead(path));
    return {
      byteLength: reader.byteLength,
      read: (offset, into) =>
        this.#around("read", path, (call) => {
          const read = (): Promise<number> => reader.read(offset, into);
          return this.#hooks.read === undefined ? read() : this.#hooks.read(call, into, read);
        }),
      close: () => reader.close(),
    };
  }

  move(from: string, to: string, options?: MoveOptions): Promise<void> {
    return this.#around("move", to, () => this.inner.move(from, to, options));
  }

  remove(path: string): Promise<void> {
    return this.#around("remove", path, () => this.inner.remove(path));
  }

  syncDirectory(directory: string): Promise<void> {
    return this.#around("syncDirectory", directory, () => this.inner.syncDirectory(directory));
  }

  freeBytes(directory: string): Promise<number | undefined> {
    return this.#around("freeBytes", directory, () => this.inner.freeBytes(directory));
  }

  async #around<T>(op: string, path: string, work: (call: StorageCall) => Promise<T>): Promise<T> {
    const call = { op, path, index: this.#calls++ };
    await this.#hooks.before?.(call);
    const result = await work(call);
    await this.#hooks.after?.(call);
    return result;
  }
}
