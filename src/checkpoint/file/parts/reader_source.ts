import type { ContainerReader } from "../../../container/read/container_reader.ts";
import type { Manifest } from "../../../container/format/manifest.ts";
import { specOf } from "../../capture/included_tensors.ts";
import type { CheckpointSource } from "../../capture/checkpoint_source.ts";

/**
 * What an open container has as something to write from, with another manifest. It is read chunk by chunk, and each
 * is checked.
 */
export function readerSource(reader: ContainerReader, manifest: Manifest): CheckpointSource {
  return {
    tensors: reader.tensors.map(specOf),
    manifest,
    writeTo: async (sink, signal) => {
      for await (const { bytes } of reader.rawChunks({ signal })) await sink.write(bytes);
    },
    assertAlive: () => {},
  };
}
