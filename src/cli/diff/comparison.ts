import type { NameSelection } from "../../base/name_pattern.ts";
import { isDamage } from "../../container/format/damage.ts";
import type { ListedTensor, OpenedFile } from "../open/opened_file.ts";
import type { TensorDistance } from "../../tensor/tensor_distance.ts";
import { distanceOf } from "./distance_of.ts";
import { type StateDifference, stateDifferences } from "./compare_states.ts";

/** What became of one name. */
export interface TensorComparison {
  readonly name: string;
  /**
   * `equal`: every bit is. `close`: within the tolerance. `unreadable`: of a dtype whose elements are not known, so
   * that nothing can be said. `damaged`: in one of the files.
   */
  readonly status: "equal" | "close" | "differs" | "shape" | "only_a" | "only_b" | "unreadable" | "damaged";
  readonly a?: ListedTensor | undefined;
  readonly b?: ListedTensor | undefined;
  readonly distance?: TensorDistance | undefined;
  /** What is damaged, in a sentence. */
  readonly problem?: string | undefined;
}

/** Two files beside each other. */
export interface Comparison {
  readonly tensors: readonly TensorComparison[];
  readonly state: readonly StateDifference[];
}

/** What of two files is compared. */
export interface Compared {
  readonly selection: NameSelection;
  /** Tensors whose relative difference is at most this are close. */
  readonly tolerance: number;
  readonly withState: boolean;
}

/** Compares the tensors of two files by their names, in the order of the first, and their states. */
export async function compareFiles(
  a: OpenedFile,
  b: OpenedFile,
  { selection, tolerance, withState }: Compared,
): Promise<Comparison> {
  const left = byName(await a.list(), selection);
  const right = byName(await b.list(), selection);
  const tensors: TensorComparison[] = [];
  for (const name of new Set([...left.keys(), ...right.keys()])) {
    const pair = { name, a: left.get(name), b: right.get(name) };
    tensors.push(await compareTensor(a, b, pair, tolerance));
  }
  return { tensors, state: withState ? stateDifferences(a, b) : [] };
}

/** Whether anything is not the same. */
export function hasDifference({ tensors, state }: Comparison): boolean {
  return state.length > 0 || tensors.some(({ status }) => status !== "equal" && status !== "close");
}

function byName(tensors: readonly ListedTensor[], selection: NameSelection): Map<string, ListedTensor> {
  return new Map(tensors.filter(({ name }) => selection.has(name)).map((tensor) => [tensor.name, tensor]));
}

async function compareTensor(
  fileA: OpenedFile,
  fileB: OpenedFile,
  pair: Pick<TensorComparison, "name" | "a" | "b">,
  tolerance: number,
): Promise<TensorComparison> {
  const { name, a, b } = pair;
  if (b === undefined) return { ...pair, status: "only_a" };
  if (a === undefined) return { ...pair, status: "only_b" };
  if (a.shape.join() !== b.shape.join()) return { ...pair, status: "shape" };
  if (a.dtype === undefined || b.dtype === undefined) return { ...pair, status: "unreadable" };
  try {
    const distance = await distanceOf(
      { dtype: a.dtype, pieces: fileA.pieces(name) },
      { dtype: b.dtype, pieces: fileB.pieces(name) },
    );
    const isEqual = a.dtype === b.dtype && distance.different === 0;
    const isClose = distance.notFinite === 0 && distance.relative <= tolerance && tolerance > 0;
    return { ...pair, distance, status: isEqual ? "equal" : isClose ? "close" : "differs" };
  } catch (error) {
    if (!isDamage(error)) throw error;
    return { ...pair, status: "damaged", problem: error.message };
  }
}
