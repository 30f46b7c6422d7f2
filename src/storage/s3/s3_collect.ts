import { keyOfEntry } from "./log_entry.ts";
import type { S3Client } from "./s3_client.ts";
import { isHeld, leasesOfHeld } from "./s3_holds.ts";
import type { S3Log } from "./s3_log.ts";
import { deleteObject, listObjects } from "./s3_objects.ts";
import { PROBE_PREFIX } from "./s3_probe.ts";
import { abortUpload, unfinishedUploads } from "./s3_upload.ts";

/** Where the bytes of files are, below the prefix. */
export const DATA_PREFIX = "data/";

/** How many entries of the log stay, the newest ones. */
const RETAINED_ENTRIES = 16;
/** By the store's clock. */
const ORPHAN_MS = 24 * 60 * 60 * 1000;

/** What {@link collect} removed. */
export interface S3Collected {
  /** Entries of the log that newer ones have replaced. */
  readonly entries: number;
  /** Objects that no entry names, as those of a save that was killed, and those whose last lease has ended. */
  readonly orphans: number;
  /** Uploads that nobody finished. */
  readonly uploads: number;
}

/**
 * Removes what nobody needs any more: entries of the log but for the last ones, and, a day after they were written,
 * objects that none of those names, and unfinished uploads.
 *
 * @param isInUse Objects of this process that have no name yet.
 */
export async function collect(
  client: S3Client,
  log: S3Log,
  isInUse: (key: string) => boolean,
): Promise<S3Collected> {
  // Before the entries are read: what is uploaded and committed meanwhile is not in it.
  const { objects } = await listObjects(client, DATA_PREFIX);
  const isOld = (ms: number): boolean => ms < client.serverMs - ORPHAN_MS;
  const candidates = objects.filter(({ key, modifiedMs }) => isOld(modifiedMs) && !isInUse(key));
  const numbers = await log.numbers();
  const retained = numbers.slice(-RETAINED_ENTRIES);
  const old = numbers.slice(0, -RETAINED_ENTRIES);
  let orphans = 0;
  if (candidates.length > 0) {
    const named = await namedBy(log, retained);
    for (const { key } of candidates) {
      if (named.has(key)) continue;
      await deleteObject(client, key);
      orphans++;
    }
  }
  orphans += await releaseHeld(client, log);
  for (const number of old) await deleteObject(client, keyOfEntry(number));
  const uploads = (await unfinishedUploads(client, DATA_PREFIX)).filter(({ initiatedMs }) =>
    isOld(initiatedMs)
  );
  for (const { key, uploadId } of uploads) if (!isInUse(key)) await abortUpload(client, key, uploadId);
  const probes = (await listObjects(client, PROBE_PREFIX)).objects.filter(({ modifiedMs }) =>
    isOld(modifiedMs)
  );
  for (const { key } of probes) await deleteObject(client, key);
  return { entries: old.length, orphans, uploads: uploads.length };
}

/** Removes what was replaced or removed while somebody held it, and nobody does any more. @returns How many objects. */
async function releaseHeld(client: S3Client, log: S3Log): Promise<number> {
  const released = new Map<string, string>();
  for (const [name, { key }] of (await log.newest()).files) {
    const leases = leasesOfHeld(name);
    if (leases !== undefined && !await isHeld(client, leases)) released.set(name, key);
  }
  const [first] = released.keys();
  if (first === undefined) return 0;
  await log.append(first, (files) => new Map([...files].filter(([name]) => !released.has(name))));
  for (const key of released.values()) await deleteObject(client, key);
  return released.size;
}

/** All objects that these entries name, and those of the newest one. An entry that was collected names none. */
async function namedBy(log: S3Log, numbers: readonly number[]): Promise<ReadonlySet<string>> {
  const named = new Set<string>();
  for (const number of numbers) {
    for (const { key } of (await log.entry(number))?.files.values() ?? []) named.add(key);
  }
  for (const { key } of (await log.newest()).files.values()) named.add(key);
  return named;
}
