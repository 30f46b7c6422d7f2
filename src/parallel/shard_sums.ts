import type { CompileListener } from "../gpu/compile_pipelines.ts";
import type { GpuDevice } from "../gpu/gpu_device.ts";
import { Executable } from "../graph/executable.ts";
import type { Update, UpdateBinding } from "../graph/program.ts";
import { addInto } from "../kernels/optimizer/add_into.ts";
import { pushed } from "./open_sums.ts";
import type { SumMemory } from "./sum_memory.ts";
import type { SumNode } from "./sum_tree.ts";

/**
 * Adds up shards on the GPU, one after the other as they come, in the order of a tree that depends on their numbers
 * alone. It has few sums open at once: as many as the number of shards has binary digits.
 */
export class ShardSums {
  readonly #gpu: GpuDevice;
  readonly #leaf: SumMemory;
  readonly #slots: readonly SumMemory[];
  /** Adds the leaf to a slot; a slot to the one before. */
  readonly #addLeaf: readonly Executable[];
  readonly #addSlot: readonly Executable[];
  readonly #open: SumNode[] = [];
  #next = 0;

  private constructor(
    gpu: GpuDevice,
    { leaf, slots }: { readonly leaf: SumMemory; readonly slots: readonly SumMemory[] },
    addLeaf: readonly Executable[],
    addSlot: readonly Executable[],
  ) {
    this.#gpu = gpu;
    this.#leaf = leaf;
    this.#slots = slots;
    this.#addLeaf = addLeaf;
    this.#addSlot = addSlot;
  }

  /**
   * @param memory Where a shard's numbers are when it is added, and where sums are: at least `mostOpenSums`.
   */
  static async compile(
    gpu: GpuDevice,
    memory: { readonly leaf: SumMemory; readonly slots: readonly SumMemory[] },
    listener: () => CompileListener | undefined = () => undefined,
  ): Promise<ShardSums> {
    const { leaf, slots } = memory;
    const compile = (from: SumMemory, into: SumMemory): Promise<Executable> => {
      const program = { inputs: [], outputs: {}, updates: additionsOf(from, into), parameters: unknown };
      return Executable.compile(gpu, program, { label: "sum over shards", onCompile: listener() });
    };
    const made: Executable[] = [];
    try {
      for (const slot of slots) made.push(await compile(leaf, slot));
      for (const [index, slot] of slots.slice(1).entries()) {
        made.push(await compile(slot, slots[index] ?? []));
      }
    } catch (error) {
      for (const each of made) each.close();
      throw error;
    }
    return new ShardSums(gpu, memory, made.slice(0, slots.length), made.slice(slots.length));
  }

  /** Begins anew, with shard `first`. */
  begin(first: number): void {
    this.#open.length = 0;
    this.#next = first;
  }

  /** Adds the next shard, which is in the leaf. */
  add(): void {
    const joins = pushed(this.#open, this.#next++);
    const at = this.#open.length - 1;
    if (joins === 0) return this.#keepLeaf(at);
    this.#addLeaf[at + joins - 1]?.run({});
    for (let slot = at + joins - 2; slot >= at; slot--) this.#addSlot[slot]?.run({});
  }

  /** What is added up so far: node `i` is in slot `i`. */
  get nodes(): readonly SumNode[] {
    return this.#open;
  }

  /** Adds up the nodes, which are those of all shards. The sum is in the first slot. */
  finish(): void {
    for (let slot = this.#open.length - 2; slot >= 0; slot--) this.#addSlot[slot]?.run({});
  }

  close(): void {
    for (const each of [...this.#addLeaf, ...this.#addSlot]) each.close();
  }

  #keepLeaf(at: number): void {
    const encoder = this.#gpu.device.createCommandEncoder({ label: "keep a shard" });
    this.#leaf.forEach(({ range: from }, index) => {
      const into = this.#slots[at]?.[index]?.range;
      if (into === undefined) return;
      encoder.copyBufferToBuffer(from.buffer, from.offset, into.buffer, into.offset, from.size);
    });
    this.#gpu.submit(encoder);
  }
}

function additionsOf(from: SumMemory, into: SumMemory): Update[] {
  return from.flatMap(({ range: addend, integersFrom }, index): Update[] => {
    const sum = into[index]?.range;
    if (sum === undefined) return [];
    return [addInto<UpdateBinding>({ addend, sum }, { count: sum.size / 4, integersFrom })];
  });
}

function unknown(name: string): never {
  throw new RangeError(`A sum over shards has no parameter "${name}"`);
}
