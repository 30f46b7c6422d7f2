import type { GpuDevice } from "./gpu_device.ts";

const DEFAULT_DEPTH = 4;

/** What a pace asks of a device. */
export type PacedDevice = Pick<GpuDevice, "device" | "hasBlockingFences" | "waitFor">;

/**
 * Keeps the host at most a few submits ahead of the GPU. A host that runs far ahead gains nothing, and whatever else
 * wants the GPU then, such as the read-back of a snapshot, queues up behind all of it.
 *
 * Does nothing where fences block: there each wait would empty the queue, and submitting itself keeps the pace.
 */
export class Pace {
  readonly #gpu: PacedDevice;
  readonly #depth: number;
  readonly #fences: Promise<unknown>[] = [];

  /** @param depth How many submits may be under way. */
  constructor(gpu: PacedDevice, depth: number = DEFAULT_DEPTH) {
    this.#gpu = gpu;
    this.#depth = depth;
  }

  /** To be awaited after a submit: resolves when at most `depth` of them are not done. */
  async afterSubmit(): Promise<void> {
    if (this.#gpu.hasBlockingFences) return;
    this.#fences.push(this.#fence());
    if (this.#fences.length > this.#depth) await this.#fences.shift();
  }

  /** A lost device shows in its flag, which the next call on it looks at. */
  #fence(): Promise<unknown> {
    return this.#gpu.waitFor(this.#gpu.device.queue.onSubmittedWorkDone()).catch(() => undefined);
  }
}
