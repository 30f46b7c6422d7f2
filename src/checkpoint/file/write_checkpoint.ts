import { type Work, workOf } from "../../base/work.ts";
import type { CodecPool } from "../../container/codec/codec_pool.ts";
import { openHelpers } from "../../container/codec/open_helpers.ts";
import { layoutTensors } from "../../container/format/layout.ts";
import type { Coding } from "../../container/write/coding.ts";
import { ContainerWriter, type WriteReport } from "../../container/write/container_writer.ts";
import type { Provenance } from "../../container/format/manifest.ts";
import type { ByteSink } from "../../container/source.ts";
import type { GpuEncoding, GpuShare } from "../../gpu_codec/gpu_encoding.ts";
import type { CheckpointSource, GpuChunkSink } from "../capture/checkpoint_source.ts";

/** Options of {@link writeCheckpoint}. */
export interface WriteCheckpointOptions extends Work {
  /** Sixteen bytes that no other file has. */
  readonly fileId: Uint8Array;
  /** What is added to the provenance of the snapshot, and wins. */
  readonly provenance: Partial<Provenance>;
  readonly coding: Coding;
  /** Says what a GPU encodes of the tensors that it has; nothing, unless given. */
  readonly gpuEncoding?: GpuEncoding | undefined;
}

/** Writes a source as a container, front to back. Of a large one, other threads encode a part. */
export async function writeCheckpoint(
  sink: ByteSink,
  source: CheckpointSource,
  options: WriteCheckpointOptions,
): Promise<WriteReport> {
  const helpers = helpersFor(source, options.coding);
  try {
    return await write(sink, source, options, helpers);
  } finally {
    await helpers?.close();
  }
}

async function write(
  sink: ByteSink,
  source: CheckpointSource,
  options: WriteCheckpointOptions,
  helpers: CodecPool | undefined,
): Promise<WriteReport> {
  const { fileId, provenance, coding, gpuEncoding, signal } = options;
  const writer = await ContainerWriter.create(sink, {
    ...coding,
    ...workOf(options),
    pool: coding.pool ?? helpers,
    tensors: source.tensors,
    fileId,
  });
  const share = await shareOf(source, writer, options);
  await source.writeTo(writer, signal, gpuChunksOf(writer, share));
  const { manifest } = source;
  const written = await writer.finish({
    ...manifest,
    provenance: { ...manifest.provenance, ...provenance },
  });
  source.assertAlive();
  const { rates } = written;
  if (rates?.write !== undefined) gpuEncoding?.wrote(rates.write);
  return share?.rates === undefined ? written : { ...written, rates: { ...rates, gpu: share.rates } };
}

/**
 * Threads that encode, unless the caller has some. None where a GPU may encode, and none for `fast`: it encodes where
 * one thread is faster than the disk.
 */
function helpersFor(
  { tensors, encodingGpu }: CheckpointSource,
  { pool, codec, mode = "balanced" }: Coding,
): CodecPool | undefined {
  const choice = codec ?? mode;
  const isForGpu = encodingGpu !== undefined && choice === "levels";
  if (pool !== undefined || choice === "raw" || choice === "fast" || isForGpu) return undefined;
  return openHelpers(layoutTensors(tensors).rawByteLength);
}

/** What the GPU encodes of it; `undefined` where there is none to ask. */
async function shareOf(
  { encodingGpu }: CheckpointSource,
  { choices }: ContainerWriter,
  { gpuEncoding, coding: { pool } }: WriteCheckpointOptions,
): Promise<GpuShare | undefined> {
  return encodingGpu === undefined ? undefined : await gpuEncoding?.shareOf(encodingGpu, choices, pool);
}

function gpuChunksOf(writer: ContainerWriter, share: GpuShare | undefined): GpuChunkSink | undefined {
  if (share === undefined || share.choices.size === 0) return undefined;
  return {
    cuts: writer.cuts.map(({ choice, hasGap, ...cut }) => ({
      ...cut,
      isForGpu: share.choices.has(choice) && !hasGap,
    })),
    leastBytes: share.leastBytes,
    writeEncoded: (chunk) => writer.writeEncoded(chunk),
  };
}
