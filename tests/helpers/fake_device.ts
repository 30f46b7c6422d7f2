import { nextTurn } from "../../src/base/event_loop.ts";
import { BufferUsage, MapMode } from "../../src/gpu/constants.ts";

/**
 * What a lost device does about calls that are under way or come later: `abrupt` rejects them, as the specification
 * has it; `silent` resolves them as if nothing were wrong and says a turn later that it was lost, as Deno's own does.
 */
export type LossStyle = "abrupt" | "silent";

/** What is wrong with a buffer that is asked for. */
export type AllocationFault = "out-of-memory" | "validation" | undefined;

/** Options of {@link FakeDevice}. */
export interface FakeDeviceOptions {
  readonly lossStyle?: LossStyle;
  readonly limits?: Readonly<Record<string, number>>;
  /** Whether it says that it runs on the CPU, where some copies are spared. Default false. */
  readonly isCpu?: boolean;
}

/** Bytes on their way from one buffer to another. */
export interface FakeCopy {
  readonly source: string;
  readonly target: string;
  /** To be changed in place. */
  readonly bytes: Uint8Array;
}

/** Bytes that a mapping is about to give. */
export interface FakeMapping {
  readonly label: string;
  /** To be changed in place. */
  readonly bytes: Uint8Array;
  /** What the same bytes of the buffer were before something was last copied there. */
  readonly before: Uint8Array;
}

// The names of these classes are what GpuDevice tells them apart by.
class GPUOutOfMemoryError extends Error {}
class GPUValidationError extends Error {}

interface ErrorScope {
  readonly filter: GPUErrorFilter;
  error: Error | null;
}

interface CopyCommand {
  readonly source: FakeBuffer;
  readonly sourceOffset: number;
  readonly target: FakeBuffer;
  readonly targetOffset: number;
  readonly size: number;
}

/**
 * As much of a `GPUDevice` as a store, its copies and its read-backs need, in host memory: buffers, copies, writes,
 * mappings and error scopes, with the rules of WebGPU about who may use a buffer when. It has no kernels.
 *
 * A test loses it, refuses it memory, or changes bytes on their way; and counts the buffers that live.
 */
export class FakeDevice extends EventTarget {
  readonly limits: Readonly<Record<string, number>>;
  readonly features: ReadonlySet<string> = new Set();
  readonly adapterInfo: { vendor: string; architecture: string; device: string; description: string };
  readonly lost: Promise<{ reason: string; message: string }>;
  readonly queue: FakeQueue;
  readonly lossStyle: LossStyle;
  /** Says what is wrong with the buffer of this number, from 0, and size in bytes. */
  allocate: ((index: number, size: number) => AllocationFault) | undefined;
  /** Called for each copy; `false` leaves it out. */
  onCopy: ((copy: FakeCopy) => boolean | void) | undefined;
  onMap: ((mapping: FakeMapping) => void) | undefined;
  /** Buffers that were asked for. */
  allocations = 0;
  isLost = false;
  readonly #live = new Set<FakeBuffer>();
  readonly #scopes: ErrorScope[] = [];
  #tellLost: (info: { reason: string; message: string }) => void = () => {};

  constructor({ lossStyle = "abrupt", limits = {}, isCpu = false }: FakeDeviceOptions = {}) {
    super();
    const description = isCpu ? "llvmpipe, made up" : "made up";
    this.adapterInfo = { vendor: "", architecture: "", device: "", description };
    this.lossStyle = lossStyle;
    this.limits = { maxBufferSize: 1 << 24, maxStorageBufferBindingSize: 1 << 24, ...limits };
    this.lost = new Promise((resolve) => {
      this.#tellLost = resolve;
    });
    this.queue = new FakeQueue(this);
  }

  /** The same object, typed as its users know it. */
  get device(): GPUDevice {
    return this as unknown as GPUDevice;
  }

  /** Labels of the buffers that were made and not destroyed. */
  get live(): string[] {
    return [...this.#live].map(({ label }) => label);
  }

  createBuffer({ label = "", size, usage }: GPUBufferDescriptor): FakeBuffer {
    let fault = this.allocate?.(this.allocations++, size);
    if (fault === undefined && size > (this.limits.maxBufferSize ?? 0)) fault = "validation";
    if (fault !== undefined) this.report(fault, `Buffer "${label}" of ${size} bytes cannot be had`);
    const isValid = fault === undefined;
    const buffer = new FakeBuffer(this, { label, size, usage, isValid }, () => this.#live.delete(buffer));
    this.#live.add(buffer);
    return buffer;
  }

  createCommandEncoder(): FakeEncoder {
    return new FakeEncoder(this);
  }

  pushErrorScope(filter: GPUErrorFilter): void {
    this.#scopes.push({ filter, error: null });
  }

  popErrorScope(): Promise<Error | null> {
    const scope = this.#scopes.pop();
    if (scope === undefined) return Promise.reject(operationError("there is no error scope"));
    if (this.isLost) return this.#afterLoss(null);
    return Promise.resolve(scope.error);
  }

  /** Reports an error to the innermost scope for it, or to the listener. A lost device reports nothing. */
  report(filter: GPUErrorFilter, message: string): void {
    if (this.isLost) return;
    const error = filter === "out-of-memory"
      ? new GPUOutOfMemoryError(message)
      : new GPUValidationError(message);
    const scope = this.#scopes.findLast((each) => each.filter === filter);
    if (scope === undefined) {
      this.dispatchEvent(Object.assign(new Event("uncapturederror", { cancelable: true }), { error }));
    } else scope.error ??= error;
  }

  /** Loses the device: memory that is mapped goes away at once. */
  lose(reason: "destroyed" | "unknown" = "unknown", message = "the test lost it"): void {
    if (this.isLost) return;
    this.isLost = true;
    for (const buffer of this.#live) buffer.detach();
    const tell = (): void => this.#tellLost({ reason, message });
    if (this.lossStyle === "abrupt") tell();
    else void nextTurn().then(tell);
  }

  destroy(): void {
    this.lose("destroyed", "");
  }

  async #afterLoss<T>(value: T): Promise<T> {
    await nextTurn();
    if (this.lossStyle === "abrupt") throw operationError("the device is lost");
    return value;
  }
}

class FakeQueue {
  readonly #device: FakeDevice;

  constructor(device: FakeDevice) {
    this.#device = device;
  }

  writeBuffer(buffer: FakeBuffer, offset: number, bytes: Uint8Array): void {
    const problem = buffer.problem(BufferUsage.COPY_DST);
    if (problem !== undefined) return this.#device.report("validation", `writeBuffer: ${problem}`);
    if (offset % 4 !== 0 || bytes.byteLength % 4 !== 0 || offset + bytes.byteLength > buffer.size) {
      throw operationError(`writeBuffer: ${bytes.byteLength} bytes at ${offset} of "${buffer.label}"`);
    }
    if (!this.#device.isLost) buffer.put(offset, bytes);
  }

  submit(commands: readonly FakeCommands[]): void {
    for (const { copies, problem } of commands) {
      const found = problem ?? copies.map(problemOf).find((each) => each !== undefined);
      if (found !== undefined) this.#device.report("validation", `submit: ${found}`);
      else if (!this.#device.isLost) { for (const copy of copies) this.#run(copy); }
    }
  }

  async onSubmittedWorkDone(): Promise<void> {
    await nextTurn();
    if (this.#device.isLost && this.#device.lossStyle === "abrupt") {
      throw operationError("the device is lost");
    }
  }

  #run({ source, sourceOffset, target, targetOffset, size }: CopyCommand): void {
    const bytes = source.memory.slice(sourceOffset, sourceOffset + size);
    const isDone = this.#device.onCopy?.({ source: source.label, target: target.label, bytes }) ?? true;
    if (isDone) target.put(targetOffset, bytes);
  }
}

interface FakeCommands {
  readonly copies: readonly CopyCommand[];
  readonly problem: string | undefined;
}

class FakeEncoder {
  readonly #device: FakeDevice;
  readonly #copies: CopyCommand[] = [];
  #problem: string | undefined;

  constructor(device: FakeDevice) {
    this.#device = device;
  }

  copyBufferToBuffer(
    source: FakeBuffer,
    sourceOffset: number,
    target: FakeBuffer,
    targetOffset: number,
    size: number,
  ): void {
    const isInside = sourceOffset + size <= source.size && targetOffset + size <= target.size;
    const isAligned = [sourceOffset, targetOffset, size].every((value) => value % 4 === 0);
    if (!isInside || !isAligned || source === target) this.#problem ??= "a copy that is not allowed";
    this.#copies.push({ source, sourceOffset, target, targetOffset, size });
  }

  finish(): FakeCommands {
    if (this.#problem !== undefined) this.#device.report("validation", `finish: ${this.#problem}`);
    return { copies: this.#copies, problem: this.#problem };
  }
}

interface FakeBufferDescription {
  readonly label: string;
  readonly size: number;
  readonly usage: number;
  readonly isValid: boolean;
}

class FakeBuffer {
  readonly label: string;
  readonly size: number;
  readonly usage: number;
  /** What it holds on the GPU. */
  readonly memory: Uint8Array;
  readonly #before: Uint8Array;
  readonly #device: FakeDevice;
  readonly #isValid: boolean;
  readonly #onDestroy: () => void;
  #isDestroyed = false;
  #state: "unmapped" | "pending" | "mapped" = "unmapped";
  #mapped: { readonly offset: number; readonly bytes: Uint8Array<ArrayBuffer> } | undefined;
  /** What was handed out of the mapped bytes. */
  #lent: { readonly start: number; readonly end: number; readonly memory: ArrayBuffer }[] = [];

  constructor(device: FakeDevice, description: FakeBufferDescription, onDestroy: () => void) {
    const { label, size, usage, isValid } = description;
    this.label = label;
    this.size = size;
    this.usage = usage;
    this.#device = device;
    this.#isValid = isValid;
    this.#onDestroy = onDestroy;
    this.memory = new Uint8Array(isValid ? size : 0);
    this.#before = new Uint8Array(this.memory.byteLength);
  }

  /** Why the GPU cannot use it now in this way, or `undefined`. */
  problem(usage: number): string | undefined {
    if (!this.#isValid) return `buffer "${this.label}" is invalid`;
    if (this.#isDestroyed) return `buffer "${this.label}" was destroyed`;
    if (this.#state !== "unmapped") return `buffer "${this.label}" is mapped`;
    return (this.usage & usage) === 0 ? `buffer "${this.label}" is not for this` : undefined;
  }

  put(offset: number, bytes: Uint8Array): void {
    const target = this.memory.subarray(offset, offset + bytes.byteLength);
    this.#before.set(target, offset);
    target.set(bytes);
  }

  async mapAsync(mode: number, offset = 0, size: number = this.size - offset): Promise<void> {
    const problem = mode === MapMode.READ ? this.problem(BufferUsage.MAP_READ) : "only reading is made up";
    if (problem !== undefined) this.#device.report("validation", `mapAsync: ${problem}`);
    if (problem !== undefined || this.#device.isLost) throw operationError(problem ?? "the device is lost");
    this.#state = "pending";
    await nextTurn();
    // Cancelled by unmap() or destroy().
    if (this.#state !== "pending") throw abortError("the buffer was unmapped before its mapping was done");
    if (this.#device.isLost && this.#device.lossStyle === "abrupt") {
      this.#state = "unmapped";
      throw abortError("the device is lost");
    }
    const bytes = this.memory.slice(offset, offset + size);
    this.#device.onMap?.({ label: this.label, bytes, before: this.#before.slice(offset, offset + size) });
    this.#mapped = { offset, bytes };
    this.#state = "mapped";
  }

  getMappedRange(offset = 0, size: number = this.size - offset): ArrayBuffer {
    if (this.#mapped === undefined) throw operationError("the buffer is not mapped");
    const start = offset - this.#mapped.offset;
    const end = start + size;
    const isInside = start >= 0 && end <= this.#mapped.bytes.byteLength && offset % 8 === 0 && size % 4 === 0;
    if (!isInside || this.#lent.some((other) => start < other.end && other.start < end)) {
      throw operationError(`bytes ${offset} to ${offset + size} are not to be had`);
    }
    const memory = this.#mapped.bytes.slice(start, end).buffer;
    this.#lent.push({ start, end, memory });
    return memory;
  }

  unmap(): void {
    this.#state = "unmapped";
    this.detach();
  }

  /** Takes the mapped memory away from its holder, who may have given it up before. */
  detach(): void {
    const lent = this.#lent.map(({ memory }) => memory).filter((memory) => !memory.detached);
    if (lent.length > 0) structuredClone(lent, { transfer: lent });
    this.#lent = [];
    this.#mapped = undefined;
  }

  destroy(): void {
    this.unmap();
    this.#isDestroyed = true;
    this.#onDestroy();
  }
}

function problemOf({ source, target }: CopyCommand): string | undefined {
  return source.problem(BufferUsage.COPY_SRC) ?? target.problem(BufferUsage.COPY_DST);
}

function operationError(message: string): DOMException {
  return new DOMException(message, "OperationError");
}

function abortError(message: string): DOMException {
  return new DOMException(message, "AbortError");
}
