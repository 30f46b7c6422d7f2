import type { StorageReader, StorageWriter } from "../../src/storage/storage.ts";
import { hostError } from "../../src/storage/host_error.ts";
import { storageError } from "../../src/storage/storage_error.ts";
import { type StorageCall, WrappedStorage } from "./wrapped_storage.ts";

interface Fault {
  readonly at: number;
  readonly code: string;
  /** `once`: that operation only. `onward`: it and all later ones. `crash`: the same, and no cleanup gets through. */
  readonly kind: "once" | "onward" | "crash";
  /**
   * Whether the operation still takes effect, as when only its answer was lost. A write then takes half of its bytes.
   */
  readonly takesEffect: boolean;
}

/** A storage that counts its operations, and fails or stops the machine at the one it is told. */
export class FaultStorage extends WrappedStorage {
  /** The calls that reached it, in order. */
  readonly operations: StorageCall[] = [];
  /** Files opened and not closed. */
  openHandles = 0;
  /** Whether the fault has happened. */
  hasFired = false;
  /** How many bytes each write takes at most, by its number; all of them unless set. */
  writeLimit: ((write: number) => number) | undefined;
  #writes = 0;
  #fault: Fault | undefined;

  /** Operation `at` (from 0) fails with the host's error `code`; with `onward` all later ones do as well. */
  failAt(at: number, code: string, options: { onward?: boolean; takesEffect?: boolean } = {}): void {
    const kind = options.onward ? "onward" : "once";
    this.#fault = { at, code, kind, takesEffect: options.takesEffect ?? false };
  }

  /**
   * The machine stops at operation `at`, before it or after it took effect. Nothing later reaches the inner storage.
   */
  crashAt(at: number, options: { takesEffect?: boolean } = {}): void {
    this.#fault = { at, code: "EIO", kind: "crash", takesEffect: options.takesEffect ?? false };
  }

  /** Nothing fails any more. */
  heal(): void {
    this.#fault = undefined;
  }

  override async createExclusive(path: string): Promise<StorageWriter> {
    return this.#counted(
      path,
      await this.around({ op: "createExclusive", path }, () => this.inner.createExclusive(path)),
    );
  }

  override async openAppend(path: string): Promise<StorageWriter> {
    const open = async (): Promise<StorageWriter> => {
      const writer = await this.inner.openAppend?.(path);
      if (writer === undefined) throw new TypeError("The storage inside cannot append");
      return writer;
    };
    return this.#counted(path, await this.around({ op: "openAppend", path }, open));
  }

  #counted(path: string, writer: StorageWriter): StorageWriter {
    this.openHandles++;
    return {
      write: (bytes) => {
        const limit = this.writeLimit?.(this.#writes++) ?? bytes.byteLength;
        const taken = bytes.subarray(0, Math.min(limit, bytes.byteLength));
        const call = { op: "write", path };
        if (taken.byteLength === 0) return this.around(call, () => Promise.resolve(0));
        const torn = () => writer.write(taken.subarray(0, Math.ceil(taken.byteLength / 2)));
        return this.around(call, () => writer.write(taken), torn);
      },
      sync: () => this.around({ op: "sync", path }, () => writer.sync()),
      close: async () => {
        this.openHandles--;
        await this.around({ op: "close", path }, () => writer.close());
      },
    };
  }

  override async openRead(path: string): Promise<StorageReader> {
    const reader = await super.openRead(path);
    this.openHandles++;
    return {
      byteLength: reader.byteLength,
      read: (offset, into) => reader.read(offset, into),
      close: async () => {
        this.openHandles--;
        await reader.close();
      },
    };
  }

  protected override async around<T>(
    call: StorageCall,
    work: () => Promise<T>,
    partial: () => Promise<T> = work,
  ): Promise<T> {
    const index = this.operations.push(call) - 1;
    const fault = this.#fault;
    if (fault === undefined || index < fault.at || (fault.kind === "once" && index > fault.at)) {
      return await work();
    }
    this.hasFired = true;
    if (fault.takesEffect && index === fault.at) await partial();
    throw storageError(call.op, this.describe(call.path), hostError(fault.code));
  }
}

/**
 * Runs `attempt` with a fault at operation 0, 1, 2 … until one run ends before its fault. So the code under test
 * decides how many points there are.
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
