import type { OptionNames } from "../../base/options/options.ts";
import type { Clock } from "../../base/clock.ts";
import type { RowShard } from "../../container/format/part_list.ts";
import type { NamePattern } from "../../base/name_pattern.ts";
import { checkRank } from "../file/parts/rank_view.ts";
import type { ProcessGroup } from "./process_group.ts";
import type { TagValidation } from "./tag_validation.ts";

/**
 * Options of a save that several ranks make together, each with its own store, into one directory: `rank` and
 * `worldSize`, or a `group` that they have.
 */
export interface RankSaveOptions {
  /** This process among those that save, from 0. They find each other in the directory of the checkpoints. */
  readonly rank?: number | undefined;
  /** How many save together. */
  readonly worldSize?: number | undefined;
  /** The processes that save together. It stays open. */
  readonly group?: ProcessGroup | undefined;
  /**
   * Tensors that all ranks have alike. One that is there on all of them is written by one rank and is for any rank
   * afterwards; any other one stays the own tensor of each rank that has it.
   */
  readonly replicated?: readonly NamePattern[] | undefined;
  /**
   * Tensors of which this rank has some rows, with the rows that it has. All ranks together have to have all rows
   * once.
   */
  readonly sharded?: Readonly<Record<string, RowShard>> | undefined;
  /** What happens when ranks do not agree on the tag; the first rank's is taken unless it is "fail". Default "warn". */
  readonly tagValidation?: TagValidation | undefined;
  /** How long to wait for the other ranks each time. Default 1 800 000 ms, or what the group says. */
  readonly timeoutMs?: number | undefined;
  /** Without a group: how often to look for an answer, at least; it is sooner at first. Default 100 ms. */
  readonly pollMs?: number | undefined;
  /** Without a group: the clock for that. */
  readonly clock?: Clock | undefined;
}

/** Every option of {@link RankSaveOptions}. */
export const RANK_SAVE_OPTIONS: OptionNames<RankSaveOptions> = {
  rank: true,
  worldSize: true,
  group: true,
  replicated: true,
  sharded: true,
  tagValidation: true,
  timeoutMs: true,
  pollMs: true,
  clock: true,
};

/**
 * Which rank of how many saves.
 *
 * @throws TypeError unless there is either a group or both numbers; RangeError for an invalid rank.
 */
export function rankAndSize(options: RankSaveOptions): { rank: number; worldSize: number } {
  const { rank, worldSize, group, pollMs, clock } = options;
  if (group !== undefined) {
    const isAlone = [rank, worldSize, pollMs, clock].every((value) => value === undefined);
    if (isAlone) return { rank: group.rank, worldSize: group.size };
    throw new TypeError(
      "A group knows its rank, its size and its clock; leave rank, worldSize, pollMs and clock out",
    );
  }
  if (rank === undefined || worldSize === undefined) {
    throw new TypeError("Ranks that save together need a group, or rank and worldSize");
  }
  checkRank(rank, worldSize);
  return { rank, worldSize };
}
