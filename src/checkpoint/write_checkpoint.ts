import type { CodecChoice, CompressionMode } from "../container/codec/choose.ts";
import type { CodecPool } from "../container/codec/codec_pool.ts";
import type { CodecName } from "../container/codec/table.ts";
import { ContainerWriter, type WriteReport } from "../container/container_writer.ts";
import type { Provenance } from "../container/manifest.ts";
import type { ByteSink } from "../container/source.ts";
import type { SaveOptions } from "./engine.ts";
import type { CheckpointSource } from "./parts/checkpoint_source.ts";
import { breathingSink } from "./storage_source.ts";

/** Options of {@link writeCheckpoint}. */
export interface WriteCheckpointOptions extends SaveOptions {
  /** Sixteen bytes that no other file has. */
  readonly fileId: Uint8Array;
  /** What is added to the provenance of the snapshot, and wins. */
  readonly provenance: Partial<Provenance>;
  readonly mode?: CompressionMode | undefined;
  readonly codec?: CodecName | undefined;
  readonly tensorCodecs?: Readonly<Record<string, CodecChoice>> | undefined;
  readonly pool?: CodecPool | undefined;
  readonly chunkBytes?: number | undefined;
}

/** Writes a source as a container, front to back, and gives the event loop air on the way. */
export async function writeCheckpoint(
  sink: ByteSink,
  source: CheckpointSource,
  options: WriteCheckpointOptions,
): Promise<WriteReport> {
  const { fileId, provenance, mode, codec, tensorCodecs, pool, chunkBytes, signal, onProgress } = options;
  const writer = await ContainerWriter.create(breathingSink(sink), {
    tensors: source.tensors,
    fileId,
    mode,
    codec,
    tensorCodecs,
    pool,
    ...chunkBytes === undefined ? {} : { chunkBytes },
    ...signal === undefined ? {} : { signal },
    ...onProgress === undefined ? {} : { onProgress },
  });
  for await (const piece of source.bytes(signal)) await writer.write(piece);
  const { manifest } = source;
  const written = await writer.finish({
    ...manifest,
    provenance: { ...manifest.provenance, ...provenance },
  });
  source.assertAlive();
  return written;
}
