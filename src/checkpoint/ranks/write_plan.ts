import { byteSizeOf, type DType } from "../../base/dtype.ts";
import { CairnError } from "../../base/errors.ts";
import type { TensorSpec } from "../../container/format/layout.ts";
import type { PartRole, RowShard } from "../../container/format/part_list.ts";
import { elementCount, shapesEqual } from "../../tensor/shape.ts";
import { NameSelection } from "../../base/name_pattern.ts";
import type { PartPlan } from "../file/parts/components.ts";
import { isStoreTensor } from "../file/parts/placement.ts";
import { checkShard } from "../file/parts/rank_view.ts";
import { byRows, flawInRows } from "../file/parts/rows_once.ts";
import { shareOut } from "./share_out.ts";
import { type TagValidation, validateTagDigests } from "./tag_validation.ts";
import type { RankSaveOptions } from "./rank_options.ts";

/** What a rank says of a tensor that it has. */
export interface RankTensor {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** Names of the tensors that share its bytes. */
  readonly aliases: readonly string[];
  readonly isReplicated: boolean;
  readonly shard?: RowShard | undefined;
}

/** What a rank says of what it wants to save. */
export interface RankState {
  readonly rank: number;
  /** What its tag comes down to; see `tagDigest`. */
  readonly digest: string;
  readonly step?: number | undefined;
  readonly tensors: readonly RankTensor[];
}

/** Who writes what all ranks have, as all of them agreed. */
export interface WritePlan {
  /** The rank that writes it, by the name of each replicated tensor. */
  readonly writers: ReadonlyMap<string, number>;
  /** What is not right and no reason to stop: that the tags differ. */
  readonly warning: string | undefined;
}

/**
 * What a rank tells the others of its tensors.
 *
 * @throws TypeError for rows of a tensor that is not there, has other rows, or shares its bytes; RangeError for invalid
 * rows.
 */
export function describeTensors(
  tensors: readonly TensorSpec[],
  { replicated = [], sharded = {} }: Pick<RankSaveOptions, "replicated" | "sharded">,
): RankTensor[] {
  const selection = new NameSelection(replicated);
  const shards = new Map(Object.entries(sharded));
  const tied = new Map<string, string[]>();
  for (const { name, aliasOf } of tensors) {
    if (aliasOf !== undefined) tied.set(aliasOf, [...tied.get(aliasOf) ?? [], name]);
  }
  const own = tensors.filter(({ name, aliasOf }) => isStoreTensor(name) && aliasOf === undefined);
  const described = own.map(({ name, dtype, shape }): RankTensor => {
    const shard = shards.get(name);
    if (shard !== undefined) requireRows(name, shape, shard);
    shards.delete(name);
    const aliases = tied.get(name)?.sort() ?? [];
    return { name, dtype, shape, aliases, isReplicated: shard === undefined && selection.has(name), shard };
  });
  const [stranger] = shards.keys();
  if (stranger === undefined) return described;
  throw new TypeError(
    `Cannot save rows of "${stranger}": the store has no tensor of this name with bytes of its own`,
  );
}

/**
 * Decides who writes what. Pure: every rank that has the same states comes to the same plan. A tensor counts as
 * replicated when all ranks have it and say so; each of those goes to the rank that has the least to write so far,
 * the largest ones first.
 *
 * @param states Of all ranks, in order of rank.
 * @throws CairnError `state_mismatch` when steps, forms or rows do not go together; `invalid_tag` in the mode "fail".
 */
export function planWrites(states: readonly RankState[], mode: TagValidation = "warn"): WritePlan {
  requireOneStep(states);
  const warning = validateTagDigests(states.map(({ digest }) => digest), mode);
  const byName = new Map<string, RankTensor[]>();
  const load = states.map(() => 0);
  for (const { tensors } of states) {
    for (const tensor of tensors) byName.set(tensor.name, [...byName.get(tensor.name) ?? [], tensor]);
  }
  const replicated = new Map<string, RankTensor>();
  for (const [name, tensors] of byName) {
    const [first] = tensors;
    if (first === undefined) continue;
    if (tensors.some(({ shard }) => shard !== undefined)) requireAllRows(name, tensors);
    else if (tensors.length === states.length && tensors.every(({ isReplicated }) => isReplicated)) {
      requireAlike(name, tensors, first);
      replicated.set(name, first);
    }
  }
  for (const { rank, tensors } of states) {
    for (const tensor of tensors) {
      if (!replicated.has(tensor.name)) load[rank] = (load[rank] ?? 0) + bytesOf(tensor);
    }
  }
  const sizes = [...replicated.values()].map((tensor) => [tensor.name, bytesOf(tensor)] as const);
  const writers = shareOut(sizes, load);
  return { writers, warning };
}

/**
 * The part that a rank writes. The first rank's state beside the tensors goes into the index, that of others into
 * their parts.
 */
export function partOfRank({ rank, tensors }: RankState, { writers }: WritePlan): PartPlan {
  const shards = tensors.flatMap(({ name, shard }) => shard === undefined ? [] : [[name, shard] as const]);
  const replicated = tensors.map(({ name }) => name).filter((name) => writers.get(name) === rank);
  const role: PartRole = { replicated, sharded: Object.fromEntries(shards) };
  const isOthers = (tensor: string): boolean => (writers.get(tensor) ?? rank) !== rank;
  return {
    name: `rank-${rank}`,
    rank,
    role,
    has: (tensor) => isStoreTensor(tensor) ? !isOthers(tensor) : rank !== 0,
  };
}

function bytesOf({ dtype, shape }: RankTensor): number {
  return elementCount(shape) * byteSizeOf(dtype);
}

function requireRows(name: string, shape: readonly number[], shard: RowShard): void {
  checkShard(name, shard);
  if (shape[0] === shard.end - shard.start) return;
  throw new TypeError(
    `Cannot save "${name}" as the rows ${shard.start} to ${shard.end}: it has the shape [${shape}]`,
  );
}

function requireOneStep(states: readonly RankState[]): void {
  const [first] = states;
  const other = states.find(({ step }) => step !== first?.step);
  if (other === undefined) return;
  throw mismatch(
    `rank ${other.rank} is at step ${other.step ?? "unknown"} and rank 0 at step ${
      first?.step ?? "unknown"
    }; save at the same step on every rank`,
  );
}

function requireAlike(name: string, tensors: readonly RankTensor[], first: RankTensor): void {
  requireSameAliases(name, tensors, first);
  const other = tensors.find(({ dtype, shape }) => dtype !== first.dtype || !shapesEqual(shape, first.shape));
  if (other === undefined) return;
  throw mismatch(
    `the replicated tensor "${name}" is ${first.dtype} [${first.shape}] on rank 0 and ${other.dtype} [${other.shape}] on another; leave it out of replicated`,
    name,
  );
}

/** What shares the bytes of a tensor that is for all ranks is for all ranks too. */
function requireSameAliases(name: string, tensors: readonly RankTensor[], first: RankTensor): void {
  const other = tensors.find(({ aliases }) => aliases.join("\n") !== first.aliases.join("\n"));
  if (other === undefined) return;
  const [tied = ""] = [...first.aliases, ...other.aliases];
  throw mismatch(
    `"${tied}" shares the bytes of "${name}" on some ranks and not on others; tie them on all ranks, or leave "${name}" to each rank`,
    tied,
  );
}

function requireAllRows(name: string, tensors: readonly RankTensor[]): void {
  const [first] = tensors;
  if (first !== undefined) requireSameAliases(name, tensors, first);
  const shards = tensors.flatMap(({ shard }) => shard ?? []).sort(byRows);
  const rows = shards[0]?.rows ?? 0;
  const isAlike = shards.length === tensors.length &&
    tensors.every(({ dtype, shape, shard }) =>
      dtype === first?.dtype && shard?.rows === rows && shapesEqual(shape.slice(1), first.shape.slice(1))
    );
  if (!isAlike) {
    throw mismatch(`the ranks do not say the same of "${name}": some cut it otherwise than others`, name);
  }
  const flaw = flawInRows(shards, rows);
  if (flaw === undefined) return;
  const who = flaw.kind === "missing" ? "no rank has" : "more than one rank has";
  throw mismatch(`${who} the rows ${flaw.start} to ${flaw.end} of "${name}"`, name);
}

function mismatch(problem: string, tensor?: string): CairnError {
  return new CairnError("state_mismatch", `The ranks cannot save together: ${problem}`, {
    details: tensor === undefined ? {} : { tensor },
  });
}
