import type { BufferRange } from "../gpu/buffer_range.ts";
import type { GpuDevice } from "../gpu/gpu_device.ts";
import type { EncodingRates } from "./choose_encoder.ts";
import { KeptBuffers } from "./kept_buffers.ts";
import { LevelsEncoder } from "./levels_encoder.ts";

/** Options of {@link measureEncodingRates}. */
export interface MeasureRatesOptions {
  /** Encodes raw `f32` as the CPU would, on all threads that it would use: a sample of at most 8 MiB. */
  readonly encodeOnCpu: (raw: Uint8Array) => void | Promise<void>;
  /** Raw bytes of the GPU's sample: a multiple of 4096. Default {@link encodingSampleBytes}. */
  readonly byteLength?: number;
  /** Milliseconds that only rise. Default `performance.now`. */
  readonly now?: () => number;
}

const PART_BYTES = 8 * 1024 * 1024;
const CHUNK_BYTES = 1024 * 1024;

/**
 * Bytes that say how fast a device encodes; for fewer of them the rates say nothing. More of them where each wait for
 * the device takes 11 ms.
 */
export function encodingSampleBytes({ hasBlockingFences }: GpuDevice): number {
  return hasBlockingFences ? 8 * PART_BYTES : PART_BYTES;
}

/**
 * What `chooseEncoder` goes by, measured on this adapter with weights that are made up. Everything runs once
 * before it is timed, since kernels have to be compiled. Some tens of milliseconds on a GPU; on an adapter that is a
 * CPU close to a second, and nothing to learn.
 *
 * @throws CairnError `device_lost`, `out_of_memory`, `gpu_validation`.
 */
export async function measureEncodingRates(
  gpu: GpuDevice,
  { encodeOnCpu, byteLength = encodingSampleBytes(gpu), now = () => performance.now() }: MeasureRatesOptions,
): Promise<EncodingRates> {
  const weights = madeUpWeights(Math.min(PART_BYTES, byteLength));
  const buffers = new KeptBuffers(gpu);
  const encoder = new LevelsEncoder(gpu);
  const secondsOf = async (work: () => unknown): Promise<number> => {
    await work();
    const start = now();
    await work();
    // A clock may be too coarse to see it.
    return Math.max(now() - start, 1e-3) / 1000;
  };
  try {
    const range = await gpu.validated("sample", () => buffers.take("weights to measure with", byteLength));
    for (let at = 0; at < byteLength; at += PART_BYTES) gpu.write(range.buffer, at, weights);
    let storedBytes = 0;
    const through = await secondsOf(async () => storedBytes = await storedLength(encoder, range));
    const read = await secondsOf(() => gpu.read([range]));
    const cpu = await secondsOf(() => encodeOnCpu(weights));
    const gpuStoredPerRaw = storedBytes / byteLength;
    // What reading back did not take of it.
    const encode = Math.max(through - gpuStoredPerRaw * read, through / 100);
    return {
      gpuEncode: byteLength / encode,
      readBack: byteLength / read,
      cpuEncode: weights.byteLength / cpu,
      gpuStoredPerRaw,
    };
  } finally {
    encoder.close();
    buffers.close();
  }
}

async function storedLength(encoder: LevelsEncoder, range: BufferRange): Promise<number> {
  let total = 0;
  for await (const { stored } of encoder.encode({ range, dtype: "f32", chunkBytes: CHUNK_BYTES })) {
    total += stored.byteLength;
  }
  return total;
}

/** Sums of uniform numbers, which are close enough to normal for this. */
function madeUpWeights(byteLength: number): Uint8Array {
  const weights = new Float32Array(byteLength / 4);
  let state = 1;
  for (let i = 0; i < weights.length; i++) {
    let sum = 0;
    for (let j = 0; j < 4; j++) sum += state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0;
    weights[i] = sum * 2 ** -36;
  }
  return new Uint8Array(weights.buffer);
}
