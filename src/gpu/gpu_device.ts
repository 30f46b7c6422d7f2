import { checkOptions } from "../base/options/options.ts";
import { alignUp } from "../base/checked.ts";
import { CairnError } from "../base/errors.ts";
import { adapterNameOf, isCpuAdapter } from "./adapter_name.ts";
import { type BufferRange, checkedWriteLength } from "./buffer_range.ts";
import { compilePipeline, pipelineKey, type PipelineSpec } from "./compute_pipeline.ts";
import { gpuFailure, inErrorScopes } from "./error_scopes.ts";
import { findGpu, GPU_OPTIONS, type GpuOptions, type GpuProvider, requestAdapter } from "./find_gpu.ts";
import { type GpuHost, type RuntimeName, thisHost } from "./host.ts";
import { checkedMemoryBytes, machineMemory, type MemoryNeeds, shortageOf } from "./memory_room.ts";
import { PollingPauses } from "./polling_pauses.ts";
import { ReadbackRing } from "./readback.ts";
import { requestDevice } from "./request_device.ts";
import { UnsharedBytes, wordOf } from "./unshared_bytes.ts";

/** What a device made and did so far. A training step in its steady state changes only `submits`. */
export interface GpuCounters {
  /** Buffers that live now, without the staging buffers that the device keeps for {@link GpuDevice.read}. */
  readonly buffers: number;
  /** Buffers that were ever made. */
  readonly buffersCreated: number;
  /** Compute pipelines that were compiled. The same source and constants are compiled once. */
  readonly pipelinesCreated: number;
  /** Bind groups that were made. */
  readonly bindGroupsCreated: number;
  /** Calls of `queue.submit`. */
  readonly submits: number;
}

/** `queue.writeBuffer` keeps a copy of its bytes until the next submit; this many may pile up. */
const PENDING_WRITE_BYTES = 16 * 1024 * 1024;

interface OpenedDevice {
  readonly device: GPUDevice;
  readonly provider: GpuProvider;
  readonly info: GPUAdapterInfo | undefined;
  /** Held because Bun crashes when it is collected before the device. `undefined` for a device that was given. */
  readonly gpu: GPU | undefined;
  readonly memoryBytes: number | undefined;
}

/**
 * A WebGPU device, and everything that was made on it. All GPU objects of Cairn are made here, so that they are
 * counted, checked against the adapter's limits, and freed by `close()`.
 *
 * WebGPU reports most failures late and through side doors. They surface here: a lost device and an error that no
 * scope caught are thrown by the next call, because all of them begin with `assertAlive()`.
 */
export class GpuDevice {
  /** WebGPU's own device. Objects made on it directly are neither counted nor freed by {@link close}. */
  readonly device: GPUDevice;
  /** What may be used of the device: all that the adapter has, or WebGPU's defaults where that was refused. */
  readonly limits: GPUSupportedLimits;
  /** What the device can do beyond the minimum, such as `timestamp-query`. */
  readonly features: GPUSupportedFeatures;
  /** E.g. "llvmpipe (LLVM 15.0.6, 256 bits)". The same adapter has other names in other runtimes. */
  readonly adapterName: string;
  /** Where WebGPU came from: the runtime itself, a package, or the caller. */
  readonly provider: GpuProvider;
  /** Whether the adapter runs on the CPU (lavapipe, SwiftShader, WARP). */
  readonly isCpuAdapter: boolean;
  /** Whether a wait for the GPU blocks the thread until its queue is empty, as Deno's own WebGPU does. */
  readonly hasBlockingFences: boolean;
  /** The most bytes that all buffers together may take; `undefined` where that is not known. */
  readonly memoryBytes: number | undefined;
  readonly #unshared: UnsharedBytes;
  readonly #gpu: GPU | undefined;
  readonly #counts = { buffersCreated: 0, pipelinesCreated: 0, bindGroupsCreated: 0, submits: 0 };
  readonly #buffers = new Set<GPUBuffer>();
  readonly #pipelines = new Map<string, Promise<GPUComputePipeline>>();
  readonly #onUncapturedError = (event: GPUUncapturedErrorEvent): void => {
    event.preventDefault();
    const code = event.error.constructor.name === "GPUOutOfMemoryError" ? "out_of_memory" : "gpu_validation";
    this.#uncaptured ??= gpuFailure("an earlier GPU command", code, event.error);
  };
  readonly #ring: ReadbackRing;
  readonly #pauses: PollingPauses | undefined;
  /** Per buffer, how often it was or may have been changed by something that said so. */
  readonly #changes = new WeakMap<GPUBuffer, number>();
  /** How often something was submitted that did not say what it changes. */
  #unnamedChanges = 0;
  #bufferBytes = 0;
  #pendingWriteBytes = 0;
  #lost: GPUDeviceLostInfo | undefined;
  #uncaptured: CairnError | undefined;
  #isClosed = false;

  private constructor(opened: OpenedDevice, runtime: RuntimeName) {
    const { device, provider, info, gpu } = opened;
    this.device = device;
    this.limits = device.limits;
    this.features = device.features;
    this.provider = provider;
    this.adapterName = adapterNameOf(info);
    this.isCpuAdapter = isCpuAdapter(info);
    this.hasBlockingFences = runtime === "deno" && provider !== "dawn";
    this.memoryBytes = opened.memoryBytes ?? (this.isCpuAdapter ? machineMemory() : undefined);
    this.#unshared = new UnsharedBytes(runtime, provider);
    this.#gpu = gpu;
    this.#ring = this.#ownRing();
    this.#pauses = provider === "dawn" && this.isCpuAdapter ? new PollingPauses() : undefined;
    void device.lost.then((lost) => {
      this.#lost = lost;
    });
    device.addEventListener("uncapturederror", this.#onUncapturedError);
  }

  /**
   * Opens a device: the given one, or a new one on `navigator.gpu` or the npm package `webgpu`, with the adapter's
   * limits.
   * @param host Where to look; the runtime itself unless a test says otherwise.
   * @throws CairnError `no_webgpu` or `no_adapter` with what to install.
   */
  static async open(options: GpuOptions = {}, host: GpuHost = thisHost()): Promise<GpuDevice> {
    checkOptions("GpuDevice.open()", options, GPU_OPTIONS);
    const memoryBytes = checkedMemoryBytes(options.memoryBytes);
    const given = options.device;
    if (given !== undefined) {
      return new GpuDevice(
        { device: given, provider: "given", info: given.adapterInfo, gpu: undefined, memoryBytes },
        host.runtime,
      );
    }
    const found = await findGpu(options, host);
    const { adapter, device } = await requestDevice(() => requestAdapter(found, options, host));
    return new GpuDevice(
      { device, provider: found.provider, info: adapter.info, gpu: found.gpu, memoryBytes },
      host.runtime,
    );
  }

  /** What was made and done so far: a copy that does not change. */
  get counters(): GpuCounters {
    return { buffers: this.#buffers.size, ...this.#counts };
  }

  /** Whether the device is gone. WebGPU itself goes on as if nothing were wrong: ask after each `await`. */
  get isLost(): boolean {
    return this.#lost !== undefined;
  }

  /**
   * @throws CairnError `closed`; `device_lost`; or the error of an earlier command that was not reported yet
   * (`gpu_validation`, `out_of_memory`), once.
   * @internal
   */
  assertAlive(): void {
    if (this.#isClosed) {
      throw new CairnError("closed", "Cannot use the GPU device: it was closed; open a new one");
    }
    if (this.#lost !== undefined) {
      const { reason, message } = this.#lost;
      throw new CairnError(
        "device_lost",
        `The GPU device on "${this.adapterName}" was lost (${reason}: ${
          message.trim() || "no message"
        }), with everything ` +
          "in its memory; open a new one and restore the newest checkpoint",
      );
    }
    const uncaptured = this.#uncaptured;
    this.#uncaptured = undefined;
    if (uncaptured !== undefined) throw uncaptured;
  }

  /**
   * A zero-filled buffer of at least `byteLength` bytes (a multiple of 4, and never empty, so that it can be bound).
   * @throws CairnError `limit_exceeded` when the adapter has no buffers of that size, `out_of_memory` where that is
   * known. Otherwise it shows later that memory has run out.
   */
  createBuffer(label: string, byteLength: number, usage: number): GPUBuffer {
    const buffer = this.#makeBuffer(label, byteLength, usage);
    this.#counts.buffersCreated += 1;
    this.#buffers.add(buffer);
    this.#bufferBytes += buffer.size;
    return buffer;
  }

  /**
   * Looks whether there is memory for `needs` of `what` beside the buffers that there are, as far as that is known.
   * @throws CairnError `out_of_memory` that says the sum, and what takes how much.
   * @internal
   */
  requireRoom(what: string, needs: MemoryNeeds): void {
    if (this.memoryBytes === undefined) return;
    const { adapterName, memoryBytes } = this;
    const shortage = shortageOf(what, needs, { adapterName, limit: memoryBytes, taken: this.#bufferBytes });
    if (shortage !== undefined) throw shortage;
  }

  #makeBuffer(label: string, byteLength: number, usage: number): GPUBuffer {
    this.assertAlive();
    if (!Number.isSafeInteger(byteLength) || byteLength < 0) {
      throw new RangeError(`Cannot create buffer "${label}": ${byteLength} is no byte length`);
    }
    const size = Math.max(4, alignUp(byteLength, 4));
    const limit = this.limits.maxBufferSize;
    if (size > limit) throw this.#limitError(`Cannot create buffer "${label}"`, size, limit, "maxBufferSize");
    this.requireRoom(`Buffer "${label}"`, { [label]: size });
    return this.device.createBuffer({ label, size, usage });
  }

  #limitError(what: string, value: number, limit: number, name: string): CairnError {
    const message = `${what} of ${value} bytes: the adapter "${this.adapterName}" allows ${limit} (${name})`;
    return new CairnError("limit_exceeded", message, { details: { limit, value } });
  }

  /** Frees a buffer that {@link createBuffer} made. Nothing happens the second time. */
  destroyBuffer(buffer: GPUBuffer): void {
    if (!this.#buffers.delete(buffer)) return;
    this.#bufferBytes -= buffer.size;
    buffer.destroy();
  }

  /**
   * The pipeline of a kernel: compiled once for each code and constants, then kept.
   * @throws CairnError `gpu_validation` with the kernel's label and what the compiler said, by line.
   */
  async pipeline(spec: PipelineSpec): Promise<GPUComputePipeline> {
    this.assertAlive();
    const key = pipelineKey(spec);
    const kept = this.#pipelines.get(key) ?? this.#compile(key, spec);
    try {
      return await kept;
    } catch (error) {
      this.assertAlive();
      throw error;
    }
  }

  /**
   * Whether {@link GpuDevice.pipeline} has been asked for this one.
   *
   * @internal
   */
  hasPipeline(spec: PipelineSpec): boolean {
    return this.#pipelines.has(pipelineKey(spec));
  }

  #compile(key: string, spec: PipelineSpec): Promise<GPUComputePipeline> {
    this.#counts.pipelinesCreated += 1;
    const compiling = this.waitFor(compilePipeline(this.device, spec));
    this.#pipelines.set(key, compiling);
    compiling.catch(() => this.#pipelines.delete(key));
    return compiling;
  }

  /**
   * Binds `ranges[i]` to binding `i` of group 0. Sizes are rounded up to a multiple of 4.
   * @throws RangeError for an empty range; CairnError `limit_exceeded` for one that is too large to bind.
   */
  bindGroup(label: string, pipeline: GPUComputePipeline, ranges: readonly BufferRange[]): GPUBindGroup {
    this.assertAlive();
    const limit = this.limits.maxStorageBufferBindingSize;
    const entries = ranges.map(({ buffer, offset, size }, binding) => {
      const what = `Cannot bind range ${binding} of "${label}"`;
      // WebGPU has empty buffers, but no empty bindings.
      if (size === 0) throw new RangeError(`${what}: it is empty; leave the dispatch out`);
      if (size > limit) throw this.#limitError(what, size, limit, "maxStorageBufferBindingSize");
      return { binding, resource: { buffer, offset, size: alignUp(size, 4) } };
    });
    this.#counts.bindGroupsCreated += 1;
    return this.device.createBindGroup({ label, layout: pipeline.getBindGroupLayout(0), entries });
  }

  /**
   * Sends one encoder's commands, or finished command buffers; an empty list only lets written bytes go.
   *
   * @param changed The buffers that it changes. Unless given, it counts as a change of every buffer: see
   * {@link changesOf}.
   */
  submit(work: GPUCommandEncoder | readonly GPUCommandBuffer[], changed?: readonly GPUBuffer[]): void {
    this.assertAlive();
    this.#counts.submits += 1;
    if (changed !== undefined) { for (const buffer of changed) this.#countChange(buffer); }
    else if ("finish" in work || work.length > 0) this.#unnamedChanges += 1;
    this.#pendingWriteBytes = 0;
    this.device.queue.submit("finish" in work ? [work.finish()] : [...work]);
  }

  /**
   * Runs `work` inside error scopes and throws what they caught. Of an async `work` only what it does before its first
   * `await` is covered: scopes are a stack on the device, and calls that overlap would see each other's errors.
   * @throws CairnError `gpu_validation` or `out_of_memory` with `label`; `device_lost`; and whatever `work` throws.
   * @internal
   */
  async validated<T>(label: string, work: () => T | Promise<T>): Promise<T> {
    this.assertAlive();
    const { value, error } = inErrorScopes(this.device, label, work);
    const [[settled], failure] = await this.waitFor(Promise.all([Promise.allSettled([value]), error]));
    this.assertAlive();
    if (failure !== undefined) throw failure;
    if (settled.status === "rejected") throw settled.reason;
    return settled.value;
  }

  /**
   * Copies `bytes` into `buffer` at `offset` (a multiple of 4), in order with what is submitted before and after.
   * A length that is no multiple of 4 is filled up with zero bytes, which overwrite up to 3 bytes of the buffer.
   * Call `submit` once after a batch: until then the runtime keeps its own copy of the bytes.
   * @throws RangeError when the bytes do not fit; Deno would only drop them.
   */
  write(buffer: GPUBuffer, offset: number, bytes: Uint8Array): void {
    this.assertAlive();
    const padded = checkedWriteLength(buffer, offset, bytes.byteLength);
    const { queue } = this.device;
    const whole = padded === bytes.byteLength ? padded : padded - 4;
    if (whole > 0) queue.writeBuffer(buffer, offset, this.#unshared.of(bytes.subarray(0, whole)));
    if (whole < padded) queue.writeBuffer(buffer, offset + whole, wordOf(bytes.subarray(whole)));
    this.#countChange(buffer);
    this.#pendingWriteBytes += padded;
    if (this.#pendingWriteBytes > PENDING_WRITE_BYTES) this.submit([]);
  }

  /**
   * The bytes of each range, in one batch. Offsets and sizes are multiples of 4. The caller owns the arrays.
   * @throws RangeError for a bad range; CairnError `device_lost`, `out_of_memory`, `gpu_validation`.
   */
  async read(ranges: readonly BufferRange[]): Promise<Uint8Array<ArrayBuffer>[]> {
    this.assertAlive();
    return await this.#ring.read(ranges);
  }

  /**
   * As {@link read}, one range behind the other into `target`, whose memory may be used again.
   * @throws RangeError for a target that is not as long.
   */
  async readInto(ranges: readonly BufferRange[], target: Uint8Array): Promise<void> {
    this.assertAlive();
    await this.#ring.readInto(ranges, target);
  }

  /**
   * A number that grows whenever something is sent that may change one of `buffers`: as long as it stays the same,
   * they hold what they held. What goes past this object, through `device.queue`, is not seen.
   *
   * @internal
   */
  changesOf(buffers: Iterable<GPUBuffer>): number {
    let changes = this.#unnamedChanges;
    for (const buffer of buffers) changes += this.#changes.get(buffer) ?? 0;
    return changes;
  }

  #countChange(buffer: GPUBuffer): void {
    this.#changes.set(buffer, (this.#changes.get(buffer) ?? 0) + 1);
  }

  /**
   * Waits for `work`, a promise of WebGPU's. Where waiting would take a processor core that the GPU needs, the thread
   * pauses meanwhile: see {@link PollingPauses}.
   *
   * @internal
   */
  waitFor<T>(work: Promise<T>): Promise<T> {
    return this.#pauses?.during(work) ?? work;
  }

  /** Resolves when all submitted work is done; it costs 11 ms in Deno. */
  async idle(): Promise<void> {
    this.assertAlive();
    if (this.#pendingWriteBytes > 0) this.submit([]);
    // Some runtimes reject where the device is lost meanwhile.
    await this.waitFor(this.device.queue.onSubmittedWorkDone()).catch(() => undefined);
    await new Promise((resolve) => setTimeout(resolve, 0));
    this.assertAlive();
  }

  /** Destroys every buffer that was made here, and the device unless it was given. Safe to call twice. */
  close(): Promise<void> {
    if (this.#isClosed) return Promise.resolve();
    this.#isClosed = true;
    this.#ring.close();
    for (const buffer of this.#buffers) buffer.destroy();
    this.#buffers.clear();
    this.#pipelines.clear();
    this.device.removeEventListener("uncapturederror", this.#onUncapturedError);
    if (this.#gpu !== undefined) this.device.destroy();
    return Promise.resolve();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** The ring behind `read`. Its buffers belong to the device and are not counted. */
  #ownRing(): ReadbackRing {
    return new ReadbackRing({
      device: this.device,
      limits: this.limits,
      hasBlockingFences: this.hasBlockingFences,
      createBuffer: (label, byteLength, usage) => this.#makeBuffer(label, byteLength, usage),
      destroyBuffer: (buffer) => buffer.destroy(),
      submit: (work, changed) => this.submit(work, changed),
      assertAlive: () => this.assertAlive(),
      waitFor: (work) => this.waitFor(work),
    });
  }
}
