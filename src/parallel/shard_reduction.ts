import type { ProcessGroup } from "../checkpoint/ranks/process_group.ts";
import type { CompileListener } from "../gpu/compile_pipelines.ts";
import type { GpuDevice } from "../gpu/gpu_device.ts";
import { Exchange } from "./exchange.ts";
import type { DataParallelOptions } from "./data_parallel_options.ts";
import { ShardSums } from "./shard_sums.ts";
import { slicesOf } from "./shards.ts";
import type { SumMemory } from "./sum_memory.ts";
import { nodesOf } from "./sum_tree.ts";

/** What ranks tell each other beside what is added up: of the same length on all. */
export type Message = Uint8Array;

/**
 * Adds up what the shards of a batch give, those of this rank on its GPU and those of all over the group. Wherever a
 * shard is computed, the sum has the same bits.
 */
export class ShardReduction {
  readonly #sums: ShardSums;
  readonly #exchange: Exchange | undefined;
  readonly #options: DataParallelOptions;

  private constructor(sums: ShardSums, exchange: Exchange | undefined, options: DataParallelOptions) {
    this.#sums = sums;
    this.#exchange = exchange;
    this.#options = options;
  }

  /** @param memory Where a shard leaves what is added up, and where sums are; the first has the result. */
  static async compile(
    gpu: GpuDevice,
    options: DataParallelOptions,
    memory: { readonly leaf: SumMemory; readonly slots: readonly SumMemory[] },
    listener?: () => CompileListener | undefined,
  ): Promise<ShardReduction> {
    const sums = await ShardSums.compile(gpu, memory, listener);
    const { group } = options;
    const exchange = isShared(group) ? new Exchange(gpu, group, memory.slots) : undefined;
    return new ShardReduction(sums, exchange, options);
  }

  /**
   * Every rank calls it for the same batch.
   *
   * @param count How many shards the batch has: fewer than usual where it has few examples.
   * @param own Those of this rank, in order.
   * @param compute Leaves what a shard gives, whose number in the batch it is told.
   * @returns The messages of all ranks, in their order.
   * @throws what the group throws.
   */
  async sum<Shard>(
    count: number,
    own: readonly Shard[],
    compute: (shard: Shard, index: number) => void,
    message: Message,
  ): Promise<Message[]> {
    const { group, shards } = this.#options;
    const ranks = slicesOf(shards, group?.size ?? 1);
    const first = ranks[group?.rank ?? 0]?.first ?? 0;
    this.#sums.begin(first);
    own.forEach((shard, index) => {
      compute(shard, first + index);
      this.#sums.add();
    });
    if (this.#exchange === undefined) {
      this.#sums.finish();
      return [message];
    }
    const byRank = ranks.map(({ first, size }) => nodesOf(first, Math.min(first + size, count)));
    return await this.#exchange.reduce({ byRank }, message);
  }

  close(): void {
    this.#sums.close();
    this.#exchange?.close();
  }
}

function isShared(group: ProcessGroup | undefined): group is ProcessGroup {
  return group !== undefined && group.size > 1;
}
