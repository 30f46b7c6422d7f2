import type { Storages } from "../storage/open_storage.ts";
import type { Checkpoint } from "./checkpoint.ts";
import type { Engine } from "./engine.ts";
import { openCheckpoint } from "./open_path.ts";
import { isRunId } from "./run_id.ts";
import { CHECKPOINT_EXTENSION, tagOfFileName } from "./tags.ts";

/**
 * Opens a checkpoint by what a user may name it: the engine's own by step, tag or path, any other by its path in the file
 * system or in one of `storages`. A path is opened whatever the file is called. The caller closes it.
 */
export async function openFrom(
  engine: Engine,
  name: string | number | URL,
  signal?: AbortSignal,
  storages?: Storages,
): Promise<Checkpoint> {
  return typeof name === "number" || (typeof name === "string" && isOwnName(engine, name))
    ? await engine.load(name, signal === undefined ? {} : { signal })
    : await openCheckpoint(name, signal, storages);
}

/** Whether a checkpoint lies in the engine's own directory, under a name that the engine could have given it. */
export function isOwnFile(engine: Engine, { tag, path }: Checkpoint): boolean {
  // The tag is a file's name here, and need not be what an engine takes.
  return isTag(tag) && engine.pathOf(tag) === path;
}

/** The run that goes on when a checkpoint of the engine's own directory is restored; `undefined` where the file names none. */
export function runToContinue(engine: Engine, checkpoint: Checkpoint): string | undefined {
  const { runId } = checkpoint.provenance;
  return isRunId(runId) && isOwnFile(engine, checkpoint) ? runId : undefined;
}

/** Whether `name` is a tag, a file name, or the path of a file right in the engine's directory, and not below it. */
function isOwnName(engine: Engine, name: string): boolean {
  const own = engine.pathOf("x").slice(0, -"x.cairn".length);
  if (!name.startsWith(own)) return !/[/\\]/.test(name);
  const file = name.slice(own.length);
  return !/[/\\]/.test(file) &&
    isTag(file.endsWith(CHECKPOINT_EXTENSION) ? file.slice(0, -CHECKPOINT_EXTENSION.length) : file);
}

function isTag(tag: string): boolean {
  return tagOfFileName(tag + CHECKPOINT_EXTENSION) !== undefined;
}
