import type { BufferRange } from "../gpu/buffer_range.ts";
import { BufferUsage } from "../gpu/constants.ts";
import type { GpuDevice } from "../gpu/gpu_device.ts";
import { STEP_SCALARS_BYTES } from "../kernels/step_scalars.ts";
import type { ProgramLowering } from "./lower_program.ts";
import type { LoweredUpdates } from "./lower_updates.ts";
import { leastBytes, type MemoryPlan, planMemory, planSideBySide } from "./memory_plan.ts";
import { type Binding, item, type Region } from "./op.ts";
import type { ResultPlan } from "./plan_results.ts";

/** The GPU memory of a program: buffers of its own, and where each region is. */
export class ProgramMemory {
  /** Size of each buffer that steps write. */
  readonly arenaBytes: readonly number[];
  /** Size of all buffers together. */
  readonly byteLength: number;
  /** What no plan takes less than: the most bytes that are needed at one time. */
  readonly leastBytes: number;
  readonly #gpu: GpuDevice;
  readonly #ranges: Map<Region, BufferRange>;
  readonly #buffers: GPUBuffer[] = [];
  readonly #names = new Map<GPUBuffer, string>();
  readonly #plans: readonly (readonly [name: string, plan: MemoryPlan])[];
  #scalars: BufferRange | undefined;

  private constructor(
    gpu: GpuDevice,
    lowering: ProgramLowering,
    results: ResultPlan,
    updates: LoweredUpdates,
  ) {
    this.#gpu = gpu;
    this.#ranges = new Map([...results.fixed, ...updates.fixed]);
    const { maxBufferSize } = gpu.limits;
    const kept = new Set([...results.outputs.values()].map(({ region }) => region));
    const computed = [...lowering.computed, ...updates.computed].filter((region) =>
      !this.#ranges.has(region)
    );
    const steps = [...lowering.steps, ...updates.steps];
    const work = planMemory(computed, steps, kept, maxBufferSize);
    // Never written by a step, so they can all be in one buffer.
    const uploaded = [
      ...[...lowering.inputs.values()].map(({ region }) => region),
      ...lowering.constants.keys(),
      ...updates.constants.keys(),
    ];
    const uploads = planSideBySide(uploaded, maxBufferSize);
    this.leastBytes = leastBytes(computed, steps, kept) +
      uploaded.reduce((sum, { byteLength }) => sum + byteLength, 0);
    this.arenaBytes = work.arenaBytes;
    this.byteLength = [...work.arenaBytes, ...uploads.arenaBytes].reduce((total, bytes) => total + bytes, 0);
    this.#plans = [["arena", work], ["uploads", uploads]];
  }

  /**
   * Creates the buffers and uploads the constants. After an error nothing is left allocated.
   *
   * @throws CairnError `out_of_memory`, `limit_exceeded`.
   */
  static async allocate(
    gpu: GpuDevice,
    label: string,
    lowering: ProgramLowering,
    results: ResultPlan,
    updates: LoweredUpdates,
  ): Promise<ProgramMemory> {
    const memory = new ProgramMemory(gpu, lowering, results, updates);
    const workspace = memory.arenaBytes.reduce((sum, bytes) => sum + bytes, 0);
    gpu.requireRoom(`"${label}"`, { workspace, "inputs and constants": memory.byteLength - workspace });
    try {
      await gpu.validated(label, () => memory.#create(label));
    } catch (error) {
      memory.close();
      throw error;
    }
    const constants = [...lowering.constants, ...updates.constants];
    for (const [region, tensor] of constants) {
      const { buffer, offset } = memory.rangeOf(region);
      gpu.write(buffer, offset, tensor.bytes);
    }
    if (constants.length > 0) gpu.submit([]);
    return memory;
  }

  /** Where the region, a part of it, or the step's scalars are. */
  rangeOf(binding: Binding): BufferRange {
    if (binding === "scalars" && this.#scalars !== undefined) return this.#scalars;
    if (binding === "scalars") throw new RangeError("The step's scalars have no address");
    if ("region" in binding) {
      const { buffer, offset } = this.rangeOf(binding.region);
      return { buffer, offset: offset + binding.offset, size: binding.byteLength };
    }
    const range = this.#ranges.get(binding);
    if (range === undefined) throw new RangeError(`${binding.label} has no address`);
    return range;
  }

  /** E.g. `arena 1 @ 256`; memory of the caller goes by its buffer's label. */
  describe(binding: Binding): string {
    const { buffer, offset } = this.rangeOf(binding);
    return `${this.#names.get(buffer) ?? (buffer.label || "outside")} @ ${offset}`;
  }

  /** Frees the buffers. */
  close(): void {
    for (const buffer of this.#buffers) this.#gpu.destroyBuffer(buffer);
  }

  #create(label: string): void {
    const scalars = this.#buffer(`${label} scalars`, "scalars", STEP_SCALARS_BYTES, BufferUsage.UNIFORM);
    this.#scalars = { buffer: scalars, offset: 0, size: STEP_SCALARS_BYTES };
    const usage = BufferUsage.STORAGE | BufferUsage.UNIFORM | BufferUsage.COPY_SRC;
    for (const [name, { arenaBytes, addresses }] of this.#plans) {
      const buffers = arenaBytes.map((bytes, index) =>
        this.#buffer(`${label} ${name} ${index}`, `${name} ${index}`, bytes, usage)
      );
      for (const [region, { arena, offset }] of addresses) {
        this.#ranges.set(region, { buffer: item(buffers, arena), offset, size: region.byteLength });
      }
    }
  }

  #buffer(label: string, name: string, byteLength: number, usage: number): GPUBuffer {
    const buffer = this.#gpu.createBuffer(label, byteLength, usage | BufferUsage.COPY_DST);
    this.#buffers.push(buffer);
    this.#names.set(buffer, name);
    return buffer;
  }
}
