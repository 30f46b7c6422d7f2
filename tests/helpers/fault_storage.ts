import type {
  MoveOptions,
  Storage,
  StorageEntry,
  StorageReader,
  StorageWriter,
} from "../../src/storage/storage.ts";
import { hostError } from "../../src/storage/host_error.ts";
import { storageError } from "../../src/storage/storage_error.ts";

/** One call that reached the storage, in order: its name and path, as in `sync runs/.tmp-1`. */
export interface Operation {
  readonly op: string;
  readonly path: string;
}

interface Fault {
  readonly at: number;
  readonly code: string;
  /** `once`: that operation only. `onward`: it and all later ones. `crash`: the same, and no cleanup gets through. */
  readonly kind: "once" | "onward" | "crash";
  /** Whether the operation still takes effect, as when only its answer was lost. A write then takes half of its bytes. */
  readonly takesEffect: boolean;
}

/** A storage that counts its operations, and fails or stops the machine at the one it is told. */
export class FaultStorage implements Storage {
  readonly inner: Storage;
  readonly operations: Operation[] = [];
  /** Files opened and not closed. */
  openHandles = 0;
  /** Whether the fault has happened. */
  hasFired = false;
  /** How many bytes each write takes at most, by its number; all of them unless set. */
  writeLimit: ((write: number) => number) | undefined;
  #writes = 0;
  #fault: Fault | undefined;

  constructor(inner: Storage) {
    this.inner = inner;
  }

  /** Operation `at` (from 0) fails with the host's error `code`; with `onward` all later ones do as well. */
  failAt(at: number, code: string, options: { onward?: boolean; takesEffect?: boolean } = {}): void {
    const kind = options.onward ? "onward" : "once";
    this.#fault = { at, code, kind, takesEffect: options.takesEffect ?? false };
  }

  /** The machine stops at operation `at`, before it or after it took effect. Nothing later reaches the inner storage. */
  crashAt(at: number, options: { takesEffect?: boolean } = {}): void {
    this.#fault = { at, code: "EIO", kind: "crash", takesEffect: options.takesEffect ?? false };
  }

  /** Nothing fails any more. */
  heal(): void {
    this.#fault = undefined;
  }

  describe(path: string): string {
    return this.inner.describe(path);
  }

  list(directory: string): Promise<StorageEntry[]> {
    return this.#step("list", directory, () => this.inner.list(directory));
  }

  makeDirectory(directory: string): Promise<void> {
    return this.#step("makeDirectory", directory, () => this.inner.makeDirectory(directory));
  }

  async createExclusive(path: string): Promise<StorageWriter> {
    const writer = await this.#step("createExclusive", path, () => this.inner.createExclusive(path));
    this.openHandles++;
    return {
      write: (bytes) => {
        const limit = this.writeLimit?.(this.#writes++) ?? bytes.byteLength;
        const taken = bytes.subarray(0, Math.min(limit, bytes.byteLength));
        if (taken.byteLength === 0) return this.#step("write", path, () => Promise.resolve(0));
        const torn = () => writer.write(taken.subarray(0, Math.ceil(taken.byteLength / 2)));
        return this.#step("write", path, () => writer.write(taken), torn);
      },
      sync: () => this.#step("sync", path, () => writer.sync()),
      close: async () => {
        this.openHandles--;
        await this.#step("close", path, () => writer.close());
      },
    };
  }

  async openRead(path: string): Promise<StorageReader> {
    const reader = await this.#step("openRead", path, () => this.inner.openRead(path));
    this.openHandles++;
    return {
      byteLength: reader.byteLength,
      read: (offset, into) => this.#step("read", path, () => reader.read(offset, into)),
      close: async () => {
        this.openHandles--;
        await reader.close();
      },
    };
  }

  move(from: string, to: string, options?: MoveOptions): Promise<void> {
    return this.#step("move", to, () => this.inner.move(from, to, options));
  }

  remove(path: string): Promise<void> {
    return this.#step("remove", path, () => this.inner.remove(path));
  }

  syncDirectory(directory: string): Promise<void> {
    return this.#step("syncDirectory", directory, () => this.inner.syncDirectory(directory));
  }

  freeBytes(directory: string): Promise<number | undefined> {
    return this.#step("freeBytes", directory, () => this.inner.freeBytes(directory));
  }

  async #step<T>(op: string, path: string, work: () => Promise<T>, partial = work): Promise<T> {
    const index = this.operations.push({ op, path }) - 1;
    const fault = this.#fault;
    if (fault === undefined || index < fault.at || (fault.kind === "once" && index > fault.at)) {
      return await work();
    }
    this.hasFired = true;
    if (fault.takesEffect && index === fault.at) await partial();
    throw storageError(op, this.describe(path), hostError(fault.code));
  }
}

/**
 * Runs `attempt` with a fault at operation 0, 1, 2 … until one run is over before its fault would come: nobody chooses
 * the points, the code under test does.
 *
 * @returns How many points were tried.
 */
export async function atEveryOperation(attempt: (at: number) => Promise<FaultStorage>): Promise<number> {
  for (let at = 0;; at++) {
    const storage = await attempt(at);
    if (!storage.hasFired) return at;
    if (at > 10_000) throw new Error("The code under test never finishes without reaching the fault");
  }
}
