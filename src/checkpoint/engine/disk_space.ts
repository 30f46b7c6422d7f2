import type { OptionNames } from "../../base/options/options.ts";
import { throwIfAborted } from "../../base/abort.ts";
import { alignUp, TENSOR_ALIGNMENT } from "../../base/checked.ts";
import { type Clock, systemClock } from "../../base/clock.ts";
import { CairnError } from "../../base/errors.ts";
import { DEFAULT_CHUNK_BYTES } from "../../container/format/chunk_plan.ts";
import { layoutTensors, type TensorSpec } from "../../container/format/layout.ts";
import { asByteCount } from "../../storage/free_bytes.ts";
import type { Storage } from "../../storage/storage.ts";

/**
 * What happens to a save for which the disk has no space: `error` fails it before anything is written, `pause` waits
 * until space is freed, `evictOldest` deletes the oldest checkpoints of the same run, but not the newest and not the
 * one resumed from.
 */
export type OnDiskFull = "error" | "pause" | "evictOldest";

/** A disk with too little space for a save. */
export interface DiskShortage {
  /** The directory that is to be written to. */
  readonly path: string;
  /** Space that the save may take, before anything is compressed. */
  readonly neededBytes: number;
  /** Bytes that are free. */
  readonly freeBytes: number;
}

/** Options of the check before a save, for users. */
export interface DiskSpaceOptions {
  /** Default "error". */
  readonly onDiskFull?: OnDiskFull | undefined;
  /** How often a paused save looks again. Default 10 000 ms. */
  readonly diskPollMs?: number | undefined;
  /** Told once for each save that has to pause or to evict. */
  readonly onDiskShortage?: ((shortage: DiskShortage) => void) | undefined;
  /** Whether a checkpoint may be evicted; all that `onDiskFull` allows, unless given. */
  readonly mayEvict?: ((tag: string) => boolean | Promise<boolean>) | undefined;
  /** For the pauses. */
  readonly clock?: Clock | undefined;
}

/** Every option of {@link DiskSpaceOptions}. */
export const DISK_SPACE_OPTIONS: OptionNames<DiskSpaceOptions> = {
  onDiskFull: true,
  diskPollMs: true,
  onDiskShortage: true,
  mayEvict: true,
  clock: true,
};

/** What {@link requireSpace} needs besides. */
export interface SpaceRequest extends DiskSpaceOptions {
  readonly tag: string;
  readonly neededBytes: number;
  readonly signal?: AbortSignal | undefined;
  /** Deletes the oldest checkpoint that may go and says which; `undefined` when there is none. */
  readonly evict: () => Promise<string | undefined>;
}

const DEFAULT_POLL_MS = 10_000;
const TABLE_BYTES_PER_TENSOR = 256;
const TABLE_BYTES_PER_CHUNK = 64;
/** Header, trailer, a manifest of the usual size, and the hint. */
const FIXED_BYTES = 16 * 1024;

/**
 * How much space a file may need: all of its tensors uncompressed, and the tables. A large state beside the tensors
 * is not counted.
 */
export function spaceFor(tensors: readonly TensorSpec[], chunkBytes: number = DEFAULT_CHUNK_BYTES): number {
  const { rawByteLength } = layoutTensors(tensors);
  const tables = tensors.length * TABLE_BYTES_PER_TENSOR +
    Math.ceil(rawByteLength / chunkBytes + tensors.length) * TABLE_BYTES_PER_CHUNK;
  return alignUp(rawByteLength, TENSOR_ALIGNMENT) + tables + FIXED_BYTES;
}

/**
 * Resolves when there is space, at once where the storage cannot tell. Another process may still take it: then the
 * write fails, and nothing is left of it.
 *
 * @throws CairnError `disk_full`; `signal.reason` when a pause is aborted.
 */
export async function requireSpace(
  storage: Storage,
  directory: string,
  request: SpaceRequest,
): Promise<void> {
  const { onDiskFull = "error", diskPollMs = DEFAULT_POLL_MS, clock = systemClock, signal } = request;
  const { neededBytes, tag, evict } = request;
  const path = storage.describe(directory);
  const evicted: string[] = [];
  for (let isFirst = true;; isFirst = false) {
    const freeBytes = await knownFreeBytes(storage, directory);
    if (freeBytes === undefined || freeBytes >= neededBytes) return;
    if (onDiskFull === "error") throw diskFull(tag, { path, neededBytes, freeBytes }, evicted);
    if (isFirst) request.onDiskShortage?.({ path, neededBytes, freeBytes });
    if (onDiskFull === "pause") {
      await clock.sleep(diskPollMs, signal);
    } else {
      const gone = await evict();
      if (gone === undefined) throw diskFull(tag, { path, neededBytes, freeBytes }, evicted);
      evicted.push(gone);
    }
    throwIfAborted(signal);
  }
}

/** Free bytes, or `undefined` where the storage does not know, fails, or gives an invalid number. */
async function knownFreeBytes(storage: Storage, directory: string): Promise<number | undefined> {
  try {
    return asByteCount(await storage.freeBytes(directory));
  } catch {
    return undefined;
  }
}

function diskFull(tag: string, shortage: DiskShortage, evicted: readonly string[]): CairnError {
  const { path, neededBytes, freeBytes } = shortage;
  const tried = evicted.length === 0 ? "" : ` after ${evicted.join(", ")} had been deleted`;
  return new CairnError(
    "disk_full",
    `Cannot save "${tag}": it may need ${neededBytes} bytes and "${path}" has ${freeBytes} free${tried}; ` +
      "free some space, save elsewhere, or keep fewer checkpoints",
    { details: { op: "save", tag, path, limit: freeBytes, value: neededBytes } },
  );
}
