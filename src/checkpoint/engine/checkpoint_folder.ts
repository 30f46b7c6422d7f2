import { CairnError } from "../../base/errors.ts";
import { nodeBuiltin } from "../../base/node_builtin.ts";
import { FileStorage } from "../../storage/file_storage.ts";
import type { Storage } from "../../storage/storage.ts";
import type { Engine } from "./engine.ts";

/** The directory beside the checkpoints that damaged ones are moved into. */
export const DAMAGED_DIRECTORY = "damaged";

/** The directory of a storage that checkpoints lie in, for the small files beside them: leases, marks, counters. */
export interface CheckpointFolder {
  readonly storage: Storage;
  readonly directory: string;
}

/**
 * Where an engine's checkpoints lie: what the engine says itself or the one that it wraps, or else its location, when that
 * is in the file system. `undefined` when neither can be told, and then there is nothing beside its checkpoints.
 */
export async function folderOf(engine: Engine): Promise<CheckpointFolder | undefined> {
  for (let candidate: unknown = engine; isObject(candidate); candidate = candidate.inner) {
    const { storage, directory } = candidate;
    if (isStorage(storage) && typeof directory === "string") return { storage, directory };
  }
  if (!nodeBuiltin("node:path")?.isAbsolute(engine.location)) return undefined;
  return { storage: await FileStorage.open(engine.location), directory: "" };
}

/** All places of an engine that has several, with a field `engines`; the one of any other. */
export async function foldersOf(engine: Engine): Promise<CheckpointFolder[]> {
  const { engines } = engine as { readonly engines?: readonly Engine[] };
  const members = Array.isArray(engines) ? engines as readonly Engine[] : [engine];
  const folders: CheckpointFolder[] = [];
  for (const member of members) {
    const folder = await folderOf(member);
    if (folder !== undefined) folders.push(folder);
  }
  return folders;
}

/** As {@link folderOf}. @throws CairnError `unsupported` where that is undefined. */
export async function requireFolder(engine: Engine): Promise<CheckpointFolder> {
  const folder = await folderOf(engine);
  if (folder !== undefined) return folder;
  throw new CairnError(
    "unsupported",
    `The engine "${engine.name}" does not say in which storage its checkpoints lie; give it the fields storage and directory`,
  );
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}

function isStorage(value: unknown): value is Storage {
  return isObject(value) && typeof value.openRead === "function" &&
    typeof value.createExclusive === "function";
}
