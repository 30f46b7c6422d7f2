import { checkOptions, type OptionNames } from "../base/options/options.ts";
import { type Work, WORK_OPTIONS } from "../base/work.ts";
import type { CompressionMode } from "../container/codec/choose.ts";
import type { StateValue } from "../container/format/state_tree.ts";
import type { WriteReport } from "../container/write/container_writer.ts";
import { CHECKPOINT_EXTENSION } from "../checkpoint/file/tags.ts";
import { cutLocation } from "../storage/cut_location.ts";
import { openStorage, type Storages } from "../storage/open_storage.ts";
import { type CheckedTensor, checkedTensors, type TensorsToWrite } from "./outgoing.ts";
import { writeContainer } from "./write_container.ts";

/** Options of {@link writeCairn}. Its progress is in bytes of tensors. */
export interface WriteCairnOptions extends Work {
  /** Replace a file that is there, in one step. */
  readonly overwrite?: boolean | undefined;
  /** How much time to give for how few bytes. Default `"balanced"`. */
  readonly mode?: CompressionMode | undefined;
  /** What else the file says, such as where the tensors are from; `manifest.user` of who reads it. */
  readonly user?: StateValue | undefined;
  /** Storages of your own, by the scheme of their locations. */
  readonly storages?: Storages | undefined;
}

/** Every option of {@link WriteCairnOptions}. */
export const WRITE_CAIRN_OPTIONS: OptionNames<WriteCairnOptions> = {
  overwrite: true,
  mode: true,
  user: true,
  storages: true,
  ...WORK_OPTIONS,
};

/** What {@link writeCairn} wrote. */
export interface WrittenCairn extends WriteReport {
  /** Full name of the file. */
  readonly path: string;
}

/**
 * Writes tensors into one `.cairn` file. It needs no GPU, and takes them as `writeSafetensors` does: by name, as
 * tensors or as numbers, or as the list that `tensorsOfFile` makes of a file of another format, of which one tensor at
 * a time is in memory. When it resolves, the file is durable and was read back; until then there is none of its name.
 *
 * @param path Ends with ".cairn", or gets that ending; a location in one of `storages` will do.
 * @throws TypeError for tensors that do not fit; CairnError `already_exists`, or of the storage.
 */
export async function writeCairn(
  path: string | URL,
  tensors: TensorsToWrite,
  options: WriteCairnOptions = {},
): Promise<WrittenCairn> {
  const { overwrite = false, mode, user = {}, storages = {}, signal, onProgress } = checkOptions(
    "writeCairn()",
    options,
    WRITE_CAIRN_OPTIONS,
    '{ overwrite: true, mode: "small" }',
  );
  const checked = aliasesBehind(checkedTensors(tensors));
  const { directory, name, full } = cutLocation(path, storages);
  if (name === "" || name === "." || name === "..") {
    throw new TypeError(`${JSON.stringify(full)} names no file; expected a path such as "model.cairn"`);
  }
  const fileName = name.endsWith(CHECKPOINT_EXTENSION) ? name : name + CHECKPOINT_EXTENSION;
  const storage = await openStorage(directory, storages);
  const work = { overwrite, mode, signal, onProgress };
  const report = await writeContainer(storage, fileName, checked, { user }, work);
  return { ...report, path: storage.describe(fileName) };
}

/** In the order given, but each alias behind the tensor that has the bytes, as the format wants it. */
function aliasesBehind(tensors: readonly CheckedTensor[]): CheckedTensor[] {
  const placed = new Map<string, CheckedTensor[]>();
  for (const tensor of tensors) if (tensor.aliasOf === undefined) placed.set(tensor.name, [tensor]);
  for (const tensor of tensors) if (tensor.aliasOf !== undefined) placed.get(tensor.aliasOf)?.push(tensor);
  return [...placed.values()].flat();
}
