import { type Work, WORK_OPTIONS } from "../../base/work.ts";
import { MODEL_GROUP } from "../../tensor/group_names.ts";
import { checkOptions, type OptionNames } from "../../base/options/options.ts";
import { byteSizeOf } from "../../base/dtype.ts";
import { CairnError } from "../../base/errors.ts";
import { type CastDType, isCastable } from "../../container/read/cast.ts";
import type { ContainerReader } from "../../container/read/container_reader.ts";
import type { Manifest } from "../../container/format/manifest.ts";
import type { TensorRecord } from "../../container/format/layout.ts";
import type { Storage } from "../../storage/storage.ts";
import { averagedWeights } from "../file/averaged_weights.ts";
import type { Checkpoint } from "../file/checkpoint.ts";

import { type NamePattern, NameSelection } from "../../base/name_pattern.ts";
import { isStoreTensor } from "../file/parts/placement.ts";
import { CHECKPOINT_EXTENSION } from "../file/tags.ts";
import type { CheckedTensor } from "../../exchange/outgoing.ts";
import { saveSafetensors } from "../../exchange/safetensors/save_safetensors.ts";
import { writeContainer } from "../../exchange/write_container.ts";

/** Options of {@link exportWeights}. */
export interface ExportWeightsOptions extends Work {
  /**
   * What floating-point tensors are written as: rounded to nearest, ties to even. Other tensors, f64 included, stay
   * as they are. Unless given, all of them do.
   */
  readonly dtype?: CastDType | undefined;
  /** Tensors to leave out, by their names in the checkpoint. */
  readonly exclude?: readonly NamePattern[] | undefined;
  /**
   * Whether weights of which the optimiser kept an average are taken from that, as they were evaluated. Default true.
   */
  readonly averaged?: boolean | undefined;
  /** Replace a file that is there. */
  readonly overwrite?: boolean | undefined;
}

/** Every option of {@link ExportWeightsOptions}. */
export const EXPORT_WEIGHTS_OPTIONS: OptionNames<ExportWeightsOptions> = {
  dtype: true,
  exclude: true,
  averaged: true,
  overwrite: true,
  ...WORK_OPTIONS,
};

/** What {@link exportWeights} wrote. */
export interface ExportedWeights {
  /** In the storage. */
  readonly path: string;
  /** Bytes of the file. */
  readonly fileBytes: number;
  /** Names in the file. */
  readonly tensors: readonly string[];
}

const SAFETENSORS_EXTENSION = ".safetensors";

/**
 * Writes the weights of a checkpoint, and nothing else of it, into one file, wherever and in however many parts they
 * lie: tensors of the group `model`, or their averages, without that in front of their names. It is read piece by
 * piece; in memory is a chunk. When it resolves, the file is durable. Follows DeepSpeed's `zero_to_fp32` and
 * `save_16bit_model`.
 *
 * @param path Ends with ".cairn" or ".safetensors", which says the format.
 * @throws TypeError for another ending; CairnError `not_found` when there are no weights, `state_mismatch` for
 * weights that several ranks had each for itself, `already_exists`, `checksum_mismatch`.
 */
export async function exportWeights(
  checkpoint: Checkpoint,
  storage: Storage,
  path: string,
  options: ExportWeightsOptions = {},
): Promise<ExportedWeights> {
  checkOptions("exportWeights()", options, EXPORT_WEIGHTS_OPTIONS);
  const isContainer = path.endsWith(CHECKPOINT_EXTENSION);
  if (!isContainer && !path.endsWith(SAFETENSORS_EXTENSION)) {
    throw new TypeError(`Cannot export to "${path}": expected a path that ends with .cairn or .safetensors`);
  }
  if (options.dtype !== undefined && !isCastable(options.dtype)) {
    throw new TypeError(`Cannot export as "${options.dtype}"; use "f32", "f16" or "bf16"`);
  }
  requireWhole(checkpoint);
  const { averaged = true, signal } = options;
  const averages = averaged ? await averagedWeights(checkpoint.reader, signal) : new Map();
  const weights = weightsOf(checkpoint, options, averages);
  const tensors = weights.map(({ name }) => name);
  const { overwrite = false, onProgress } = options;
  if (isContainer) {
    const work = { overwrite, signal, onProgress };
    const { fileBytes } = await writeContainer(storage, path, weights, manifestOf(checkpoint), work);
    return { path, fileBytes, tensors };
  }
  const { fileBytes } = await saveSafetensors(storage, path, weights, {
    overwrite,
    signal,
    onProgress,
  });
  return { path, fileBytes, tensors };
}

function weightsOf(
  checkpoint: Checkpoint,
  { dtype, exclude, signal }: ExportWeightsOptions,
  averages: ReadonlyMap<string, TensorRecord>,
): CheckedTensor[] {
  const { reader, tag, path } = checkpoint;
  const selection = new NameSelection(undefined, exclude);
  const stored = reader.tensors.filter(({ name }) => isStoreTensor(name));
  const prefix = stored.some(({ name }) => name.startsWith(`${MODEL_GROUP}.`)) ? `${MODEL_GROUP}.` : "";
  const isWeight = (name: string): boolean => name.startsWith(prefix) && selection.has(name);
  requireOne(checkpoint, isWeight);
  const taken = new Set(stored.map(({ name }) => name).filter(isWeight));
  const inFile = (name: string): string => name.slice(prefix.length);
  const weights = stored.filter(({ name }) => taken.has(name)).map((record): CheckedTensor => {
    const { name, aliasOf } = record;
    const cast = dtype !== undefined && isCastable(record.dtype) ? dtype : record.dtype;
    const options = { signal, cast: isCastable(cast) && cast !== record.dtype ? cast : undefined };
    return {
      name: inFile(name),
      dtype: cast,
      shape: record.shape,
      byteLength: lengthAs(record, cast),
      aliasOf: aliasOf !== undefined && taken.has(aliasOf) ? inFile(aliasOf) : undefined,
      pieces: () => piecesOf(reader, averages.get(name)?.name ?? name, options),
    };
  });
  if (weights.length > 0) return weights;
  throw new CairnError("not_found", `There are no weights to export in checkpoint "${tag}" (${path})`, {
    details: { tag, path },
  });
}

/** @throws TypeError when the checkpoint is looked at as by one of several ranks. */
function requireWhole({ placement: { worldSize, sharded } }: Checkpoint): void {
  const isWhole = worldSize === 1 &&
    Object.values(sharded).every(({ start, end, rows }) => end - start === rows);
  if (!isWhole) {
    throw new TypeError("Cannot export what one rank of several has; open the checkpoint without forRank");
  }
}

/** @throws CairnError `state_mismatch` for a weight of which ranks have different ones. */
function requireOne({ placement, tag, path }: Checkpoint, isWeight: (name: string) => boolean): void {
  for (const { rank, tensors } of placement.leftBehind) {
    const tensor = tensors.find(isWeight);
    if (tensor === undefined) continue;
    throw new CairnError(
      "state_mismatch",
      `Cannot export checkpoint "${tag}" (${path}): "${tensor}" was an own tensor of rank ${rank}; ` +
        "save it as replicated or sharded, or leave it out with exclude",
      { details: { tensor, tag, path } },
    );
  }
}

function lengthAs({ byteLength, dtype }: TensorRecord, cast: TensorRecord["dtype"]): number {
  return byteLength / byteSizeOf(dtype) * byteSizeOf(cast);
}

async function* piecesOf(
  reader: ContainerReader,
  name: string,
  options: { readonly signal: AbortSignal | undefined; readonly cast: CastDType | undefined },
): AsyncGenerator<Uint8Array> {
  for await (const { bytes } of reader.stream(name, options)) yield bytes;
}

/** What the checkpoint says of itself, without what ties it to its run. */
function manifestOf({ reader }: Checkpoint): Pick<Manifest, "metrics" | "provenance"> {
  const { metrics, provenance } = reader.manifest;
  const { runId: _, tag: __, order: ___, savedBy: ____, ...rest } = provenance;
  return { metrics, provenance: rest };
}
