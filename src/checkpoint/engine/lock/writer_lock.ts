import { CairnError } from "../../../base/errors.ts";
import type { ProcessState } from "../../../base/process_mark.ts";
import { DurableFile } from "../../../storage/durable_file.ts";
import type { Storage } from "../../../storage/storage.ts";
import { joinPath } from "../../../storage/storage_path.ts";
import { temporaryName } from "../../file/leftovers.ts";
import {
  decodeOwner,
  encodeOwner,
  type LockIdentity,
  type LockOwner,
  ownIdentity,
  stateOfOwner,
} from "./lock_owner.ts";
import { readSmallText } from "../../file/small_file.ts";
import type { WriterLockOptions } from "./writer_lock_options.ts";

/** What {@link WriterLock.acquire} needs besides. */
export interface AcquireOptions extends WriterLockOptions {
  readonly runId: string;
  readonly now: () => number;
  readonly random: () => string;
}

interface LockFile {
  readonly generation: number;
  readonly path: string;
  readonly owner: LockOwner | undefined;
}

const LOCK_NAME = /^\.lock-(\d{12})$/;
const MAX_LOCK_BYTES = 4096;
const MAX_ATTEMPTS = 100;

/**
 * The right to write checkpoints to a directory, which one process has at a time: a file `.lock-<number>` with its
 * owner in it. The file outlives a crash of its owner. The next one takes over when it can prove that the owner is
 * gone; how long ago the lock was taken is never a reason.
 *
 * Taking over a dead lock does not begin with removing it: two processes could do that one after the other, and the
 * second would remove the lock of the first. It creates the file with the next number, which only one process can,
 * checks that no other lock has appeared, and only then removes the dead ones. On a file system without hard links
 * two processes that come at the same moment may both believe that they have it; {@link assertHeld} before each
 * commit finds that. A storage that can keep the one before out is told to (`Storage.claim`): then a process that
 * slept while another one took its lock over commits nothing, however late it looks.
 */
export class WriterLock {
  /** Full name of the file. */
  readonly path: string;
  readonly #storage: Storage;
  readonly #file: string;
  readonly #owner: string;
  #endClaim: (() => void) | undefined;

  private constructor(storage: Storage, file: string, owner: LockOwner) {
    this.path = storage.describe(file);
    this.#storage = storage;
    this.#file = file;
    this.#owner = encodeOwner(owner);
  }

  /**
   * Takes the lock of `directory`, which has to exist.
   *
   * @throws CairnError `locked` when another one has it, or had it and cannot be proved dead.
   */
  static async acquire(storage: Storage, directory: string, options: AcquireOptions): Promise<WriterLock> {
    const self = options.identity ?? ownIdentity();
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const dead = await locksOf(storage, directory);
      for (const lock of dead) await requireDead(storage, lock, self, options);
      const generation = (dead.at(-1)?.generation ?? 0) + 1;
      const file = joinPath(directory, `.lock-${String(generation).padStart(12, "0")}`);
      const owner = {
        ...self,
        token: options.random(),
        runId: options.runId,
        since: new Date(options.now()).toISOString(),
      };
      if (!await createLock(storage, file, owner, options)) continue;
      const lock = new WriterLock(storage, file, owner);
      try {
        // Another process may have taken a lock with another number while this one was being created.
        const others = (await locksOf(storage, directory)).filter(({ path }) => path !== file);
        for (const other of others) await requireDead(storage, other, self, options);
        await lock.assertHeld();
        lock.#endClaim = await storage.claim?.(directory, owner.token);
        for (const other of others) await storage.remove(other.path).catch(() => {});
        return lock;
      } catch (error) {
        await lock.release();
        // The other process may have backed off as well: the next round decides, by what is there before it creates
        // anything.
        if (!(error instanceof CairnError && error.code === "locked")) throw error;
      }
    }
    const path = storage.describe(directory);
    throw new CairnError("locked", `Cannot lock "${path}": ${MAX_ATTEMPTS} others were faster; try again`, {
      details: { op: "lock", path },
    });
  }

  /** @throws CairnError `locked` when the file is gone or belongs to another process, which may be writing. */
  async assertHeld(): Promise<void> {
    const owner = await readOwner(this.#storage, this.#file).catch((error: unknown) => {
      if (error instanceof CairnError && error.code === "not_found") return undefined;
      throw error;
    });
    if (owner !== undefined && encodeOwner(owner) === this.#owner) return;
    const found = owner === undefined ? "is gone" : `belongs to ${nameOfOwner(owner)}`;
    throw new CairnError(
      "locked",
      `Cannot go on writing: the lock "${this.path}" ${found}; make sure that one process writes there, and open a new engine`,
      { details: { op: "lock", path: this.path } },
    );
  }

  /** Gives the lock back, durably or not: a lock that comes back after a power cut has a dead owner. Never throws. */
  async release(): Promise<void> {
    this.#endClaim?.();
    try {
      await this.assertHeld();
      await this.#storage.remove(this.#file);
    } catch {
      // It stays until it is proved that this process is gone.
    }
  }
}

/**
 * Makes sure that a run has the lock of a directory, for one of its processes that writes there while another one
 * holds it.
 *
 * @throws CairnError `locked` when no process has it, or another run has.
 */
export async function requireLockOf(storage: Storage, directory: string, runId: string): Promise<void> {
  const locks = await locksOf(storage, directory);
  if (locks.some(({ owner }) => owner?.runId === runId)) return;
  const path = storage.describe(directory);
  const owner = locks.at(-1)?.owner;
  const found = owner === undefined ? "nobody has locked it" : `it is locked by ${nameOfOwner(owner)}`;
  throw new CairnError(
    "locked",
    `Cannot write into "${path}": ${found}, expected rank 0 of run ${runId.slice(0, 8)}; ` +
      "open the engines of all ranks with the same option exclusive",
    { details: { op: "lock", path, value: owner } },
  );
}

async function locksOf(storage: Storage, directory: string): Promise<LockFile[]> {
  const locks: LockFile[] = [];
  for (const { name } of await storage.list(directory)) {
    const [, digits] = LOCK_NAME.exec(name) ?? [];
    if (digits === undefined) continue;
    const path = joinPath(directory, name);
    try {
      locks.push({ generation: Number(digits), path, owner: await readOwner(storage, path) });
    } catch (error) {
      // Given back between the two looks.
      if (!(error instanceof CairnError && error.code === "not_found")) throw error;
    }
  }
  return locks.sort((a, b) => a.generation - b.generation);
}

async function requireDead(
  storage: Storage,
  { path, owner }: LockFile,
  self: LockIdentity,
  { isOwnerDead }: AcquireOptions,
): Promise<void> {
  const state: ProcessState = owner === undefined ? "unknown" : stateOfOwner(owner, self);
  if (state === "dead") return;
  if (state === "unknown" && owner !== undefined && await isOwnerDead?.(owner)) return;
  const full = storage.describe(path);
  const who = owner === undefined ? "an unknown process" : nameOfOwner(owner);
  const found = state === "alive"
    ? "which still runs; wait for it, or save elsewhere"
    : "which cannot be proved dead from here; when you know that it is, delete the file";
  throw new CairnError(
    "locked",
    `Cannot write checkpoints: "${full}" says that they are written by ${who}, ${found}`,
    {
      details: { op: "lock", path: full, value: owner },
    },
  );
}

async function createLock(
  storage: Storage,
  path: string,
  owner: LockOwner,
  { runId, random }: AcquireOptions,
): Promise<boolean> {
  let file: DurableFile | undefined;
  try {
    file = await DurableFile.create(storage, path, { randomName: temporaryName(runId, random()) });
    await file.write(new TextEncoder().encode(encodeOwner(owner)));
    await file.commit();
    return true;
  } catch (error) {
    await file?.abort().catch(() => {});
    if (error instanceof CairnError && error.code === "already_exists") return false;
    throw error;
  }
}

/** @throws CairnError `not_found`. */
async function readOwner(storage: Storage, path: string): Promise<LockOwner | undefined> {
  return decodeOwner(await readSmallText(storage, path, MAX_LOCK_BYTES));
}

function nameOfOwner({ pid, host, runId, since }: LockOwner): string {
  return `process ${pid} on "${host}" (run ${runId.slice(0, 8)}, since ${since})`;
}
