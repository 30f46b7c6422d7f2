import { randomHex } from "../../base/hex.ts";
import type { Manifest } from "../../container/format/manifest.ts";
import { writeNpz } from "../../exchange/numpy/npz.ts";
import { saveSafetensors } from "../../exchange/safetensors/save_safetensors.ts";
import { writeContainer } from "../../exchange/write_container.ts";
import type { Storage } from "../../storage/storage.ts";
import { writeDurably } from "../../storage/write_durably.ts";
import type { CheckedTensor } from "../../exchange/outgoing.ts";

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
  tensors: readonly CheckedTensor[],
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
    const options = { overwrite, randomName: randomHex(8), verify: true };
    const report = await writeDurably(
      storage,
      path,
      options,
      (file) => writeNpz(file, counted(tensors, onProgress), { compress }),
    );
    return { path, fileBytes: report.fileBytes, fileCount: 1, widened: report.widened };
  }
  const owners = tensors.filter(({ aliasOf }) => aliasOf === undefined);
  const aliases = tensors.filter(({ aliasOf }) => aliasOf !== undefined);
  const { fileBytes } = await writeContainer(storage, path, [...owners, ...aliases], manifest, {
    overwrite,
    onProgress: ({ done, total }) => onProgress(done, total),
  });
  return { path, fileBytes, fileCount: 1, widened: [] };
}

/** The same tensors, whose bytes are counted as they are read. */
function counted(
  tensors: readonly CheckedTensor[],
  onProgress: (done: number, total: number) => void,
): CheckedTensor[] {
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
