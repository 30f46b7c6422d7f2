import { checkOptions, type OptionNames } from "../base/options/options.ts";
import type { WorkProgress } from "../base/work.ts";
import { CairnError } from "../base/errors.ts";
import { mostBindingBytes } from "../gpu/binding_parts.ts";
import type { BufferRange } from "../gpu/buffer_range.ts";
import { compilePipelines } from "../gpu/compile_pipelines.ts";
import { type ReadyDispatch, timeDispatches } from "../gpu/time_dispatches.ts";
import type { GpuDevice } from "../gpu/gpu_device.ts";
import type { Dispatch } from "../gpu/dispatch.ts";
import { encodeStepScalars, STEP_SCALARS_BYTES, type StepScalars } from "../kernels/step_scalars.ts";
import { HostTensor } from "../tensor/host_tensor.ts";
import { requireBindable } from "./bindable.ts";
import { checkProgram } from "./check_program.ts";
import { describeProgram } from "./describe_program.ts";
import { explainKernels, keptBytes, type ProgramExplanation } from "./explain_program.ts";
import { ProgramLowering, storageBytes } from "./lower_program.ts";
import { type LoweredUpdates, lowerUpdates } from "./lower_updates.ts";
import { item } from "./op.ts";
import { type OutputRegion, planResults, type ResultPlan } from "./plan_results.ts";
import { PROGRAM, type Program } from "./program.ts";
import { ProgramMemory } from "./program_memory.ts";
import { bytesForInput, type ProgramInput } from "./program_inputs.ts";
import type { Value } from "./value.ts";
import { variantChooser } from "./variants.ts";

/** Options of {@link Executable.compile}. */
export interface CompileOptions {
  /**
   * Kernel variants by kernel name. What is missing is chosen for the adapter and filled in, so that a resumed run
   * can be given the same ones: another variant gives other last bits.
   */
  readonly variants?: Map<string, string>;
  /** Stands in messages and in the labels of GPU objects. */
  readonly label?: string;
  /** Called when it is known how many kernels there are to be compiled, and after each of them. */
  readonly onCompile?: ((progress: WorkProgress) => void) | undefined;
}

/** Every option of {@link CompileOptions}. */
export const COMPILE_OPTIONS: OptionNames<CompileOptions> = {
  variants: true,
  label: true,
  onCompile: true,
};

/** What a compiled program is made of. */
export interface ExecutableStats {
  /** Dispatches of one run, with those of `updates`. */
  readonly dispatches: number;
  /** Size of all GPU buffers of the program. */
  readonly workspaceBytes: number;
  /** Compute pipelines that its dispatches use; equal ones count once. */
  readonly pipelines: number;
  /** Elementwise ops that run inside the kernel of another. */
  readonly fusedOps: number;
}

/** A copy of an output that a run leaves in memory of the caller, such as a ring of losses. */
export interface OutputCopy {
  /** Name of one of the program's outputs. */
  readonly output: string;
  /** As large as the output, or larger; the offset is a multiple of 4. */
  readonly into: BufferRange;
}

interface Compiled {
  readonly gpu: GpuDevice;
  readonly label: string;
  readonly lowering: ProgramLowering;
  readonly updates: LoweredUpdates;
  readonly results: ResultPlan;
  readonly memory: ProgramMemory;
  readonly dispatches: readonly ReadyDispatch[];
  /** For each number of updates, from 0, how many of the dispatches a run with so many has. */
  readonly ends: readonly number[];
  readonly usesScalars: boolean;
  readonly description: string;
}

/**
 * A compiled program: a fixed list of dispatches with their pipelines, bind groups and memory. A run is one command
 * encoder with one compute pass, and one submit; it creates no buffer, bind group or pipeline.
 */
export class Executable {
  /** What it is made of. It never changes. */
  readonly stats: ExecutableStats;
  readonly #compiled: Compiled;
  readonly #scalarBytes = new Uint8Array(STEP_SCALARS_BYTES);
  #isClosed = false;

  private constructor(compiled: Compiled) {
    this.#compiled = compiled;
    this.stats = {
      dispatches: compiled.dispatches.length,
      workspaceBytes: compiled.memory.byteLength,
      pipelines: new Set(compiled.dispatches.map(({ pipeline }) => pipeline)).size,
      fusedOps: compiled.lowering.fusedOps,
    };
  }

  /**
   * Plans `program`, allocates its memory and compiles its kernels.
   * @throws TypeError when the program is inconsistent; CairnError `gpu_validation` naming the kernel,
   * `limit_exceeded` when a tensor is too large for the adapter, `unsupported` for an unknown variant.
   */
  static async compile(gpu: GpuDevice, program: Program, options: CompileOptions = {}): Promise<Executable> {
    checkOptions("Executable.compile()", options, COMPILE_OPTIONS);
    checkOptions("Executable.compile()", program, PROGRAM);
    const label = options.label ?? "program";
    checkProgram(program);
    const roots = [...Object.values(program.outputs), ...(program.stores ?? []).map(({ value }) => value)];
    const chooser = variantChooser(options.variants ?? new Map(), gpu.isCpuAdapter);
    const bindingBytes = mostBindingBytes(gpu);
    const lowering = new ProgramLowering(
      roots,
      program.inputs,
      program.parameters,
      chooser,
      bindingBytes,
    );
    const results = planResults(program, lowering);
    const updates = lowerUpdates(program.updates ?? [], results.outputs, chooser, bindingBytes);
    requireBindable([...lowering.steps, ...updates.steps], gpu);
    const memory = await ProgramMemory.allocate(gpu, label, lowering, results, updates);
    try {
      const steps = [...lowering.steps, ...updates.steps].map(({ dispatch }) => {
        return { ...dispatch, bindings: dispatch.bindings.map((binding) => memory.rangeOf(binding)) };
      });
      const dispatches = await prepare(gpu, steps, options.onCompile);
      const usesScalars = steps.some(({ bindings }) => bindings.includes(memory.rangeOf("scalars")));
      const description = describeProgram(label, lowering, updates, results, memory);
      const ends = [0, ...updates.ends].map((end) => lowering.steps.length + end);
      return new Executable({
        gpu,
        label,
        lowering,
        updates,
        results,
        memory,
        dispatches,
        ends,
        usesScalars,
        description,
      });
    } catch (error) {
      memory.close();
      throw error;
    }
  }

  /**
   * Uploads `inputs` and the step's scalars, encodes every dispatch and the `copies`, and submits. Returns at once:
   * the GPU works in the background. Everything is checked before anything is sent.
   * @throws TypeError for a missing or unknown name; CairnError `shape_mismatch` or `dtype_mismatch` for an input
   * that does not fit, `closed`, `device_lost`.
   * @param updates How many of the program's updates run, the first ones; all of them unless given.
   */
  run(
    inputs: Readonly<Record<string, ProgramInput>>,
    scalars?: StepScalars,
    copies: readonly OutputCopy[] = [],
    updates?: number,
  ): void {
    const { gpu, memory } = this.#use();
    const uploads = this.#uploadsOf(inputs);
    const outputCopies = copies.map((copy) => this.#copyOf(copy));
    const end = this.#endOf(updates);
    this.#encodeScalars(scalars);
    if (this.#compiled.usesScalars) gpu.write(memory.rangeOf("scalars").buffer, 0, this.#scalarBytes);
    for (const [range, bytes] of uploads) gpu.write(range.buffer, range.offset, bytes);
    const encoder = gpu.device.createCommandEncoder({ label: this.#compiled.label });
    this.#encodePass(encoder, end);
    for (const { from, into } of outputCopies) {
      encoder.copyBufferToBuffer(from.buffer, from.offset, into.buffer, into.offset, from.size);
    }
    gpu.submit(encoder);
  }

  /** Outputs of the last run, in one batch of read-backs. Waits for the GPU: not for every step. */
  async read(...names: string[]): Promise<HostTensor[]> {
    const { gpu, memory } = this.#use();
    const outputs = names.map((name) => this.#output(name));
    const pieces = await gpu.read(outputs.map(({ region }) => memory.rangeOf(region)));
    return outputs.map(({ value }, index) => {
      const bytes = pieces[index]?.subarray(0, storageBytes(value)) ?? new Uint8Array(0);
      return HostTensor.fromBytes(bytes, value.dtype, value.shape);
    });
  }

  /** The plan, for people: each dispatch with its shapes and where it reads and writes. The same in every trace. */
  describe(): string {
    return this.#compiled.description;
  }

  /**
   * The plan as data: every kernel with its bytes and operations, and the memory.
   *
   * @param forward What is on the way to the loss; what only gradients need is not reachable from it. Default: the
   * outputs.
   * @param ms Milliseconds of each dispatch, as {@link Executable.time} gives them.
   */
  explain(forward?: Iterable<Value>, ms?: readonly number[]): ProgramExplanation {
    const { label, lowering, updates, results, memory } = this.#compiled;
    const { dispatches, pipelines, fusedOps, workspaceBytes } = this.stats;
    const explained = {
      steps: [...lowering.steps, ...updates.steps],
      updatesFrom: lowering.steps.length,
      forward: [...forward ?? [...results.outputs.values()].map(({ value }) => value)],
    };
    return {
      label,
      kernels: explainKernels({ ...explained, ms }),
      activationBytes: keptBytes(explained, lowering.computed),
      dispatches,
      pipelines,
      fusedOps,
      workspaceBytes,
      leastBytes: memory.leastBytes,
    };
  }

  /**
   * Runs twice as {@link Executable.run} does, with all updates, and gives the milliseconds that each dispatch took on
   * the GPU the second time. Waits for the GPU.
   *
   * @param unchanged What gets its bytes back in the same submit, so that nothing else sees that it was changed.
   * @throws CairnError `unsupported` where the device has no `timestamp-query`, `out_of_memory`.
   */
  async time(
    inputs: Readonly<Record<string, ProgramInput>>,
    scalars?: StepScalars,
    unchanged: readonly BufferRange[] = [],
  ): Promise<number[]> {
    const { gpu, memory, dispatches } = this.#use();
    const uploads = this.#uploadsOf(inputs);
    this.#encodeScalars(scalars);
    if (this.#compiled.usesScalars) gpu.write(memory.rangeOf("scalars").buffer, 0, this.#scalarBytes);
    for (const [range, bytes] of uploads) gpu.write(range.buffer, range.offset, bytes);
    // At the first run of a kernel some drivers are still compiling it.
    await timeDispatches(gpu, dispatches, unchanged);
    return await timeDispatches(gpu, dispatches, unchanged);
  }

  /** Frees the program's memory. Safe to call twice. */
  close(): void {
    this.#isClosed = true;
    this.#compiled.memory.close();
  }

  #use(): Compiled {
    if (this.#isClosed) {
      throw new CairnError(
        "closed",
        `Cannot use the executable "${this.#compiled.label}": it was closed; compile it anew`,
      );
    }
    this.#compiled.gpu.assertAlive();
    return this.#compiled;
  }

  #uploadsOf(given: Readonly<Record<string, ProgramInput>>): [BufferRange, Uint8Array][] {
    const { lowering, memory, label } = this.#compiled;
    for (const name of Object.keys(given)) {
      if (lowering.inputs.has(name)) continue;
      throw new TypeError(`"${label}" has no input "${name}"; it has ${listOf(lowering.inputs.keys())}`);
    }
    return [...lowering.inputs].map(([name, { value, region }]) => {
      const elements = given[name];
      if (elements === undefined) {
        throw new TypeError(`"${label}" needs the input "${name}", which was not given`);
      }
      return [memory.rangeOf(region), bytesForInput(name, value, elements)];
    });
  }

  #encodeScalars(scalars: StepScalars | undefined): void {
    if (scalars !== undefined) encodeStepScalars(scalars, this.#scalarBytes);
    else if (this.#compiled.usesScalars) {
      throw new TypeError(
        `"${this.#compiled.label}" draws random numbers or uses step scalars: give run() a seed and a step`,
      );
    }
  }

  #copyOf({ output, into }: OutputCopy): { from: BufferRange; into: BufferRange } {
    const from = this.#compiled.memory.rangeOf(this.#output(output).region);
    if (into.size >= from.size && into.buffer !== from.buffer) return { from, into };
    throw new RangeError(
      `Output "${output}" has ${from.size} bytes and cannot be copied into ${into.size} bytes of ` +
        `"${into.buffer.label}"; give a range that is large enough, in a buffer that the program does not write`,
    );
  }

  #output(name: string): OutputRegion {
    return outputOf(this.#compiled.results, name, `"${this.#compiled.label}"`);
  }

  #endOf(updates: number | undefined): number {
    const { ends, dispatches, label } = this.#compiled;
    const end = updates === undefined ? dispatches.length : ends[updates];
    if (end !== undefined) return end;
    throw new RangeError(`"${label}" has ${ends.length - 1} updates, of which ${updates} cannot run`);
  }

  #encodePass(encoder: GPUCommandEncoder, end: number): void {
    const pass = encoder.beginComputePass({ label: this.#compiled.label });
    for (const { pipeline, bindGroup, workgroups } of this.#compiled.dispatches.slice(0, end)) {
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, bindGroup);
      pass.dispatchWorkgroups(...workgroups);
    }
    pass.end();
  }
}

/** Compiles each kernel and binds its memory; errors name the kernel. */
async function prepare(
  gpu: GpuDevice,
  dispatches: readonly Dispatch[],
  onCompile: CompileOptions["onCompile"],
): Promise<ReadyDispatch[]> {
  const pipelines = await compilePipelines(gpu, dispatches, onCompile);
  return await Promise.all(dispatches.map(async ({ label, bindings, workgroups }, index) => {
    const pipeline = item(pipelines, index);
    const bindGroup = await gpu.validated(label, () => gpu.bindGroup(label, pipeline, bindings));
    return { pipeline, bindGroup, workgroups };
  }));
}

function outputOf(results: ResultPlan, name: string, program: string): OutputRegion {
  const found = results.outputs.get(name);
  if (found !== undefined) return found;
  throw new TypeError(`${program} has no output "${name}"; it has ${listOf(results.outputs.keys())}`);
}

function listOf(names: Iterable<string>): string {
  const listed = [...names].map((name) => `"${name}"`).join(", ");
  return listed === "" ? "none" : listed;
}
