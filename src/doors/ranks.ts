/**
 * Several processes that save one checkpoint together, each its own rows, and load it again as any number of ranks.
 *
 * @example
 * ```ts
 * import { TensorStore } from "@cairn-ml/cairn";
 * import { loadCheckpoint, saveCheckpoint } from "@cairn-ml/cairn/compat";
 * import { rowsOfRank } from "@cairn-ml/cairn/ranks";
 *
 * // Each rank is a process of its own; here one plays both.
 * const stores = await Promise.all([TensorStore.open(), TensorStore.open()]);
 * await Promise.all(stores.map(async (store, rank) => {
 *   const rows = rowsOfRank(10, rank, 2);
 *   store.define("model", [{ name: "embedding", dtype: "f32", shape: [rows.end - rows.start, 4] }]);
 *   const ranks = { rank, worldSize: 2, sharded: { "model.embedding": rows }, pollMs: 10 };
 *   await saveCheckpoint("checkpoints", { store }, { tag: 1, ranks });
 * }));
 *
 * const whole = await TensorStore.open(); // one process, all rows
 * whole.define("model", [{ name: "embedding", dtype: "f32", shape: [10, 4] }]);
 * const { placement } = await loadCheckpoint("checkpoints", { store: whole });
 * console.log(placement);
 *
 * for (const store of [...stores, whole]) await store.close();
 * ```
 *
 * @module
 */
export type { RowShard } from "../container/format/part_list.ts";
export { type PlacementReport, type RankView, rowsOfRank } from "../checkpoint/file/parts/rank_view.ts";
export type { GroupCallOptions, GroupOptions } from "../checkpoint/ranks/group_call.ts";
export type { DirectoryGroupOptions } from "../checkpoint/ranks/over_directory/directory_group.ts";
export { ProcessGroup, type ProcessGroups } from "../checkpoint/ranks/process_group.ts";
export type { RankSaveOptions } from "../checkpoint/ranks/rank_options.ts";
export {
  agreeOnTag,
  parseTagValidation,
  type TagAgreement,
  tagDigest,
  type TagValidation,
  validateTagDigests,
} from "../checkpoint/ranks/tag_validation.ts";
