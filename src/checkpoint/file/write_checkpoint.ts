import { pickOptions } from "../../base/options/options.ts";
import { type Work, workOf } from "../../base/work.ts";
import { type Coding, CODING_OPTIONS } from "../../container/write/coding.ts";
import { ContainerWriter, type WriteReport } from "../../container/write/container_writer.ts";
import type { Provenance } from "../../container/format/manifest.ts";
import type { ByteSink } from "../../container/source.ts";
import type { GpuEncoding, GpuShare } from "../../gpu_codec/gpu_encoding.ts";
import type { CheckpointSource, GpuChunkSink } from "../capture/checkpoint_source.ts";

/** Options of {@link writeCheckpoint}. */
export interface WriteCheckpointOptions extends Coding, Work {
  /** Sixteen bytes that no other file has. */
  readonly fileId: Uint8Array;
  /** What is added to the provenance of the snapshot, and wins. */
  readonly provenance: Partial<Provenance>;
  /** Says what a GPU encodes of the tensors that it has; nothing, unless given. */
  readonly gpuEncoding?: GpuEncoding | undefined;
}

/** Writes a source as a container, front to back. */
export async function writeCheckpoint(
  sink: ByteSink,
  source: CheckpointSource,
  options: WriteCheckpointOptions,
): Promise<WriteReport> {
  const { fileId, provenance } = options;
  const writer = await ContainerWriter.create(sink, {
    tensors: source.tensors,
    fileId,
    ...pickOptions<Coding>(options, CODING_OPTIONS),
    ...workOf(options),
  });
  const share = await shareOf(source, writer, options);
  await source.writeTo(writer, options.signal, gpuChunksOf(writer, share));
  const { manifest } = source;
  const written = await writer.finish({
    ...manifest,
    provenance: { ...manifest.provenance, ...provenance },
  });
  source.assertAlive();
  const { rates } = written;
  if (rates?.write !== undefined) options.gpuEncoding?.wrote(rates.write);
  return share?.rates === undefined ? written : { ...written, rates: { ...rates, gpu: share.rates } };
}

/** What the GPU encodes of it; `undefined` where there is none to ask. */
async function shareOf(
  { encodingGpu }: CheckpointSource,
  { choices }: ContainerWriter,
  { gpuEncoding, pool }: WriteCheckpointOptions,
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
