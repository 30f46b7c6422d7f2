import { alignUp } from "../../base/checked.ts";
import { CairnError } from "../../base/errors.ts";
import { allocate } from "../../base/allocate.ts";
import type { BufferRange } from "../../gpu/buffer_range.ts";
import { BufferUsage } from "../../gpu/constants.ts";
import type { GpuDevice } from "../../gpu/gpu_device.ts";

/** Of host memory that goes to the GPU, what may be under way at once. */
const PACE_BYTES = 64 * 1024 * 1024;

/**
 * Bytes on their way into GPU memory. Their targets do not change until {@link apply}, and then all of them do.
 *
 * They wait on the GPU, which takes as much memory again meanwhile; where there is none left, in the memory of the
 * host.
 */
export interface StagedTensors {
  /**
   * Stages bytes. Calls for one target may come in any order.
   *
   * @param target One of those that it was made for, the same object.
   * @param at Where in the target they belong, a multiple of 4.
   */
  write(target: BufferRange, at: number, bytes: Uint8Array): void;
  /** Takes what the targets hold now, so that `apply` puts that back. */
  remember(): Promise<void>;
  /** Resolves when everything that can fail is done. @throws CairnError `device_lost`, `out_of_memory`. */
  ready(): Promise<void>;
  /**
   * Copies everything into its target. From the GPU's memory that is done in the tick of the call; from the host's it
   * takes until the promise resolves, and only the loss of the device can prevent it.
   */
  apply(): Promise<void>;
  /** Frees the memory. Safe to call twice, and after `apply`. */
  free(): void;
}

/** Allocates staging for `targets`, which do not overlap. */
export async function stageTensors(gpu: GpuDevice, targets: readonly BufferRange[]): Promise<StagedTensors> {
  return await OnGpu.of(gpu, targets) ?? new OnHost(gpu, targets);
}

/** One buffer a slab, and one command buffer that copies them all. */
class OnGpu implements StagedTensors {
  readonly #gpu: GpuDevice;
  readonly #staged: ReadonlyMap<BufferRange, BufferRange>;
  readonly #buffers: readonly GPUBuffer[];
  #commands: GPUCommandBuffer | undefined;

  private constructor(
    gpu: GpuDevice,
    staged: ReadonlyMap<BufferRange, BufferRange>,
    buffers: readonly GPUBuffer[],
  ) {
    this.#gpu = gpu;
    this.#staged = staged;
    this.#buffers = buffers;
  }

  /** `undefined` where the GPU has no memory for them. */
  static async of(gpu: GpuDevice, targets: readonly BufferRange[]): Promise<OnGpu | undefined> {
    const byteLengths = new Map<GPUBuffer, number>();
    for (const { buffer, size } of targets) {
      byteLengths.set(buffer, (byteLengths.get(buffer) ?? 0) + alignUp(size, 4));
    }
    const staging = new Map<GPUBuffer, { readonly buffer: GPUBuffer; end: number }>();
    try {
      await gpu.validated("memory for a load", () => {
        for (const [slab, byteLength] of byteLengths) {
          const usage = BufferUsage.COPY_SRC | BufferUsage.COPY_DST;
          staging.set(slab, { buffer: gpu.createBuffer(`load of ${slab.label}`, byteLength, usage), end: 0 });
        }
      });
    } catch (error) {
      for (const { buffer } of staging.values()) gpu.destroyBuffer(buffer);
      if (error instanceof CairnError && error.code === "out_of_memory") return undefined;
      throw error;
    }
    const staged = new Map<BufferRange, BufferRange>();
    for (const target of targets) {
      const whole = staging.get(target.buffer);
      if (whole === undefined) continue;
      const size = alignUp(target.size, 4);
      staged.set(target, { buffer: whole.buffer, offset: whole.end, size });
      whole.end += size;
    }
    return new OnGpu(gpu, staged, [...staging.values()].map(({ buffer }) => buffer));
  }

  write(target: BufferRange, at: number, bytes: Uint8Array): void {
    const { buffer, offset } = stagedFor(this.#staged, target);
    this.#gpu.write(buffer, offset + at, bytes);
  }

  async remember(): Promise<void> {
    await this.#gpu.validated("memory for a load", () => {
      const encoder = this.#gpu.device.createCommandEncoder({ label: "remember tensors" });
      for (const [target, staged] of this.#staged) copy(encoder, target, staged);
      this.#gpu.submit(encoder, this.#buffers);
    });
  }

  async ready(): Promise<void> {
    await this.#gpu.validated("memory for a load", () => {
      const encoder = this.#gpu.device.createCommandEncoder({ label: "load tensors" });
      for (const [target, staged] of this.#staged) copy(encoder, staged, target);
      this.#commands = encoder.finish();
    });
    await this.#gpu.idle();
  }

  apply(): Promise<void> {
    const changed = new Set(Array.from(this.#staged.keys(), ({ buffer }) => buffer));
    if (this.#commands !== undefined) this.#gpu.submit([this.#commands], [...changed]);
    this.#commands = undefined;
    return Promise.resolve();
  }

  free(): void {
    for (const buffer of this.#buffers) this.#gpu.destroyBuffer(buffer);
  }
}

/** The host's memory, which is as large as the system allows. */
class OnHost implements StagedTensors {
  readonly #gpu: GpuDevice;
  readonly #staged: ReadonlyMap<BufferRange, Uint8Array>;

  constructor(gpu: GpuDevice, targets: readonly BufferRange[]) {
    this.#gpu = gpu;
    this.#staged = new Map(targets.map((target) => [target, allocate(alignUp(target.size, 4))]));
  }

  write(target: BufferRange, at: number, bytes: Uint8Array): void {
    stagedFor(this.#staged, target).set(bytes, at);
  }

  async remember(): Promise<void> {
    for (const [target, staged] of this.#staged) {
      const [bytes] = await this.#gpu.read([{ ...target, size: staged.byteLength }]);
      if (bytes !== undefined) staged.set(bytes);
    }
  }

  async ready(): Promise<void> {
    await this.#gpu.idle();
  }

  async apply(): Promise<void> {
    let underWay = 0;
    for (const [{ buffer, offset }, bytes] of this.#staged) {
      for (let start = 0; start < bytes.byteLength; start += PACE_BYTES) {
        const piece = bytes.subarray(start, start + PACE_BYTES);
        this.#gpu.write(buffer, offset + start, piece);
        underWay += piece.byteLength;
        if (underWay < PACE_BYTES) continue;
        await this.#gpu.idle();
        underWay = 0;
      }
    }
    await this.#gpu.idle();
  }

  free(): void {}
}

function copy(encoder: GPUCommandEncoder, from: BufferRange, to: BufferRange): void {
  encoder.copyBufferToBuffer(from.buffer, from.offset, to.buffer, to.offset, alignUp(from.size, 4));
}

function stagedFor<T>(staged: ReadonlyMap<BufferRange, T>, target: BufferRange): T {
  const found = staged.get(target);
  if (found === undefined) throw new RangeError("These bytes belong to no target");
  return found;
}
