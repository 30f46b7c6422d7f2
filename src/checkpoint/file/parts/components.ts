import type { TensorSpec } from "../../../container/format/layout.ts";
import { isPartName, type PartRole } from "../../../container/format/part_list.ts";
import { isStoreTensor } from "./placement.ts";

/** A part to be written. */
export interface PartPlan {
  /** The part's name, of which the file's is made. */
  readonly name: string;
  /** Whether it is to have the tensor, and whatever shares its bytes. */
  readonly has: (tensor: string) => boolean;
  /** The rank that writes it, and what its tensors are. */
  readonly rank?: number | undefined;
  /** What the tensors of a rank are among those of others; only for ranks. */
  readonly role?: PartRole | undefined;
}

/**
 * Which components get a file of their own: all of them, or those that are named. A component is what the names of a
 * store's tensors begin with, up to the first dot: `model`, and `optimizer` for the groups `optimizer.m` and
 * `optimizer.v`.
 */
export type Components = boolean | readonly string[];

/**
 * The parts that tensors are cut into. What is in none of them stays in the index, as the state beside the tensors
 * does. A component without tensors has no file, and one whose name cannot be a file's stays in the index unless it
 * was asked for by name.
 */
export function planComponents(tensors: readonly TensorSpec[], components: Components): PartPlan[] {
  if (components === false) return [];
  const found = new Set(
    tensors.filter(({ name }) => isStoreTensor(name)).map(({ name }) => componentOf(name)),
  );
  const names = components === true ? [...found].filter(isPartName) : [...new Set(components)];
  return names.filter((name) => found.has(name)).map((name) => ({
    name,
    has: (tensor) => isStoreTensor(tensor) && componentOf(tensor) === name,
  }));
}

/** The tensors that a part is to have; one that shares the bytes of another is where that is. */
export function tensorsOfPart<Tensor extends Pick<TensorSpec, "name" | "aliasOf">>(
  tensors: readonly Tensor[],
  { has }: PartPlan,
): Tensor[] {
  return tensors.filter(({ name, aliasOf }) => has(aliasOf ?? name));
}

/** @throws TypeError for a name that cannot be one of a part. */
export function checkComponents(components: Components): void {
  for (const name of typeof components === "boolean" ? [] : components) {
    if (typeof name === "string" && isPartName(name)) continue;
    throw new TypeError(
      `${
        JSON.stringify(name)
      } is no component that can have a file: expected 1 to 64 letters, digits, ".", "_" and "-"`,
    );
  }
}

function componentOf(tensor: string): string {
  const end = tensor.indexOf(".");
  return end < 0 ? tensor : tensor.slice(0, end);
}
