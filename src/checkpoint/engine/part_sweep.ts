import { CairnError } from "../../base/errors.ts";
import { ContainerReader } from "../../container/read/container_reader.ts";
import type { Manifest } from "../../container/format/manifest.ts";
import type { PartRecord } from "../../container/format/part_list.ts";
import { TEMPORARY_PREFIX } from "../../storage/durable_file.ts";
import { namesIn } from "../../storage/names_in.ts";
import type { Storage } from "../../storage/storage.ts";
import { directoryOf, joinPath } from "../../storage/storage_path.ts";
import { KnownCheckpoints } from "./known_checkpoints.ts";
import { type LeftoversOwner, removeLeftovers, STALE_TEMPORARY_MS } from "../file/leftovers.ts";
import { DAMAGED_DIRECTORY } from "./checkpoint_folder.ts";
import { openSource } from "../file/storage_source.ts";
import { fileNameOf } from "../file/tags.ts";
import { fileIdOfPart, partPath, PARTS_DIRECTORY } from "../file/parts/part_files.ts";

/** The parts that the indexes of a directory name. */
interface NamedParts {
  readonly fileIds: ReadonlySet<string>;
  /** Whether every index could be read: only then a part that none names belongs to nothing. */
  readonly isComplete: boolean;
}

/** The parts of the checkpoint at `path`; none when there is none, it cannot be read, or it is one file. */
export async function partsAt(storage: Storage, path: string): Promise<readonly PartRecord[]> {
  try {
    // Where there are no parts at all, nothing is opened.
    const names = await namesIn(storage, joinPath(directoryOf(path), PARTS_DIRECTORY));
    return names.length === 0 ? [] : (await manifestAt(storage, path)).parts?.files ?? [];
  } catch (error) {
    if (error instanceof CairnError) return [];
    throw error;
  }
}

/**
 * Removes parts of a deleted checkpoint, except those that another index names, such as a copy made by hand. What
 * cannot be removed stays, for {@link removeDeadParts}.
 */
export async function removeUnnamedParts(
  storage: Storage,
  directory: string,
  parts: readonly PartRecord[],
): Promise<void> {
  if (parts.length === 0) return;
  try {
    const { fileIds, isComplete } = await namedParts(storage, directory);
    // The unreadable index may be this one, published by a move that reported failure.
    if (!isComplete) return;
    for (const part of parts) {
      if (!fileIds.has(part.fileId)) await storage.remove(partPath(directory, part)).catch(() => {});
    }
  } catch (error) {
    if (!(error instanceof CairnError)) throw error;
  }
}

/**
 * Removes parts that belong to nothing: no index names them, neither one that is there, nor one that is about to be
 * committed or removed, nor one in the quarantine. They come from a save or a removal that was stopped between the
 * parts and the index. One that another run wrote stays for a day, as one of its ranks may be waiting for the others.
 * Where an index cannot be read, such as one that is being written, nothing is known, and all of them stay. Call it
 * after {@link removeLeftovers}.
 *
 * @param isKnown Whether what is in the directory was looked at just now.
 */
export async function removeDeadParts(
  storage: Storage,
  directory: string,
  owner: LeftoversOwner,
  isKnown = false,
): Promise<void> {
  const partsDirectory = joinPath(directory, PARTS_DIRECTORY);
  const names = await namesIn(storage, partsDirectory);
  if (names.length === 0) return;
  await removeLeftovers(storage, partsDirectory, owner, names);
  // Listed before the indexes are read: what is committed meanwhile is seen there.
  const indexes = KnownCheckpoints.in(storage, directory);
  if (!isKnown) await indexes.see(await namesIn(storage, directory));
  const named = indexes.partIds;
  const suspects = new Set(names.filter((name) => {
    const fileId = fileIdOfPart(name);
    return fileId !== undefined && !named.has(fileId);
  }));
  if (suspects.size === 0) return;
  const { fileIds, isComplete } = await namedParts(storage, directory);
  if (!isComplete) return;
  const entries = await storage.list(partsDirectory, { only: (name) => suspects.has(name) });
  for (const { name, kind, modifiedMs } of entries) {
    if (kind !== "file" || !suspects.has(name)) continue;
    if (fileIds.has(fileIdOfPart(name) ?? "")) continue;
    const path = joinPath(partsDirectory, name);
    const isStale = modifiedMs < owner.nowMs - STALE_TEMPORARY_MS;
    if (isStale || await runOf(storage, path) === owner.runId) await storage.remove(path).catch(() => {});
  }
}

async function runOf(storage: Storage, path: string): Promise<string | undefined> {
  try {
    return (await manifestAt(storage, path)).provenance.runId;
  } catch (error) {
    if (error instanceof CairnError) return undefined;
    throw error;
  }
}

async function namedParts(storage: Storage, directory: string): Promise<NamedParts> {
  const fileIds = new Set<string>();
  let isComplete = true;
  /** What is being written or removed, or cannot be opened as a whole. */
  const addFrom = async (path: string): Promise<void> => {
    try {
      const { parts } = await manifestAt(storage, path);
      for (const { fileId } of parts?.files ?? []) fileIds.add(fileId);
    } catch (error) {
      if (!(error instanceof CairnError)) throw error;
      // It is being written and may name them, or it has another name now, or it is damaged.
      isComplete = false;
    }
  };
  for (const each of [directory, joinPath(directory, DAMAGED_DIRECTORY)]) {
    // Temporary ones first: what is committed meanwhile is seen below.
    for (const name of await namesIn(storage, each)) {
      if (name.startsWith(TEMPORARY_PREFIX)) await addFrom(joinPath(each, name));
    }
    // Opens what is another file than at the last look, so that the cost does not grow with what is there.
    const { checkpoints, unreadable } = await KnownCheckpoints.in(storage, each).lookNow();
    for (const { partIds = [] } of checkpoints) for (const fileId of partIds) fileIds.add(fileId);
    for (const name of await filesNamed(storage, each, unreadable.map(({ tag }) => fileNameOf(tag)))) {
      await addFrom(joinPath(each, name));
    }
  }
  return { fileIds, isComplete };
}

async function manifestAt(storage: Storage, path: string): Promise<Manifest> {
  const source = await openSource(storage, path);
  try {
    return (await ContainerReader.open(source)).manifest;
  } finally {
    await source.close();
  }
}

/** Those of `names` that are files: a directory that has the name of a checkpoint names no parts. */
async function filesNamed(storage: Storage, directory: string, names: readonly string[]): Promise<string[]> {
  if (names.length === 0) return [];
  const entries = await storage.list(directory, { only: (name) => names.includes(name) });
  return entries.filter(({ name, kind }) => names.includes(name) && kind !== "directory").map(({ name }) =>
    name
  );
}
