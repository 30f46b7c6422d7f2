import type { DType } from "../../../base/dtype.ts";
import { CairnError } from "../../../base/errors.ts";
import {
  type Elements,
  elementsOf,
  type Histogram,
  HistogramSum,
  StatisticsSum,
  type TensorStatistics,
} from "../../../tensor/tensor_statistics.ts";
import { binsOf } from "../numbers/histogram_bins.ts";
import type { OpenedFile, ShownTensor } from "./opened_file.ts";

/** What was seen of a tensor. */
export interface TensorLook {
  readonly statistics: TensorStatistics;
  readonly histogram: Histogram;
  /** Whether only some of its elements were read. */
  readonly isSample: boolean;
  /** The first elements. */
  readonly beginning: readonly number[];
}

/** How to look at a tensor. */
export interface Looking {
  /** Read all of it, however large it is. */
  readonly whole: boolean;
  readonly signal: AbortSignal;
  /** From 0 to 1. */
  readonly onShare: (share: number) => void;
}

/** Of a tensor that is larger, some blocks are read that lie evenly in it. */
export const SAMPLE_BYTES: number = 8 * 1024 * 1024;
const SAMPLED_BLOCKS = 16;
const BLOCK_BYTES = 256 * 1024;
/** So much at once of a tensor that is read whole. */
const PIECE_BYTES = 1024 * 1024;
/** Up to this, what was read is kept for the second pass. */
const KEPT_BYTES = 64 * 1024 * 1024;
const BEGINNING = 12;

/** A part of a tensor, in bytes from its start. */
interface Part {
  readonly start: number;
  readonly end: number;
}

/**
 * The statistics of a tensor and its histogram: of all its elements, or of some, where it is large and nobody asked
 * for all.
 *
 * @throws CairnError what is wrong with the tensor; `unsupported` for a dtype that Cairn does not have.
 */
export async function lookAtTensor(
  file: OpenedFile,
  tensor: ShownTensor,
  looking: Looking,
): Promise<TensorLook> {
  const dtype = requireReadable(tensor);
  const isSample = !looking.whole && tensor.byteLength > SAMPLE_BYTES;
  const parts = isSample ? sampledParts(tensor.byteLength) : allParts(tensor.byteLength);
  const isKept = isSample || tensor.byteLength <= KEPT_BYTES;
  const kept: Elements[] = [];
  const sum = new StatisticsSum();
  let beginning: readonly number[] = [];
  for (const [index, part] of parts.entries()) {
    const elements = await readElements(file, tensor, dtype, part, looking.signal);
    sum.add(elements);
    if (index === 0) beginning = Array.from(elements, Number).slice(0, BEGINNING);
    if (isKept) kept.push(elements);
    looking.onShare((index + 1) / parts.length / (isKept ? 1 : 2));
  }
  const statistics = sum.result;
  const histogram = new HistogramSum(statistics, binsOf(statistics, isInteger(dtype)));
  for (const elements of kept) histogram.add(elements);
  for (const [index, part] of (isKept ? [] : parts).entries()) {
    histogram.add(await readElements(file, tensor, dtype, part, looking.signal));
    looking.onShare(0.5 + (index + 1) / parts.length / 2);
  }
  return { statistics, histogram: histogram.result, isSample, beginning };
}

/** Elements of one part of a tensor. */
export async function readElements(
  file: OpenedFile,
  { name }: ShownTensor,
  dtype: DType,
  { start, end }: Part,
  signal: AbortSignal,
): Promise<Elements> {
  return elementsOf(await file.readPart(name, start, end, signal), dtype);
}

/** The dtype of a tensor that can be read. @throws CairnError `unsupported`. */
export function requireReadable({ name, dtype, storedAs }: ShownTensor): DType {
  if (dtype !== undefined) return dtype;
  throw new CairnError(
    "unsupported",
    `"${name}" is ${storedAs}, which Cairn has no dtype for; it can only be listed`,
  );
}

/** All of a tensor, in parts of whole elements. */
export function allParts(byteLength: number): readonly Part[] {
  return Array.from({ length: Math.ceil(byteLength / PIECE_BYTES) }, (_, index) => ({
    start: index * PIECE_BYTES,
    end: Math.min(byteLength, (index + 1) * PIECE_BYTES),
  }));
}

function sampledParts(byteLength: number): readonly Part[] {
  const last = byteLength - BLOCK_BYTES;
  return Array.from({ length: SAMPLED_BLOCKS }, (_, index) => {
    // 8 bytes are a whole number of elements, whatever they are.
    const start = Math.floor(last * index / (SAMPLED_BLOCKS - 1) / 8) * 8;
    return { start, end: start + BLOCK_BYTES };
  });
}

function isInteger(dtype: DType): boolean {
  return /^(bool|[ui]\d+)$/.test(dtype);
}
