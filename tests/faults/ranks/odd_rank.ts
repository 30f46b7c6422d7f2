import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import type { GroupCallOptions } from "../../../src/checkpoint/ranks/group_call.ts";
import type { ProcessGroup } from "../../../src/checkpoint/ranks/process_group.ts";
import type { Storage } from "../../../src/storage/storage.ts";
import { type StorageCall, WrappedStorage } from "../../helpers/wrapped_storage.ts";

/** How the one rank of a job behaves that is not as it should be. */
export type OddMode =
  /** Its shards are computed, and nobody has them. */
  | "killed in a step"
  /** What it gives to the others is on its way. */
  | "killed in the reduction"
  /** It has what the others gave: its part of the sum, where they share the additions. */
  | "killed with a sum"
  /** While rank 0 writes a checkpoint, or is about to give it its name. */
  | "killed in a save"
  | "killed before the commit"
  | "exits with 0"
  | "throws"
  | "is stopped"
  | "has a full disk"
  | "gets SIGTERM"
  | "never starts"
  | "starts late";

/** Which rank it is, and from which step on. */
export interface Oddity {
  readonly mode: OddMode;
  readonly rank: number;
  readonly step: number;
}

/** At which operation of a save something happens. */
const OPERATION_OF: Partial<Record<OddMode, string>> = {
  "killed in a save": "write",
  "killed before the commit": "move",
};

/** Whether the save itself is what is disturbed. */
export function isInSave(mode: OddMode | undefined): boolean {
  return mode !== undefined && OPERATION_OF[mode] !== undefined;
}

function kill(signal: "SIGKILL" | "SIGSTOP" | "SIGTERM"): void {
  process.kill(process.pid, signal);
}

/** What happens on this rank right after a step. */
export function afterStep(mode: OddMode): void {
  if (mode === "exits with 0") process.exit(0);
  if (mode === "throws") throw new Error("an error of this program");
  if (mode === "gets SIGTERM") kill("SIGTERM");
}

/** A group that, once it is armed, ends or stops this process in one of the calls of a step. */
export class OddGroup implements ProcessGroup {
  readonly #inner: ProcessGroup;
  readonly #mode: OddMode | undefined;
  readonly #timeoutMs: number;
  #isArmed = false;

  /**
   * @param mode `undefined` on ranks that are as they should be.
   * @param timeoutMs How long calls wait once it is armed; before, ranks begin in whatever time the machine takes.
   */
  constructor(inner: ProcessGroup, mode: OddMode | undefined, timeoutMs: number) {
    this.#inner = inner;
    this.#mode = mode;
    this.#timeoutMs = timeoutMs;
  }

  arm(): void {
    this.#isArmed = true;
  }

  get rank(): number {
    return this.#inner.rank;
  }

  get size(): number {
    return this.#inner.size;
  }

  barrier(options?: GroupCallOptions): Promise<void> {
    return this.#inner.barrier(this.#limited(options));
  }

  broadcast(root: number, bytes?: Uint8Array, options?: GroupCallOptions): Promise<Uint8Array> {
    return this.#inner.broadcast(root, bytes, this.#limited(options));
  }

  allGather(bytes: Uint8Array, options?: GroupCallOptions): Promise<Uint8Array[]> {
    return this.#oddly(() => this.#inner.allGather(bytes, this.#limited(options)));
  }

  allToAll(pieces: readonly Uint8Array[], options?: GroupCallOptions): Promise<Uint8Array[]> {
    return this.#oddly(() => this.#inner.allToAll(pieces, this.#limited(options)));
  }

  abort(reason: unknown): Promise<void> {
    return this.#inner.abort(reason);
  }

  close(): Promise<void> {
    return this.#inner.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #limited(options: GroupCallOptions = {}): GroupCallOptions {
    return this.#isArmed ? { timeoutMs: this.#timeoutMs, ...options } : options;
  }

  async #oddly<T>(call: () => Promise<T>): Promise<T> {
    if (!this.#isArmed) return await call();
    if (this.#mode === "killed in a step") kill("SIGKILL");
    if (this.#mode === "is stopped") kill("SIGSTOP");
    const result = call();
    if (this.#mode === "killed in the reduction") setTimeout(() => kill("SIGKILL"), 0);
    const received = await result;
    if (this.#mode === "killed with a sum") kill("SIGKILL");
    return received;
  }
}

/** The storage of rank 0 in a job of which a rank is killed in a save: it holds that save up until then. */
export class HeldStorage extends WrappedStorage {
  readonly #operation: string;
  readonly #folder: string;
  readonly #isOwn: boolean;
  #isArmed = false;

  /**
   * @param folder Where the killed rank sees that the save is held up.
   * @param isOwn Whether it is rank 0 itself that is killed.
   */
  constructor(inner: Storage, mode: OddMode, folder: string, isOwn: boolean) {
    super(inner);
    this.#operation = OPERATION_OF[mode] ?? "";
    this.#folder = folder;
    this.#isOwn = isOwn;
  }

  arm(): void {
    this.#isArmed = true;
  }

  protected override async around<T>({ op }: StorageCall, work: () => Promise<T>): Promise<T> {
    if (!this.#isArmed || op !== this.#operation) return await work();
    if (this.#isOwn) kill("SIGKILL");
    writeFileSync(heldMark(this.#folder), "");
    return await new Promise<T>(() => {});
  }
}

/** Kills this process once rank 0 holds a save up. */
export function killWhenHeld(folder: string): void {
  setInterval(() => {
    if (existsSync(heldMark(folder))) kill("SIGKILL");
  }, 2);
}

function heldMark(folder: string): string {
  return join(folder, "held");
}
