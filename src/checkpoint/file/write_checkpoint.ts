import { pickOptions } from "../../base/options/options.ts";
import { type Work, workOf } from "../../base/work.ts";
import { type Coding, CODING_OPTIONS } from "../../container/write/coding.ts";
import { ContainerWriter, type WriteReport } from "../../container/write/container_writer.ts";
import type { Provenance } from "../../container/format/manifest.ts";
import type { ByteSink } from "../../container/source.ts";
import type { GpuEncoding, GpuShare } from "../../gpu_codec/gpu_encoding.ts";
import type { CheckpointSource } from "../capture/checkpoint_source.ts";
import type { EncodedPiece } from "../capture/store_moment.ts";

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
  for await (const piece of piecesOf(source, writer, share, options.signal)) {
    if (piece instanceof Uint8Array) await writer.write(piece);
    else await writer.writeEncoded(piece);
  }
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
  { encodable }: CheckpointSource,
  { choices }: ContainerWriter,
  { gpuEncoding, pool }: WriteCheckpointOptions,
): Promise<GpuShare | undefined> {
  return encodable === undefined ? undefined : await gpuEncoding?.shareOf(encodable.gpu, choices, pool);
}

function piecesOf(
  source: CheckpointSource,
  writer: ContainerWriter,
  share: GpuShare | undefined,
  signal: AbortSignal | undefined,
): AsyncIterable<Uint8Array | EncodedPiece> {
  if (source.encodable === undefined || share === undefined || share.choices.size === 0) {
    return source.bytes(signal);
  }
  const { choices, leastBytes } = share;
  const cuts = writer.cuts.map(({ rawOffset, rawLength, dtype, choice, hasGap }) => ({
    rawOffset,
    rawLength,
    dtype,
    isForGpu: choices.has(choice) && !hasGap,
  }));
  return source.encodable.bytes({ cuts, leastBytes }, signal);
}
