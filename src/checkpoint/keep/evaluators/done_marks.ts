import { CairnError } from "../../../base/errors.ts";
import { joinPath } from "../../../storage/storage_path.ts";
import { requireFolder } from "../../engine/checkpoint_folder.ts";
import type { Engine } from "../../engine/engine.ts";
import { openEngine } from "../../engine/open_engine.ts";
import { checkpointPath } from "../../file/open_path.ts";
import { readSmallFile, writeSmallFile } from "../../file/small_file.ts";
import { tagOfStep } from "../../engine/step_tag.ts";
import { checkTag } from "../../file/tags.ts";

/** The directory beside the checkpoints that the marks of evaluators lie in. */
export const DONE_EVAL_SUBDIR = "evaled_by";

const PARTITION = /^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9])?$/;
const MARK_END = "_DONE";

/** A checkpoint by its path in the file system, or by the engine that has it and its tag, or its step. */
export type CheckpointName = string | URL | { readonly engine: Engine; readonly tag: string | number };

/**
 * The directory of the marks of a checkpoint: `runs/a/evaled_by` for `runs/a/100.cairn`. A checkpoint is one file, so
 * that it is beside the checkpoint and not in it.
 */
export function evalSubdir(checkpoint: string): string {
  const { directory } = checkpointPath(checkpoint);
  return `${directory}/${DONE_EVAL_SUBDIR}`;
}

/** The mark of one partition: `runs/a/evaled_by/100@test_DONE`. @throws TypeError for the name of a partition. */
export function evalDonePath(checkpoint: string, partition: string): string {
  const { fileName } = checkpointPath(checkpoint);
  return `${evalSubdir(checkpoint)}/${markName(checkTag(fileName), partition)}`;
}

/**
 * Marks a partition's evaluation of a checkpoint as done, durably and for all processes. Marking it twice does no
 * harm. The mark is for this very file: a checkpoint that is overwritten later counts as not evaluated.
 *
 * @param partition 1 to 64 letters, digits, ".", "_" and "-".
 * @throws CairnError `not_found` when there is no such checkpoint, or what is wrong with it.
 */
export async function markDoneEval(checkpoint: CheckpointName, partition: string): Promise<void> {
  const { engine, tag } = await resolveName(checkpoint);
  const name = markName(tag, partition);
  const { storage, directory } = requireFolder(engine);
  const fileId = await fileIdOf(engine, tag);
  await writeSmallFile(storage, joinPath(joinPath(directory, DONE_EVAL_SUBDIR), name), { fileId });
}

/** Whether {@link markDoneEval} was called for the checkpoint as it is now. False when it is not there any more. */
export async function isDoneEval(checkpoint: CheckpointName, partition: string): Promise<boolean> {
  checkPartition(partition);
  const found = await resolveName(checkpoint).catch(absent);
  return found !== undefined && (await donePartitions(found.engine, found.tag, [partition])).has(partition);
}

/** Those of `partitions` whose evaluation of a checkpoint is done; none when the checkpoint is not there. */
export async function donePartitions(
  engine: Engine,
  tag: string,
  partitions: readonly string[],
): Promise<ReadonlySet<string>> {
  const names = new Map(partitions.map((partition) => [markName(tag, partition), partition]));
  const { storage, directory } = requireFolder(engine);
  const marks = joinPath(directory, DONE_EVAL_SUBDIR);
  const done = new Set<string>();
  let fileId: string | undefined;
  for (const { name } of await storage.list(marks)) {
    const partition = names.get(name);
    if (partition === undefined) continue;
    fileId ??= await fileIdOf(engine, tag).catch(absent);
    const mark = await readSmallFile(storage, joinPath(marks, name));
    const isOfThisFile = typeof mark === "object" && mark !== null && !Array.isArray(mark) &&
      mark.fileId === fileId;
    if (fileId !== undefined && isOfThisFile) done.add(partition);
  }
  return done;
}

/** Removes the marks of checkpoints that are gone. A mark that cannot be removed stays, and means nothing. */
export async function removeMarks(engine: Engine, tags: readonly string[]): Promise<void> {
  const [folder] = engine.folders;
  if (folder === undefined) return;
  const marks = joinPath(folder.directory, DONE_EVAL_SUBDIR);
  for (const { name } of await folder.storage.list(marks)) {
    const [tag = ""] = name.split("@");
    if (tags.includes(tag)) await folder.storage.remove(joinPath(marks, name)).catch(() => {});
  }
}

/** @throws TypeError unless it can be a part of a file's name. */
export function checkPartition(partition: string): void {
  if (typeof partition === "string" && PARTITION.test(partition)) return;
  throw new TypeError(
    `${
      JSON.stringify(partition)
    } cannot be a partition's name: it is 1 to 64 letters, digits, ".", "_" and "-", ` +
      "and begins and ends with a letter or digit",
  );
}

/** "@" is in no tag, so that the name says which part is which. */
function markName(tag: string, partition: string): string {
  checkPartition(partition);
  return `${tag}@${partition}${MARK_END}`;
}

async function resolveName(name: CheckpointName): Promise<{ engine: Engine; tag: string }> {
  if (typeof name !== "string" && !(name instanceof URL)) {
    const { engine, tag } = name;
    return { engine, tag: typeof tag === "number" ? await tagOfStep(engine, tag) : checkTag(tag) };
  }
  const { directory, fileName } = checkpointPath(name);
  return { engine: await openEngine(directory), tag: checkTag(fileName) };
}

async function fileIdOf(engine: Engine, tag: string): Promise<string> {
  const checkpoint = await engine.load(tag);
  await checkpoint.close();
  return checkpoint.reader.fileId;
}

function absent(error: unknown): undefined {
  if (!(error instanceof CairnError) || error.code === "invalid_tag") throw error;
}
