import { alignUp, TENSOR_ALIGNMENT } from "../base/checked.ts";
import { randomHex } from "../base/hex.ts";
import type { Work } from "../base/work.ts";
import { temporaryName } from "../checkpoint/file/leftovers.ts";
import type { CompressionMode } from "../container/codec/choose.ts";
import type { Manifest } from "../container/format/manifest.ts";
import { ContainerWriter, type WriteReport } from "../container/write/container_writer.ts";
import type { Storage } from "../storage/storage.ts";
import { writeDurably } from "../storage/write_durably.ts";
import type { CheckedTensor } from "./outgoing.ts";
import { writeTensor } from "./write_tensor.ts";

/** How tensors become a file. */
export interface WritingContainer extends Work {
  /** Replace a file that is there, in one step. */
  readonly overwrite: boolean;
  readonly mode?: CompressionMode | undefined;
}

/**
 * Writes tensors into one `.cairn` file, which is durable and was read back when this resolves. It belongs to no run,
 * so that no retention deletes it.
 *
 * @param tensors Each alias somewhere behind the tensor that has the bytes. One at a time is in memory.
 * @param manifest What the file says beside its tensors; nothing unless given.
 */
export async function writeContainer(
  storage: Storage,
  path: string,
  tensors: readonly CheckedTensor[],
  manifest: Partial<Pick<Manifest, "metrics" | "provenance" | "user">>,
  { overwrite, mode, signal, onProgress }: WritingContainer,
): Promise<WriteReport> {
  const randomName = temporaryName(randomHex(16), randomHex(8));
  return await writeDurably(storage, path, { overwrite, randomName, verify: true, signal }, async (file) => {
    const writer = await ContainerWriter.create(file, {
      tensors,
      fileId: crypto.getRandomValues(new Uint8Array(16)),
      mode,
      signal,
      onProgress,
    });
    for (const tensor of tensors) {
      if (tensor.aliasOf !== undefined) continue;
      await writeTensor(writer, tensor, signal);
      await writer.write(new Uint8Array(alignUp(tensor.byteLength, TENSOR_ALIGNMENT) - tensor.byteLength));
    }
    const { metrics = {}, provenance = {}, user = {} } = manifest;
    return await writer.finish({ kind: "tensors", state: {}, metrics, provenance, user });
  });
}
