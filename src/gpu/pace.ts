import { type Clock, systemClock } from "../base/clock.ts";
import type { GpuDevice } from "./gpu_device.ts";

const DEFAULT_DEPTH = 4;

/**
 * The share of the expected time that is slept before a fence is asked for; the rest is for a time that was guessed
 * too long.
 */
const SLEPT_SHARE = 0.55;

/** What a pace asks of a device. */
export type PacedDevice = Pick<GpuDevice, "device" | "hasBlockingFences" | "isCpuAdapter">;

/**
 * Keeps the host at most a few submits ahead of the GPU. A host that runs far ahead gains nothing, and whatever else
 * wants the GPU then, such as the read-back of a snapshot, queues up behind all of it.
 *
 * Does nothing where fences block: there each wait would empty the queue, and submitting itself keeps the pace.
 *
 * Dawn polls while a promise of its is pending, which takes a whole processor core. On an adapter that is a
 * processor, this core is missing: there the host sleeps for most of the time that the work is expected to take, and
 * asks for one fence then.
 */
export class Pace {
  readonly #gpu: PacedDevice;
  readonly #depth: number;
  readonly #clock: Clock;
  readonly #fences: Promise<unknown>[] = [];
  /** Submits since the last fence, where the host sleeps. */
  #count = 0;
  /** When the first of them was made. */
  #begunAt = 0;
  #msPerSubmit = 0;

  /** @param depth How many submits may be under way. */
  constructor(gpu: PacedDevice, depth: number = DEFAULT_DEPTH, clock: Clock = systemClock) {
    this.#gpu = gpu;
    this.#depth = depth;
    this.#clock = clock;
  }

  /** To be awaited after a submit: resolves when at most `depth` of them are not done. */
  async afterSubmit(): Promise<void> {
    if (this.#gpu.hasBlockingFences) return;
    if (this.#gpu.isCpuAdapter) return await this.#sleepAhead();
    this.#fences.push(this.#fence());
    if (this.#fences.length > this.#depth) await this.#fences.shift();
  }

  /** Waits for all submits at once when they are too many, asleep for most of the time. */
  async #sleepAhead(): Promise<void> {
    if (this.#count === 0) this.#begunAt = this.#clock.now();
    this.#count += 1;
    if (this.#count <= this.#depth) return;
    const spentMs = this.#clock.now() - this.#begunAt;
    const sleepMs = SLEPT_SHARE * this.#msPerSubmit * this.#count - spentMs;
    if (sleepMs >= 1) await this.#clock.sleep(sleepMs);
    await this.#fence();
    this.#msPerSubmit = (this.#clock.now() - this.#begunAt) / this.#count;
    this.#count = 0;
  }

  /** A lost device shows in its flag, which the next call on it looks at. */
  #fence(): Promise<unknown> {
    return this.#gpu.device.queue.onSubmittedWorkDone().catch(() => undefined);
  }
}
