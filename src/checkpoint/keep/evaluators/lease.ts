import { randomHex } from "../../../base/hex.ts";
import { checkOptions, type Given, type OptionNames } from "../../../base/options/options.ts";
import type { JsonValue } from "../../../base/canonical_json.ts";
import { backgroundClock, type Clock } from "../../../base/clock.ts";
import { CairnError } from "../../../base/errors.ts";
import { ownProcessMark, stateOfProcess } from "../../../base/process_mark.ts";
import type { Storage } from "../../../storage/storage.ts";
import { joinPath } from "../../../storage/storage_path.ts";
import { type CheckpointFolder, LEASE_DIRECTORY, requireFolder } from "../../engine/checkpoint_folder.ts";
import type { Engine } from "../../engine/engine.ts";
import type { EngineTarget } from "../../engine/engine_target.ts";
import { openEngine } from "../../engine/open_engine.ts";
import { readSmallFile, writeSmallFile } from "../../file/small_file.ts";
import { checkTag } from "../../file/tags.ts";

/** How long a lease holds without being renewed. */
export const DEFAULT_LEASE_MS: number = 10 * 60 * 1000;

/** A lease whose file cannot be read is respected for this long after it was written. */
const UNREADABLE_LEASE_MS = 24 * 60 * 60 * 1000;

const LEASE_NAME = /^([^@]+)@[0-9a-f]{16}\.lease$/;

/** Options of {@link Lease.take}. */
export interface LeaseOptions {
  /** Who holds it, for messages of a process that would delete it: `evaluator test-split`. */
  readonly holder?: string | undefined;
  /** How long it holds when it is not renewed. It is renewed after each third of that. Default 10 minutes. */
  readonly leaseMs?: number | undefined;
  /** The clock that it is renewed by; that of the system unless given. */
  readonly clock?: Clock | undefined;
}

/** Every option of {@link LeaseOptions}. */
export const LEASE_OPTIONS: OptionNames<LeaseOptions> = { holder: true, leaseMs: true, clock: true };

/** What is known of the leases of a directory. */
export interface LeaseSurvey {
  /** Tags that must stay, each with its holder in words. */
  readonly held: ReadonlyMap<string, string>;
  /** Lease files whose holder is gone. */
  readonly dead: readonly { readonly storage: Storage; readonly path: string }[];
}

/**
 * Keeps retention from deleting a checkpoint while it is read, in this process or another one: a file
 * `leases/<tag>@<random>.lease` beside the checkpoints. It ends with {@link Lease.release}; when the process that
 * took it is proved to be gone, which takes Linux and the same machine; or when it was not renewed in time. In a
 * bucket, where nothing else says that a file is open, it also keeps the bytes of what is replaced or removed by hand.
 *
 * Taking writes the file first and then looks whether the checkpoint is there; deleting takes the checkpoint's name
 * away first and then looks for leases. So one of the two always sees the other.
 */
export class Lease {
  /** The checkpoint that it keeps. */
  readonly tag: string;
  readonly #folder: CheckpointFolder;
  readonly #path: string;
  readonly #options: Given<LeaseOptions>;
  readonly #stop = new AbortController();
  #heartbeat: Promise<void> = Promise.resolve();

  private constructor(folder: CheckpointFolder, tag: string, options: Given<LeaseOptions>) {
    this.tag = tag;
    this.#folder = folder;
    this.#path = joinPath(joinPath(folder.directory, LEASE_DIRECTORY), `${tag}@${randomHex(8)}.lease`);
    this.#options = options;
  }

  /**
   * When it resolves, the checkpoint is there and stays until the lease ends.
   *
   * @throws CairnError `not_found` when there is no such checkpoint; `unsupported` for an engine without a storage.
   */
  static async take(target: EngineTarget, tag: string, options: LeaseOptions = {}): Promise<Lease> {
    const { holder = "a reader", leaseMs = DEFAULT_LEASE_MS, clock = backgroundClock } = checkOptions(
      "Lease.take()",
      options,
      LEASE_OPTIONS,
    );
    const engine = await openEngine(target);
    if (!(leaseMs > 0)) throw new RangeError(`leaseMs is ${leaseMs}, expected a number above 0`);
    const lease = new Lease(requireFolder(engine), checkTag(tag), { holder, leaseMs, clock });
    await lease.renew();
    try {
      await requireCheckpoint(engine, lease.tag);
    } catch (error) {
      await lease.release();
      throw error;
    }
    lease.#heartbeat = lease.#beat();
    return lease;
  }

  /** Begins its time anew; done by itself after each third of it. */
  async renew(): Promise<void> {
    const { holder, leaseMs, clock } = this.#options;
    await writeSmallFile(this.#folder.storage, this.#path, {
      holder,
      process: ownProcessMark() ?? "",
      expiresMs: clock.now() + leaseMs,
    });
  }

  /** Lets the checkpoint go. Safe to call twice; never throws: a file that cannot be removed expires. */
  async release(): Promise<void> {
    this.#stop.abort();
    await this.#heartbeat;
    await this.#folder.storage.remove(this.#path).catch(() => {});
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.release();
  }

  async #beat(): Promise<void> {
    const { leaseMs, clock } = this.#options;
    const { signal } = this.#stop;
    while (!signal.aborted) {
      await clock.sleep(leaseMs / 3, signal);
      // When one renewal fails, the next one comes before the time is over.
      if (!signal.aborted) await this.renew().catch(() => {});
    }
  }
}

/**
 * Which checkpoints of an engine are held. An engine without folders has no leases; of one that has
 * several, the leases in all of them count.
 */
export async function surveyLeases(engine: Engine, nowMs: number): Promise<LeaseSurvey> {
  const held = new Map<string, string>();
  const dead: { storage: Storage; path: string }[] = [];
  for (const folder of engine.folders) {
    const directory = joinPath(folder.directory, LEASE_DIRECTORY);
    for (const { name, modifiedMs } of await folder.storage.list(directory)) {
      const tag = LEASE_NAME.exec(name)?.[1];
      if (tag === undefined) continue;
      const path = joinPath(directory, name);
      const holder = holderOf(await readSmallFile(folder.storage, path), nowMs, modifiedMs);
      if (holder === undefined) dead.push({ storage: folder.storage, path });
      else held.set(tag, holder);
    }
  }
  return { held, dead };
}

/** Removes the files of leases that ended without being released. */
export async function removeDeadLeases(dead: LeaseSurvey["dead"]): Promise<void> {
  for (const { storage, path } of dead) await storage.remove(path).catch(() => {});
}

/** Who holds it, or `undefined` when it is not held any more. */
function holderOf(content: JsonValue | undefined, nowMs: number, modifiedMs: number): string | undefined {
  if (typeof content !== "object" || content === null || Array.isArray(content)) {
    return nowMs - modifiedMs < UNREADABLE_LEASE_MS ? "somebody whose lease cannot be read" : undefined;
  }
  const { holder, process, expiresMs } = content;
  if (typeof process === "string" && stateOfProcess(process) === "dead") return undefined;
  if (typeof expiresMs !== "number" || expiresMs <= nowMs) return undefined;
  return typeof holder === "string" ? holder : "somebody";
}

/** Looks for the name only: opening it says whether the file is sound. */
async function requireCheckpoint(engine: Engine, tag: string): Promise<void> {
  if ((await engine.list()).includes(tag)) return;
  const path = engine.pathOf(tag);
  throw new CairnError("not_found", `Cannot hold checkpoint "${tag}": there is no "${path}"`, {
    details: { op: "lease", tag, path },
  });
}
