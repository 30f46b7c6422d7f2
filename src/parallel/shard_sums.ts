import type { CompileListener } from "../gpu/compile_pipelines.ts";
import { copyRanges, type RangeCopy } from "../gpu/copy_ranges.ts";
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
  /** Each adds the leaf to a slot, that to the one before, and so on: one submit for a shard. */
  readonly #chains: readonly Executable[];
  /** The same without the leaf. */
  readonly #joins: readonly Executable[];
  readonly #open: SumNode[] = [];
  #next = 0;

  private constructor(
    gpu: GpuDevice,
    { leaf, slots }: { readonly leaf: SumMemory; readonly slots: readonly SumMemory[] },
    chains: readonly Executable[],
    joins: readonly Executable[],
  ) {
    this.#gpu = gpu;
    this.#leaf = leaf;
    this.#slots = slots;
    this.#chains = chains;
    this.#joins = joins;
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
    const compile = (updates: readonly Update[]): Promise<Executable> => {
      const program = { inputs: [], outputs: {}, updates, parameters: unknown };
      return Executable.compile(gpu, program, { label: "sum over shards", onCompile: listener() });
    };
    /** Adds slot `from` to the one before, and so on. */
    const joinsFrom = (from: number): Update[] =>
      slots.slice(0, from).flatMap((into, index) => additionsOf(slots[index + 1] ?? [], into)).reverse();
    const made: Executable[] = [];
    try {
      for (const [index, slot] of slots.entries()) {
        made.push(await compile([...additionsOf(leaf, slot), ...joinsFrom(index)]));
      }
      for (let from = 1; from < slots.length; from++) made.push(await compile(joinsFrom(from)));
      return new ShardSums(gpu, memory, made.slice(0, slots.length), made.slice(slots.length));
    } catch (error) {
      for (const each of made) each.close();
      throw error;
    }
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
    this.#chains[at + joins - 1]?.run({}, undefined, [], joins * this.#leaf.length);
  }

  /** What is added up so far: node `i` is in slot `i`. */
  get nodes(): readonly SumNode[] {
    return this.#open;
  }

  /** Adds up the nodes, which are those of all shards. The sum is in the first slot. */
  finish(): void {
    if (this.#open.length > 1) this.#joins[this.#open.length - 2]?.run({});
  }

  close(): void {
    for (const each of [...this.#chains, ...this.#joins]) each.close();
  }

  #keepLeaf(at: number): void {
    const copies = this.#leaf.flatMap(({ range }, index): RangeCopy[] => {
      const into = this.#slots[at]?.[index]?.range;
      return into === undefined ? [] : [[range, into]];
    });
    copyRanges(this.#gpu, "keep a shard", copies);
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
