import type { Storages } from "../../storage/open_storage.ts";
import { joinPath } from "../../storage/storage_path.ts";
import { Checkpoint } from "../file/checkpoint.ts";
import type { Engine } from "./engine.ts";
import { withoutPrefix } from "./engine_paths.ts";
import { openCheckpoint } from "../file/open_path.ts";
import { isRunId } from "../file/run_id.ts";
import { CHECKPOINT_EXTENSION, tagOfFileName } from "../file/tags.ts";

/**
 * Opens a checkpoint by what a user may name it: the engine's own by step, tag or path, any other by its path in the
 * file system or in one of `storages`. A path is opened whatever the file is called. The caller closes it.
 */
export async function openFrom(
  engine: Engine,
  name: string | number | URL,
  signal?: AbortSignal,
  storages?: Storages,
): Promise<Checkpoint> {
  if (typeof name === "number" || (typeof name === "string" && isOwnName(engine, name))) {
    return await engine.load(name, { signal });
  }
  const [folder] = engine.folders;
  if (folder === undefined || typeof name !== "string" || /[/\\]/.test(name)) {
    return await openCheckpoint(name, signal, storages);
  }
  // A file of the own directory that the engine itself would not have called so.
  const tag = name.slice(0, -CHECKPOINT_EXTENSION.length);
  return await Checkpoint.open(folder.storage, joinPath(folder.directory, name), tag, signal);
}

/** Whether a checkpoint lies in the engine's own directory, under a name that the engine could have given it. */
export function isOwnFile(engine: Engine, { tag, path }: Checkpoint): boolean {
  // The tag is a file's name here, and need not be what an engine takes.
  return isTag(tag) && engine.pathOf(tag) === path;
}

/**
 * The run that goes on when a checkpoint of the engine's own directory is restored; `undefined` where the file names
 * none.
 */
export function runToContinue(engine: Engine, checkpoint: Checkpoint): string | undefined {
  const { runId } = checkpoint.provenance;
  return isRunId(runId) && isOwnFile(engine, checkpoint) ? runId : undefined;
}

/** Whether `name` is the engine's to open: a tag, a file of that name, or the path of one right in its directory. */
function isOwnName(engine: Engine, name: string): boolean {
  const file = withoutPrefix(name, [engine.location]);
  const isPath = file !== name;
  if (/[/\\]/.test(file)) return false;
  // What is neither is refused by the engine, which says what a tag is.
  const isFile = file.endsWith(CHECKPOINT_EXTENSION);
  return isFile ? tagOfFileName(file) !== undefined : !isPath || isTag(file);
}

function isTag(tag: string): boolean {
  return tagOfFileName(tag + CHECKPOINT_EXTENSION) !== undefined;
}
