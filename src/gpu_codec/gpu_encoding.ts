import { Breather, nextTurn } from "../base/event_loop.ts";
import { DEFAULT_CHUNK_BYTES } from "../container/format/chunk_plan.ts";
import { candidatesFor, type CodecChoice, encodeSmallest } from "../container/codec/choose.ts";
import type { CodecPool } from "../container/codec/codec_pool.ts";
import type { GpuCodingRates } from "../container/codec/coding_rates.ts";
import type { GpuDevice } from "../gpu/gpu_device.ts";
import { chooseEncoder } from "./choose_encoder.ts";
import { encodingSampleBytes, measureEncodingRates } from "./encoding_rates.ts";

/** What the GPU encodes of a save. */
export interface GpuShare {
  /** Chunks with one of these choices; none of them where the CPU is to encode everything. */
  readonly choices: ReadonlySet<CodecChoice>;
  /** Bytes in a row that are worth it; fewer are read back as they are. */
  readonly leastBytes: number;
  /** What that was decided by. */
  readonly rates?: GpuCodingRates | undefined;
}

/** Says what the GPU encodes. */
export interface GpuEncoding {
  /**
   * @param choices Every choice that a chunk may have.
   * @param pool What would encode on the CPU; this thread, unless given.
   * @throws CairnError `device_lost`.
   */
  shareOf(gpu: GpuDevice, choices: ReadonlySet<CodecChoice>, pool?: CodecPool): Promise<GpuShare>;
  /** Told how many stored bytes of a file were durable in a second, after each save that measured it. */
  wrote(bytesPerSecond: number): void;
}

/**
 * Those choices whose bytes do not say where they were made: of `levels` every machine makes the same ones, and
 * `fast` goes by measured rates anyway. `balanced` promises the bytes of `planes`, which no GPU makes.
 */
const GPU_CHOICES = ["levels", "fast"] as const;
type GpuChoice = (typeof GPU_CHOICES)[number];

/** By choice and threads of the pool: another save to the same device need not measure again. */
const ratesOfDevices: WeakMap<GpuDevice, Map<string, Promise<GpuCodingRates | undefined>>> = new WeakMap();

/**
 * Has the GPU encode what it does faster than the CPU, by rates that are measured once for a device, at the first
 * save that could use it. An adapter that is itself a CPU is not asked. One of these belongs to one directory that
 * saves go to, since `fast` also goes by how fast that took the last one.
 */
export class MeasuredGpuEncoding implements GpuEncoding {
  readonly #measure: typeof measureEncodingRates;
  #write: number | undefined;

  constructor(measure: typeof measureEncodingRates = measureEncodingRates) {
    this.#measure = measure;
  }

  async shareOf(gpu: GpuDevice, choices: ReadonlySet<CodecChoice>, pool?: CodecPool): Promise<GpuShare> {
    const leastBytes = encodingSampleBytes(gpu);
    const chosen = new Set<CodecChoice>();
    let rates: GpuCodingRates | undefined;
    for (const choice of gpu.isCpuAdapter ? [] : GPU_CHOICES) {
      if (!choices.has(choice)) continue;
      rates = await this.#ratesOf(gpu, choice, pool);
      const rawIsFine = choice === "fast" ? { write: this.#write } : undefined;
      if (chooseEncoder(rates ?? {}, rawIsFine) === "gpu") chosen.add(choice);
    }
    return { choices: chosen, leastBytes, rates };
  }

  wrote(bytesPerSecond: number): void {
    this.#write = bytesPerSecond;
  }

  #ratesOf(
    gpu: GpuDevice,
    choice: GpuChoice,
    pool: CodecPool | undefined,
  ): Promise<GpuCodingRates | undefined> {
    const known = ratesOfDevices.get(gpu) ?? new Map<string, Promise<GpuCodingRates | undefined>>();
    ratesOfDevices.set(gpu, known);
    const key = `${choice} ${pool?.size ?? 0}`;
    const rates = known.get(key) ?? this.#measured(gpu, choice, pool);
    known.set(key, rates);
    return rates;
  }

  /**
   * `undefined` where that is not possible, such as on a GPU that is full: a save can do without. It is not tried
   * again.
   */
  async #measured(
    gpu: GpuDevice,
    choice: GpuChoice,
    pool: CodecPool | undefined,
  ): Promise<GpuCodingRates | undefined> {
    try {
      return await this.#measure(gpu, { encodeOnCpu: (raw) => encodeSample(raw, choice, pool) });
    } catch {
      // A lost device has errors of its own, some of which come before its flag is up.
      await nextTurn();
      gpu.assertAlive();
      return undefined;
    }
  }
}

/** Encodes as a container writer does. */
async function encodeSample(
  raw: Uint8Array,
  choice: GpuChoice,
  pool: CodecPool | undefined,
): Promise<void> {
  const names = candidatesFor(choice);
  const starts = Array.from(
    { length: Math.ceil(raw.byteLength / DEFAULT_CHUNK_BYTES) },
    (_, index) => index * DEFAULT_CHUNK_BYTES,
  );
  const chunkAt = (start: number): Uint8Array => raw.subarray(start, start + DEFAULT_CHUNK_BYTES);
  if (pool !== undefined) {
    await Promise.all(
      starts.map(async (start) => (await pool.encode(chunkAt(start), "f32", names)).release()),
    );
    return;
  }
  const into = new Uint8Array(DEFAULT_CHUNK_BYTES);
  const breather = new Breather();
  for (const start of starts) {
    encodeSmallest(chunkAt(start), "f32", names, into);
    await breather.breathe();
  }
}
