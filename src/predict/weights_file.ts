import { CairnError } from "../base/errors.ts";
import type { DType } from "../base/dtype.ts";
import { castBytes, isCastable } from "../container/read/cast.ts";
import { averagedWeights } from "../checkpoint/file/averaged_weights.ts";
import { openCheckpoint } from "../checkpoint/file/open_path.ts";
import { isStoreTensor } from "../checkpoint/file/parts/placement.ts";
import { openSafetensors } from "../exchange/safetensors/open_safetensors.ts";
import { INDEX_EXTENSION } from "../exchange/safetensors/safetensors_shards.ts";
import { groupOf, MODEL_GROUP } from "../tensor/group_names.ts";
import type { Shape } from "../tensor/shape.ts";

/** A weight in a file, under the name that it has in the model. */
export interface Weight {
  readonly name: string;
  /** On the GPU: what has 16 bits in the file has 32 there. */
  readonly dtype: DType;
  readonly shape: Shape;
  /** Name of the weight whose elements these are as well. */
  readonly aliasOf?: string | undefined;
  /** Its elements as `dtype`, read and checked. */
  read(signal: AbortSignal | undefined): Promise<Uint8Array>;
}

/** The weights in a file, and nothing else of it. */
export interface WeightsFile {
  readonly weights: readonly Weight[];
  close(): Promise<void>;
}

/** What of a file is taken. */
export interface WeightsTaken {
  /** Whether averages are taken in place of weights of which the optimiser kept some. */
  readonly averaged: boolean;
  /** Which of several models in a checkpoint. */
  readonly name?: string | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Opens a checkpoint, or a safetensors file or index by the ending of its name.
 *
 * @throws CairnError `not_found`, also where there are no weights in it; what is wrong with the file.
 */
export async function openWeights(path: string | URL, options: WeightsTaken): Promise<WeightsFile> {
  const isForeign = /\.safetensors$/i.test(String(path)) || String(path).endsWith(INDEX_EXTENSION);
  const file = isForeign ? await ofSafetensors(path) : await ofCheckpoint(path, options);
  if (file.weights.length > 0) return file;
  await file.close();
  throw new CairnError(
    "not_found",
    `There are no weights${options.name === undefined ? "" : ` of a model "${options.name}"`} in "${path}"`,
    {
      details: { path: String(path) },
    },
  );
}

async function ofCheckpoint(
  path: string | URL,
  { averaged, name: owner, signal }: WeightsTaken,
): Promise<WeightsFile> {
  const checkpoint = await openCheckpoint(path, signal);
  try {
    const { reader } = checkpoint;
    const averages = averaged ? await averagedWeights(reader, signal, owner) : new Map();
    const stored = reader.tensors.filter(({ name }) => isStoreTensor(name));
    // A file of exported weights has no groups.
    const group = `${groupOf(owner, MODEL_GROUP)}.`;
    const isRun = owner !== undefined || stored.some(({ name }) => name.startsWith(group));
    const prefix = isRun ? group : "";
    const weights = stored.filter(({ name }) => name.startsWith(prefix)).map((record): Weight => {
      const { name, dtype, shape, aliasOf } = record;
      const source = averages.get(aliasOf ?? name)?.name ?? name;
      return {
        name: name.slice(prefix.length),
        dtype: isCastable(dtype) ? "f32" : dtype,
        shape,
        aliasOf: aliasOf?.slice(prefix.length),
        read: (signal) => reader.read(source, { signal, cast: isCastable(dtype) ? "f32" : undefined }),
      };
    });
    return { weights, close: () => checkpoint.close() };
  } catch (error) {
    await checkpoint.close();
    throw error;
  }
}

async function ofSafetensors(path: string | URL): Promise<WeightsFile> {
  const file = await openSafetensors(path);
  try {
    const weights: Weight[] = [];
    for (const name of file.names()) {
      const { dtype, shape, aliasOf } = await file.describe(name);
      // No layer has weights of such a dtype.
      if (dtype === undefined) continue;
      weights.push({
        name,
        dtype: isCastable(dtype) ? "f32" : dtype,
        shape,
        aliasOf,
        read: async (signal) => {
          const { bytes } = await file.read(name, { signal });
          return isCastable(dtype) ? castBytes(bytes, dtype, "f32") : bytes;
        },
      });
    }
    return { weights, close: () => file.close() };
  } catch (error) {
    await file.close();
    throw error;
  }
}
