import { throwIfAborted } from "../../../base/abort.ts";
import { alignUp, TENSOR_ALIGNMENT } from "../../../base/checked.ts";
import type { Work } from "../../../base/work.ts";
import type { Coding } from "../../../container/write/coding.ts";
import { ContainerWriter, type WriteReport } from "../../../container/write/container_writer.ts";
import { layoutTensors, type TensorSpec } from "../../../container/format/layout.ts";
import type { Manifest } from "../../../container/format/manifest.ts";
import type { ByteSink } from "../../../container/source.ts";
import type { CheckpointSource } from "../../capture/checkpoint_source.ts";

/** One of the files that a source is cut into. */
export interface SplitTarget {
  readonly sink: ByteSink;
  /** Sixteen bytes that no other file has. */
  readonly fileId: Uint8Array;
  /** Whether it gets the tensor. The first target that does gets it; a tensor that no target gets is left out. */
  readonly has: (tensor: string) => boolean;
  /** Asked for when all bytes are written, and the targets before this one are complete. */
  readonly manifest: () => Manifest | Promise<Manifest>;
  /** Told what was written, before the next target is completed. */
  readonly onWritten: (report: WriteReport) => void;
}

/** Options of {@link writeSplit}. */
export interface SplitOptions extends Work {
  readonly coding: Coding;
}

/** A span of raw bytes that one file gets. */
interface ByteSpan {
  readonly writer: ContainerWriter | undefined;
  byteLength: number;
}

/**
 * Writes one source as several containers, and reads it once. Tensors that share their bytes go into one file. In
 * memory there is a chunk for each file, whatever the size of the tensors.
 */
export async function writeSplit(
  source: CheckpointSource,
  targets: readonly SplitTarget[],
  { coding, signal, onProgress }: SplitOptions,
): Promise<void> {
  requireNamed(source.tensors, coding.tensorCodecs ?? {});
  const targetOf = (spec: TensorSpec): SplitTarget | undefined =>
    targets.find(({ has }) => has(rootOf(spec)));
  const writers = new Map<SplitTarget, ContainerWriter>();
  for (const target of targets) {
    const tensors = source.tensors.filter((spec) => targetOf(spec) === target);
    writers.set(target, await createWriter(target, tensors, coding, signal));
  }
  const spans = spansOf(source.tensors, (spec) => {
    const target = targetOf(spec);
    return target === undefined ? undefined : writers.get(target);
  });
  const total = spans.reduce((sum, { byteLength }) => sum + byteLength, 0);
  let done = 0;
  await source.writeTo({
    write: async (piece) => {
      throwIfAborted(signal);
      await distribute(piece, spans);
      done += piece.byteLength;
      onProgress?.({ done, total });
    },
  }, signal);
  for (const [target, writer] of writers) {
    const manifest = await target.manifest();
    target.onWritten(await writer.finish(manifest));
  }
  source.assertAlive();
}

/** Several reports as one. Which file it is about is the last one's to say. */
export function joinReports(reports: readonly WriteReport[]): WriteReport {
  const [first, ...others] = reports;
  if (first === undefined) throw new RangeError("There is nothing to report");
  return others.reduce((sum, report) => {
    const codecs = { ...sum.codecs };
    for (const [name, count] of Object.entries(report.codecs)) codecs[name] = (codecs[name] ?? 0) + count;
    const rawBytes = sum.rawBytes + report.rawBytes;
    const storedBytes = sum.storedBytes + report.storedBytes;
    return {
      ...sum,
      ...report,
      rawBytes,
      storedBytes,
      fileBytes: sum.fileBytes + report.fileBytes,
      ratio: storedBytes === 0 ? 1 : rawBytes / storedBytes,
      chunks: sum.chunks + report.chunks,
      codecs,
    };
  }, first);
}

/** A writer of one file asks the same of its own tensors. */
function requireNamed(tensors: readonly TensorSpec[], codecs: Readonly<Record<string, unknown>>): void {
  const names = new Set(tensors.map(({ name }) => name));
  const stranger = Object.keys(codecs).find((name) => !names.has(name));
  if (stranger !== undefined) {
    throw new TypeError(`tensorCodecs names a tensor "${stranger}", which is not there`);
  }
}

function rootOf({ name, aliasOf }: TensorSpec): string {
  return aliasOf ?? name;
}

async function createWriter(
  { sink, fileId }: SplitTarget,
  tensors: readonly TensorSpec[],
  coding: Coding,
  signal: AbortSignal | undefined,
): Promise<ContainerWriter> {
  const names = new Set(tensors.map(({ name }) => name));
  return await ContainerWriter.create(sink, {
    ...coding,
    tensorCodecs: Object.fromEntries(
      Object.entries(coding.tensorCodecs ?? {}).filter(([name]) => names.has(name)),
    ),
    tensors,
    fileId,
    signal,
  });
}

function spansOf(
  tensors: readonly TensorSpec[],
  writerOf: (spec: TensorSpec) => ContainerWriter | undefined,
): ByteSpan[] {
  const spans: ByteSpan[] = [];
  for (const record of layoutTensors(tensors).tensors) {
    if (record.aliasOf !== undefined) continue;
    const writer = writerOf(record);
    const byteLength = alignUp(record.byteLength, TENSOR_ALIGNMENT);
    const last = spans.at(-1);
    if (last !== undefined && last.writer === writer) last.byteLength += byteLength;
    else spans.push({ writer, byteLength });
  }
  return spans;
}

/** Gives each file what it gets of a piece, and takes that off the spans. */
async function distribute(piece: Uint8Array, spans: ByteSpan[]): Promise<void> {
  let at = 0;
  while (at < piece.byteLength) {
    const span = spans[0];
    if (span === undefined) {
      throw new RangeError("There are more bytes than the tensors have");
    }
    const byteLength = Math.min(span.byteLength, piece.byteLength - at);
    if (byteLength > 0) await span.writer?.write(piece.subarray(at, at + byteLength));
    at += byteLength;
    span.byteLength -= byteLength;
    if (span.byteLength === 0) spans.shift();
  }
}
