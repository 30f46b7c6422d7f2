import { checkOptions, type OptionNames } from "../base/options/options.ts";
import type { ProcessGroup } from "../checkpoint/ranks/process_group.ts";

/** How a batch is shared out. */
export interface DataParallelOptions {
  /**
   * Into how many parts each batch is cut, whoever computes them. They are a part of what the run is, as a batch that
   * is added up from other parts rounds otherwise. At least as many as there are ranks; 8 allow 1 to 8.
   */
  readonly shards: number;
  /** The processes that share them. It stays the caller's. Default: this one has all. */
  readonly group?: ProcessGroup | undefined;
  /**
   * Whether each rank keeps what the optimiser has of some parameters only, updates these, and gets the others from
   * the ranks that have them (ZeRO-1): less memory on each GPU, the same bits, and the same tensors in checkpoints.
   * Default false: each rank has all of it.
   */
  readonly optimizerSharding?: boolean | undefined;
}

/** Every option of {@link DataParallelOptions}. */
export const DATA_PARALLEL_OPTIONS: OptionNames<DataParallelOptions> = {
  shards: true,
  group: true,
  optimizerSharding: true,
};

/** The group, where it has other ranks. */
export function groupOf({ group }: DataParallelOptions): ProcessGroup | undefined {
  return group !== undefined && group.size > 1 ? group : undefined;
}

/** @throws TypeError or RangeError for options that are none, and for more ranks than shards. */
export function checkParallel(options: DataParallelOptions | undefined): void {
  if (options === undefined) return;
  const { shards, group, optimizerSharding = false } = checkOptions(
    "parallel",
    options,
    DATA_PARALLEL_OPTIONS,
    "{ group, shards: 8 }",
  );
  if (!(Number.isSafeInteger(shards) && shards >= 1)) {
    throw new RangeError(`parallel.shards is an integer from 1, such as 8, found ${shards}`);
  }
  if (typeof optimizerSharding !== "boolean") {
    throw new TypeError(`parallel.optimizerSharding is true or false, found ${typeof optimizerSharding}`);
  }
  if (group === undefined) return;
  if (typeof group.allGather !== "function") {
    throw new TypeError(
      `parallel.group is a ProcessGroup, such as ProcessGroup.overDirectory(…) opens, found ${typeof group}`,
    );
  }
  if (group.size <= shards) return;
  throw new RangeError(
    `${group.size} ranks cannot share ${shards} shards, as each has one at least; start at most ${shards} ranks, or ` +
      "begin a run of more shards",
  );
}
