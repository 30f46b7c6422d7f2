import { directoryOf, joinPath, nameOf } from "../storage_path.ts";
import type { S3Client } from "./s3_client.ts";
import { listObjects } from "./s3_objects.ts";

/** Where small files are that are no checkpoints, each by its own name. */
export const FILES_PREFIX = "files/";

/** Names in the log of what has no name any more for others, and is still read. No directory lists them. */
const HELD_PREFIX = ".held/";

/** A lease is renewed more often by whoever lives. By the store's clock. */
const DEAD_LEASE_MS = 24 * 60 * 60 * 1000;

/** Where the leases of readers lie beside checkpoints, one file `<tag>@<random>.lease` each; written by `Lease`. */
const LEASE_DIRECTORY = "leases";
/** The directory of the files that a checkpoint in several parts consists of. */
const PARTS_DIRECTORY = "parts";

/**
 * How the leases begin that hold the bytes of `path`: those of its tag, whatever file has that by now. Of a part nobody
 * can say whose it is, so that every lease beside it holds it.
 */
export function leasesOn(path: string): string {
  const directory = directoryOf(path);
  if (nameOf(directory) === PARTS_DIRECTORY) return `${joinPath(directoryOf(directory), LEASE_DIRECTORY)}/`;
  return `${joinPath(directory, LEASE_DIRECTORY)}/${nameOf(path).replace(/\.cairn$/, "")}@`;
}

/** Whether there is such a lease. */
export async function isHeld(client: S3Client, leases: string): Promise<boolean> {
  const { objects } = await listObjects(client, FILES_PREFIX + leases);
  return objects.some(({ modifiedMs }) => modifiedMs > client.serverMs - DEAD_LEASE_MS);
}

/** The name that an object has in the log while these leases hold it. */
export function heldName(leases: string, key: string): string {
  return `${HELD_PREFIX}${leases}/${nameOf(key)}`;
}

/** The leases that hold what has this name; `undefined` for any other name. */
export function leasesOfHeld(name: string): string | undefined {
  return name.startsWith(HELD_PREFIX) ? directoryOf(name).slice(HELD_PREFIX.length) : undefined;
}
