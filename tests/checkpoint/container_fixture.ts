import { ContainerReader } from "../../src/container/read/container_reader.ts";
import { bytesSource } from "../../src/container/source.ts";
import { writeContainer } from "../../src/container/write/write_container.ts";
import type { HostTensor } from "../../src/tensor/host_tensor.ts";
import { counterRandom } from "./fixtures.ts";

export const MANIFEST = { kind: "tensors" as const, state: {}, metrics: {}, provenance: {}, user: {} };

/** A container of these tensors, in chunks of 256 raw bytes. */
export async function containerOf(tensors: Record<string, HostTensor>): Promise<Uint8Array> {
  return await writeContainer({
    tensors: Object.entries(tensors).map(([name, { dtype, shape, bytes }]) => ({
      spec: { name, dtype, shape },
      bytes,
    })),
    manifest: MANIFEST,
    fileId: counterRandom()(16),
    codec: "raw",
    chunkBytes: 256,
  });
}

/** The same, open. */
export async function readerOf(tensors: Record<string, HostTensor>): Promise<ContainerReader> {
  return await ContainerReader.open(bytesSource(await containerOf(tensors)));
}
