import { alignUp, TENSOR_ALIGNMENT } from "../../base/checked.ts";
import { randomHex } from "../../base/hex.ts";
import type { Manifest } from "../../container/format/manifest.ts";
import type { ByteSink } from "../../container/source.ts";
import { ContainerWriter } from "../../container/write/container_writer.ts";
import { writeNpz } from "../../exchange/numpy/npz.ts";
import { saveSafetensors } from "../../exchange/safetensors/save_safetensors.ts";
import { DurableFile } from "../../storage/durable_file.ts";
import type { Storage } from "../../storage/storage.ts";
import type { ConvertedTensor } from "./outgoing_tensors.ts";

/** Formats that are written, by what names of files end with. */
export const WRITTEN = [".cairn", ".safetensors", ".npz"] as const;

/** Where tensors go. */
export interface Target {
  readonly storage: Storage;
  /** Ends with one of {@link WRITTEN}. */
  readonly path: string;
  readonly overwrite: boolean;
  /** Of safetensors: cut into several files above this. */
  readonly maxFileBytes?: number | undefined;
  /** Of npz: deflate the arrays. */
  readonly compress: boolean;
}

/** What was written. */
export interface Written {
  /** What to open. */
  readonly path: string;
  readonly fileBytes: number;
  readonly fileCount: number;
  /** Tensors that are f32 in the file, since its format has no bf16. */
  readonly widened: readonly string[];
}

/** Writes tensors, durably, or leaves nothing. */
export async function writeTensors(
  target: Target,
  tensors: readonly ConvertedTensor[],
  manifest: Pick<Manifest, "metrics" | "provenance">,
  onProgress: (done: number, total: number) => void,
): Promise<Written> {
  const { storage, path, overwrite, maxFileBytes, compress } = target;
  if (path.endsWith(".safetensors")) {
    const { path: opened, files, fileBytes } = await saveSafetensors(storage, path, tensors, {
      overwrite,
      maxFileBytes,
      onProgress: ({ done, total }) => onProgress(done, total),
    });
    return { path: opened, fileBytes, fileCount: files.length + (opened === path ? 0 : 1), widened: [] };
  }
  if (path.endsWith(".npz")) {
    const report = await durably(
      target,
      (sink) => writeNpz(sink, counted(tensors, onProgress), { compress }),
    );
    return { path, fileBytes: report.fileBytes, fileCount: 1, widened: report.widened };
  }
  const fileBytes = await durably(target, (sink) => writeCairn(sink, tensors, manifest, onProgress));
  return { path, fileBytes, fileCount: 1, widened: [] };
}

async function durably<Report>(
  { storage, path, overwrite }: Target,
  write: (sink: ByteSink) => Promise<Report>,
): Promise<Report> {
  const file = await DurableFile.create(storage, path, { overwrite, randomName: randomHex(8) });
  try {
    const report = await write(file);
    await file.commit({ verify: true });
    return report;
  } catch (error) {
    await file.abort().catch(() => {});
    throw error;
  }
}

/** A file of tensors that belongs to no run, so that no retention deletes it. */
async function writeCairn(
  sink: ByteSink,
  tensors: readonly ConvertedTensor[],
  { metrics, provenance }: Pick<Manifest, "metrics" | "provenance">,
  onProgress: (done: number, total: number) => void,
): Promise<number> {
  // An alias stands behind the tensor that it is an alias of.
  const owners = tensors.filter(({ aliasOf }) => aliasOf === undefined);
  const aliases = tensors.filter(({ aliasOf }) => aliasOf !== undefined);
  const writer = await ContainerWriter.create(sink, {
    tensors: [...owners, ...aliases],
    fileId: crypto.getRandomValues(new Uint8Array(16)),
    onProgress: ({ done, total }) => onProgress(done, total),
  });
  for (const { byteLength, pieces } of owners) {
    for await (const piece of pieces()) await writer.write(piece);
    await writer.write(new Uint8Array(alignUp(byteLength, TENSOR_ALIGNMENT) - byteLength));
  }
  const report = await writer.finish({ kind: "tensors", state: {}, metrics, provenance, user: {} });
  return report.fileBytes;
}

/** The same tensors, whose bytes are counted as they are read. */
function counted(
  tensors: readonly ConvertedTensor[],
  onProgress: (done: number, total: number) => void,
): ConvertedTensor[] {
  const total = tensors.reduce((sum, { byteLength }) => sum + byteLength, 0);
  let done = 0;
  return tensors.map((tensor) => ({
    ...tensor,
    async *pieces() {
      for await (const piece of tensor.pieces()) {
        yield piece;
        onProgress(done += piece.byteLength, total);
      }
    },
  }));
}
