import type { PartRecord } from "../../../container/format/part_list.ts";
import { joinPath } from "../../../storage/storage_path.ts";
import { CHECKPOINT_EXTENSION } from "../tags.ts";

/** The directory beside the checkpoints for the parts of those that have several files. */
export const PARTS_DIRECTORY = "parts";

const PART_FILE = /-([0-9a-f]{32})\.cairn$/;

/**
 * The name of a part's file. It follows from what the index says of the part, so that no file has a path in it; and
 * as every file has another id, a checkpoint that is overwritten keeps its parts until the new one is there.
 */
export function partFileName({ name, fileId }: Pick<PartRecord, "name" | "fileId">): string {
  return `${name}-${fileId}${CHECKPOINT_EXTENSION}`;
}

/** The path of a part of a checkpoint in `directory`. */
export function partPath(directory: string, part: Pick<PartRecord, "name" | "fileId">): string {
  return joinPath(joinPath(directory, PARTS_DIRECTORY), partFileName(part));
}

/** The file id in the name of a part's file, or `undefined` when it is no such name. */
export function fileIdOfPart(fileName: string): string | undefined {
  return PART_FILE.exec(fileName)?.[1];
}
