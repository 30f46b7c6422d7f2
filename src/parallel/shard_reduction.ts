import type { CompileListener } from "../gpu/compile_pipelines.ts";
import type { GpuDevice } from "../gpu/gpu_device.ts";
import { Exchange, type ExchangeSettings } from "./exchange.ts";
import { type DataParallelOptions, groupOf } from "./data_parallel_options.ts";
import { ShardSums } from "./shard_sums.ts";
import { slicesOf } from "./shards.ts";
import type { SumMemory } from "./sum_memory.ts";
import { nodesOf } from "./sum_tree.ts";

/** What ranks tell each other beside what is added up: of the same length on all. */
export type Message = Uint8Array;

/** How a {@link ShardReduction} is made. */
export interface ReductionSettings extends ExchangeSettings {
  /** Told of its kernels. */
  readonly listener?: (() => CompileListener | undefined) | undefined;
}

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
    { listener, ...settings }: ReductionSettings = {},
  ): Promise<ShardReduction> {
    const sums = await ShardSums.compile(gpu, memory, listener);
    const group = groupOf(options);
    const exchange = group === undefined ? undefined : new Exchange(gpu, group, memory.slots, settings);
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
    return await this.#exchange.reduce(byRank, message);
  }

  /** The same by this rank alone, which computes every shard. Its memory has to be enough for all of them. */
  sumAlone<Shard>(all: readonly Shard[], compute: (shard: Shard) => void): void {
    this.#sums.begin(0);
    for (const shard of all) {
      compute(shard);
      this.#sums.add();
    }
    this.#sums.finish();
  }

  close(): void {
    this.#sums.close();
    this.#exchange?.close();
  }
}
