import { randomHex } from "../../base/hex.ts";
import { checkOptions, type OptionNames } from "../../base/options/options.ts";
import type { Storage } from "../../storage/storage.ts";
import { CairnError } from "../../base/errors.ts";
import { writeDurably } from "../../storage/write_durably.ts";
import { directoryOf, joinPath, nameOf } from "../../storage/storage_path.ts";
import { type CheckedTensor, checkedTensors, type TensorsToWrite } from "../outgoing.ts";
import { encodeSafetensorsIndex, INDEX_EXTENSION, shardName } from "./safetensors_shards.ts";
import {
  checkMetadata,
  SAFETENSORS_OPTIONS,
  type SafetensorsOptions,
  withoutAliases,
  writePlanned,
} from "./write_safetensors.ts";

const EXTENSION = ".safetensors";

/** Options of {@link saveSafetensors}. */
export interface SaveSafetensorsOptions extends SafetensorsOptions {
  /**
   * Replace a file that is there, in one step. A model in several files cannot be replaced in one step, and never is.
   */
  readonly overwrite?: boolean | undefined;
  /** Write several files and an index when the tensors have more bytes than this. A tensor is never cut. */
  readonly maxFileBytes?: number | undefined;
}

/** Every option of {@link SaveSafetensorsOptions}. */
export const SAVE_SAFETENSORS_OPTIONS: OptionNames<SaveSafetensorsOptions> = {
  ...SAFETENSORS_OPTIONS,
  overwrite: true,
  maxFileBytes: true,
};

/** What {@link saveSafetensors} wrote. */
export interface SavedSafetensors {
  /** What to open: the file, or the index of several. */
  readonly path: string;
  /** Every file with tensors in it. */
  readonly files: readonly string[];
  /** Bytes of all files together, the index included. */
  readonly fileBytes: number;
  /** Tensors that are in no file because another one has their bytes: name → that one's name. */
  readonly dropped: ReadonlyMap<string, string>;
}

/**
 * Saves tensors in a storage as `….safetensors`, or as several files with an index by Hugging Face's convention.
 * Every file is written beside its name, synced and renamed, so that a reader with the old file open keeps it; the
 * index comes last and is what makes a model of several files exist. When it resolves, all of it is durable.
 *
 * @throws TypeError for a path or tensors that do not fit; CairnError `already_exists` or of the storage.
 */
export async function saveSafetensors(
  storage: Storage,
  path: string,
  tensors: TensorsToWrite,
  options: SaveSafetensorsOptions = {},
): Promise<SavedSafetensors> {
  if (!path.endsWith(EXTENSION)) throw new TypeError(`The path "${path}" does not end with ${EXTENSION}`);
  const { maxFileBytes = Infinity } = checkOptions("saveSafetensors()", options, SAVE_SAFETENSORS_OPTIONS);
  if (!(maxFileBytes > 0)) throw new RangeError(`maxFileBytes is ${maxFileBytes}, expected more than 0`);
  const checked = checkedTensors(tensors);
  const shards = cut(withoutAliases(checked).kept, maxFileBytes);
  if (shards.length > 1) return await saveShards(storage, path, checked, shards, options);
  const { fileBytes, dropped } = await writeDurably(
    storage,
    path,
    { overwrite: options.overwrite, randomName: randomHex(8) },
    (sink) => writePlanned(sink, checked, options),
  );
  return { path, files: [path], fileBytes, dropped };
}

/** In the caller's order, each file filled as far as it goes. */
function cut(tensors: readonly CheckedTensor[], maxFileBytes: number): CheckedTensor[][] {
  const shards: CheckedTensor[][] = [[]];
  let filled = 0;
  for (const tensor of tensors) {
    if (filled > 0 && filled + tensor.byteLength > maxFileBytes) {
      shards.push([]);
      filled = 0;
    }
    shards.at(-1)?.push(tensor);
    filled += tensor.byteLength;
  }
  return shards;
}

async function saveShards(
  storage: Storage,
  path: string,
  tensors: readonly CheckedTensor[],
  shards: readonly CheckedTensor[][],
  options: SaveSafetensorsOptions,
): Promise<SavedSafetensors> {
  const indexPath = path + INDEX_EXTENSION;
  await refuseIndex(storage, indexPath);
  const { kept, dropped } = withoutAliases(tensors);
  checkMetadata(options.metadata ?? {}, dropped, kept);
  const total = kept.reduce((sum, { byteLength }) => sum + byteLength, 0);
  const weightMap = new Map<string, string>();
  const files: string[] = [];
  let fileBytes = 0;
  let before = 0;
  for (const [i, shard] of shards.entries()) {
    const file = shardName(nameOf(path).slice(0, -EXTENSION.length), i + 1, shards.length);
    const names = new Set(shard.map(({ name }) => name));
    const aliases = [...dropped].filter(([, name]) => names.has(name));
    const metadata = { ...options.metadata, ...Object.fromEntries(aliases) };
    const start = before;
    const onProgress = ({ done }: { done: number }): void =>
      options.onProgress?.({ done: start + done, total });
    files.push(joinPath(directoryOf(path), file));
    // What an earlier attempt left behind may go: without an index it is no model.
    const report = await writeDurably(
      storage,
      files[i] as string,
      { overwrite: true, randomName: randomHex(8) },
      (sink) => writePlanned(sink, shard, { ...options, metadata, onProgress }),
    );
    fileBytes += report.fileBytes;
    for (const { name, byteLength } of shard) {
      weightMap.set(name, file);
      before += byteLength;
    }
  }
  const index = encodeSafetensorsIndex(weightMap, total);
  await writeDurably(storage, indexPath, { randomName: randomHex(8) }, (sink) => sink.write(index));
  return { path: indexPath, files, fileBytes: fileBytes + index.byteLength, dropped };
}

async function refuseIndex(storage: Storage, path: string): Promise<void> {
  const entries = await storage.list(directoryOf(path));
  if (!entries.some(({ name }) => name === nameOf(path))) return;
  const full = storage.describe(path);
  throw new CairnError(
    "already_exists",
    `Cannot save "${full}": it exists already, and a model in several files cannot be replaced in one step; save it elsewhere`,
    { details: { path: full } },
  );
}
