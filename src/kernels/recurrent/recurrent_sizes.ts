import { alignUp } from "../../base/checked.ts";
import { UNIFORM_BYTES } from "../kernel_steps.ts";
import { requireElements, requireSizes } from "../sizes.ts";
import { CELLS, type RecurrentCell } from "./cells.ts";

/** A recurrent layer over a sequence of `time` steps, for `batch` sequences, with `hidden` units. */
export interface RecurrentSizes {
  readonly cell: RecurrentCell;
  readonly batch: number;
  readonly time: number;
  readonly hidden: number;
}

/**
 * `uniform`: what all invocations read is copied into blocks for uniform buffers, and an invocation computes up to 16
 * rows of 16 sums. For CPU adapters.
 * `storage`: the same from storage buffers with small tiles, so that there are many invocations. For GPUs.
 */
export type RecurrentVariant = "uniform" | "storage";

/** What one invocation computes, and how many there are in a workgroup. */
export interface RecurrentTile {
  /** Rows of the batch, a multiple of 4. */
  readonly rows: number;
  /** Vectors of units. */
  readonly vectors: number;
  readonly invocations: number;
}

/**
 * How the operands of the products are cut into blocks. What changes from step to step, the state or its gradient, is
 * stored `[step of k][row]`; the weights are `[step of k][unit]`.
 */
export interface RecurrentBlocks {
  /** Steps of k in a block, a multiple of 4, and how many blocks `hidden` takes. */
  readonly depth: number;
  readonly depthBlocks: number;
  /** Rows of a block, a multiple of 16, and how many blocks the batch takes. */
  readonly rows: number;
  readonly rowBlocks: number;
  /** Units of a block, a multiple of 16, and how many blocks `hidden` takes. */
  readonly units: number;
  readonly unitBlocks: number;
}

/** Steps of k that a block in a uniform buffer has at most. */
const MOST_DEPTH = 128;

/** Throws `RangeError` for sizes that a shader cannot index. */
export function requireRecurrentSizes({ cell, batch, time, hidden }: RecurrentSizes): void {
  requireSizes("recurrent", { batch, time, hidden });
  const widest = Math.max(CELLS[cell].gates, CELLS[cell].kept.length);
  requireElements("recurrent", [batch, time, hidden, widest]);
  requireElements("recurrent", [hidden, hidden, CELLS[cell].gates]);
}

/** The blocks of a variant. They depend on the sizes only, since they decide the order of sums. */
export function blocksOf({ batch, hidden }: RecurrentSizes, variant: RecurrentVariant): RecurrentBlocks {
  if (variant === "storage") {
    return {
      depth: alignUp(hidden, 4),
      depthBlocks: 1,
      rows: alignUp(batch, 16),
      rowBlocks: 1,
      units: alignUp(hidden, 16),
      unitBlocks: 1,
    };
  }
  const depth = even(hidden, MOST_DEPTH, 4);
  const mostLines = Math.floor(UNIFORM_BYTES / 4 / depth / 16) * 16;
  const [rows, units] = [even(batch, mostLines, 16), even(hidden, Math.min(mostLines, 512), 16)];
  return {
    depth,
    depthBlocks: Math.ceil(hidden / depth),
    rows,
    rowBlocks: Math.ceil(batch / rows),
    units,
    unitBlocks: Math.ceil(hidden / units),
  };
}

/** Parts of `size` that are about equal, of at most `most`, in a multiple of `unit`. */
function even(size: number, most: number, unit: number): number {
  return alignUp(Math.ceil(size / Math.ceil(size / most)), unit);
}

/** Bytes of a block of the state, and of the weights: multiples of 256, so that each can be bound. */
export function stateBlockBytes({ depth, rows }: RecurrentBlocks): number {
  return depth * rows * 4;
}

/** The same for a block of weights. */
export function weightBlockBytes({ depth, units }: RecurrentBlocks): number {
  return depth * units * 4;
}

/** Bytes of `count` blocks. In a uniform buffer the last is bound with as many bytes as all others. */
export function bytesOfBlocks(count: number, blockBytes: number, variant: RecurrentVariant): number {
  return (count - 1) * blockBytes +
    (variant === "uniform" ? Math.max(UNIFORM_BYTES, blockBytes) : blockBytes);
}

/** Invocations from which on two threads have work. */
const ENOUGH_INVOCATIONS = 16;

/** The tile of a pass: `mostVectors` of a vector each are in it at most. Results do not depend on it. */
export function tileOf(
  { batch, hidden }: RecurrentSizes,
  variant: RecurrentVariant,
  mostVectors: 1 | 4,
): RecurrentTile {
  if (variant === "storage") return { rows: 4, vectors: 1, invocations: 64 };
  const rows = batch > 8 ? 16 : batch > 4 ? 8 : 4;
  const invocationsWith = (vectors: number) => Math.ceil(batch / rows) * Math.ceil(hidden / (4 * vectors));
  const vectors = [4, 2].find((count) =>
    count <= mostVectors && invocationsWith(count) >= ENOUGH_INVOCATIONS
  );
  return { rows, vectors: vectors ?? 1, invocations: 8 };
}
