import type { BufferRange } from "../../gpu/buffer_range.ts";
import { BufferUsage } from "../../gpu/constants.ts";
import type { GpuDevice } from "../../gpu/gpu_device.ts";
import type { LevelsSource } from "../../gpu_codec/levels_encoder.ts";
import { joinRanges, levelsSources, type RawCut } from "../../gpu_codec/levels_sources.ts";

/** A chunk of the file, and where it may be encoded. */
export interface EncodableCut extends RawCut {
  /** Whether the GPU may encode it. Not where bytes between tensors fall into it, which have to become zero first. */
  readonly isForGpu: boolean;
}

/** What of the tensors on a GPU is to be encoded there. */
export interface EncodableCuts {
  /** All chunks of the file, in order: those of the tensors come first. */
  readonly cuts: readonly EncodableCut[];
  /** Shorter rows of chunks are read back as they are. */
  readonly leastBytes: number;
}

/** GPU memory that is read back at once, encoded there or as it is. */
export interface EncodingStep {
  /** What to encode before it is read back; `undefined` where it is read back as it is. */
  readonly source: LevelsSource | undefined;
  readonly ranges: readonly BufferRange[];
}

/** Where the tensors are, and what the device allows. */
export interface TensorMemory {
  /** The raw space, range after range. */
  readonly ranges: readonly BufferRange[];
  /** Bytes at its beginning that have to be read first. */
  readonly streamedBytes: number;
  readonly maxSourceBytes: number;
}

/** Divides the memory of tensors into what is encoded on the GPU and what is not, in the order of the file. */
export function planEncoding(
  { ranges, streamedBytes, maxSourceBytes }: TensorMemory,
  { cuts, leastBytes }: EncodableCuts,
): EncodingStep[] {
  const byteLength = ranges.reduce((sum, { size }) => sum + size, 0);
  const inside = cuts.filter(({ rawOffset, rawLength }) => rawOffset + rawLength <= byteLength);
  const last = inside.at(-1);
  const end = last === undefined ? 0 : last.rawOffset + last.rawLength;
  // A chunk that goes on with what is not on the GPU.
  const rest = { rawOffset: end, rawLength: byteLength - end, dtype: "u8", isForGpu: false } as const;
  const spans = levelsSources(
    end < byteLength ? [...inside, rest] : inside,
    ranges,
    maxSourceBytes,
    ({ isForGpu, rawOffset }) => isForGpu && rawOffset >= streamedBytes,
  );
  const steps: EncodingStep[] = [];
  for (const { source, ranges } of spans) {
    const before = steps.at(-1);
    if (source !== undefined && isEncodable(source, leastBytes)) steps.push({ source, ranges });
    else if (before === undefined || before.source !== undefined) steps.push({ source: undefined, ranges });
    else steps[steps.length - 1] = { source: undefined, ranges: joinRanges(before.ranges, ranges) };
  }
  return steps;
}

/** What is encoded and what is not, with the tail behind all of it. */
export function encodingSteps(
  ranges: readonly BufferRange[],
  tail: readonly BufferRange[],
  streamedBytes: number,
  cuts: EncodableCuts | undefined,
  gpu: GpuDevice,
): EncodingStep[] {
  const whole = [{ source: undefined, ranges: [...ranges, ...tail] }];
  if (cuts === undefined) return whole;
  const maxSourceBytes = gpu.limits.maxStorageBufferBindingSize;
  const steps = planEncoding({ ranges, streamedBytes, maxSourceBytes }, cuts);
  if (steps.every(({ source }) => source === undefined)) return whole;
  return [...steps, { source: undefined, ranges: tail }];
}

function isEncodable({ range: { buffer, size } }: LevelsSource, leastBytes: number): boolean {
  return size >= leastBytes && (buffer.usage & BufferUsage.STORAGE) !== 0;
}
