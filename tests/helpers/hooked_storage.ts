import type { Storage, StorageReader } from "../../src/storage/storage.ts";
import { type StorageCall, WrappedStorage } from "./wrapped_storage.ts";

/** A call, and its number from 0 over all calls. */
export interface NumberedCall extends StorageCall {
  readonly index: number;
}

/** What happens around each call. A hook that throws or rejects fails the call. */
export interface StorageHooks {
  before?(call: NumberedCall): void | Promise<void>;
  after?(call: NumberedCall): void | Promise<void>;
  /** In the place of a read: what it fills and says it filled. */
  read?(call: StorageCall, into: Uint8Array, read: () => Promise<number>): Promise<number>;
}

/** A storage with something to be done before and after each call: a scheduler's turn, an abort, a bad read. */
export class HookedStorage extends WrappedStorage {
  readonly #hooks: StorageHooks;
  #calls = 0;

  constructor(inner: Storage, hooks: StorageHooks) {
    super(inner);
    this.#hooks = hooks;
  }

  /** Calls so far. */
  get calls(): number {
    return this.#calls;
  }

  override async openRead(path: string): Promise<StorageReader> {
    const reader = await this.around({ op: "openRead", path }, () => this.inner.openRead(path));
    const call = { op: "read", path };
    return {
      byteLength: reader.byteLength,
      read: (offset, into) =>
        this.around(call, () => {
          const read = (): Promise<number> => reader.read(offset, into);
          return this.#hooks.read === undefined ? read() : this.#hooks.read(call, into, read);
        }),
      close: () => reader.close(),
    };
  }

  protected override async around<T>(call: StorageCall, work: () => Promise<T>): Promise<T> {
    const numbered = { ...call, index: this.#calls++ };
    await this.#hooks.before?.(numbered);
    const result = await work();
    await this.#hooks.after?.(numbered);
    return result;
  }
}
