import type { OptionNames } from "../../base/options/options.ts";
import type { Clock } from "../../base/clock.ts";
import type { RowShard } from "../../container/format/part_list.ts";
import type { NamePattern } from "../../base/name_pattern.ts";
import type { TagValidation } from "./tag_validation.ts";

/** Options of a save that several ranks make together, each with its own store, into one directory. */
export interface RankSaveOptions {
  /** This process among those that save, from 0. */
  readonly rank: number;
  /** How many save together. */
  readonly worldSize: number;
  /**
   * Tensors that all ranks have alike. One that is there on all of them is written by one rank and is for any rank afterwards; any
   * other one stays the own tensor of each rank that has it.
   */
  readonly replicated?: readonly NamePattern[] | undefined;
  /** Tensors of which this rank has some rows, with the rows that it has. All ranks together have to have all rows once. */
  readonly sharded?: Readonly<Record<string, RowShard>> | undefined;
  /** What happens when ranks do not agree on the tag; the first rank's is taken unless it is "fail". Default "warn". */
  readonly tagValidation?: TagValidation | undefined;
  /** How long to wait for the other ranks. Default 1 800 000 ms. */
  readonly timeoutMs?: number | undefined;
  /** How often to look whether they have answered. Default 100 ms. */
  readonly pollMs?: number | undefined;
  readonly clock?: Clock | undefined;
}

/** Every option of {@link RankSaveOptions}. */
export const RANK_SAVE_OPTIONS: OptionNames<RankSaveOptions> = {
  rank: true,
  worldSize: true,
  replicated: true,
  sharded: true,
  tagValidation: true,
  timeoutMs: true,
  pollMs: true,
  clock: true,
};
