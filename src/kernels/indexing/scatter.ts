import { LINEAR_MAIN_WGSL, linearGrid } from "../../gpu/dispatch.ts";
import type { ComputeDType } from "../elementwise/expression.ts";
import { boundParts, type KernelMemory, type KernelStep } from "../kernel_steps.ts";
import { HIDE_WGSL } from "../opaque.ts";
import { carriesError, totalsWgsl } from "../reduce/reduction_totals.ts";
import { requireElements, requireSizes } from "../sizes.ts";
import { sortedPlaces } from "../sort/sort.ts";
import type { IndexSizes } from "./take.ts";

/**
 * What becomes of updates that go to one place. `sum`: they are added up, in their order, and what is there is
 * replaced. `last`: the last one replaces it. `unique`: there is one for each place, as the caller knows.
 */
export type ScatterManner = "sum" | "last" | "unique";

/** What a scatter writes. */
export interface ScatterOptions extends IndexSizes {
  /** Whether there is one list of indices, `[count]`, or one for each column, `[outer, count, inner]`. */
  readonly isShared: boolean;
  readonly dtype: ComputeDType;
  readonly manner: ScatterManner;
}

/** What a scatter binds. */
export interface ScatterBindings<B> {
  /** u32. */
  readonly indices: B;
  /** `[outer, count, inner]`. */
  readonly updates: B;
  /** `[outer, size, inner]`. */
  readonly out: B;
}

/** Sorted updates that are added up by one invocation, before another takes over. */
const CHUNK = 256;

/**
 * Writes `updates[o, p, i]` to `out[o, indices[p], i]`, or `indices[o, p, i]`, and leaves all other elements as they
 * are. An index outside of the axis writes nothing.
 *
 * No atomics, so that the bits are the same in every run: the updates are sorted by their index, stably, and each
 * place adds up its own. The work is that of sorting the indices and of reading each update once, whatever `size` is;
 * a place with very many updates is cut into chunks, so that several invocations share it. Sums of f32 carry along
 * what rounding took, and are off by at most 4.8e-7 of the sum of the magnitudes.
 */
export function scatter<B>(
  bindings: ScatterBindings<B>,
  options: ScatterOptions,
  memory: KernelMemory<B>,
): KernelStep<B>[] {
  const { outer, size, inner, count, isShared, dtype, manner } = options;
  requireSizes("scatter", { outer, size, inner, count });
  const parts = boundParts(memory, bindings.out, requireElements("scatter", [outer, size, inner]));
  const elements = requireElements("scatter", [outer, count, inner]);
  const { indices, updates, out } = bindings;
  // Each part of what is larger than a binding is written by a dispatch of its own.
  const writing = (code: string, constants: Record<string, number>, read: readonly B[]): KernelStep<B>[] =>
    parts.map(({ binding, first, count }) => {
      const part = parts.length === 1 ? {} : { part_first: first, part_count: count };
      const bindings = [...read, binding];
      return {
        dispatch: { label, code, constants: { ...constants, ...part }, bindings, workgroups },
        writes: [out],
      };
    });
  const label = `scatter ${manner} ${outer}x${count}x${inner} to ${size}`;
  const constants = { count: elements, size, inner, places: count };
  const workgroups = linearGrid(elements);
  if (manner === "unique") {
    return writing(uniqueWgsl(isShared, dtype), constants, [indices, updates]);
  }
  const order = memory.scratch("sorted places", 4 * Math.max(1, isShared ? count : elements));
  const rows = isShared ? { outer: 1, reduced: count, inner: 1 } : { outer, reduced: count, inner };
  const steps = sortedPlaces(
    { input: indices, out: order },
    { ...rows, dtype: "u32", isDescending: false },
    memory,
  );
  const sorted = [indices, order, updates];
  if (manner === "last") {
    return [...steps, ...writing(lastWgsl(isShared, dtype), constants, sorted)];
  }
  const chunks = Math.ceil(count / CHUNK);
  const carried = outer * Math.max(chunks - 1, 0) * inner;
  const numbers = carriesError("sum", dtype) ? 2 : 1;
  const carries = chunks > 1 ? memory.scratch("carried sums", 4 * carried * numbers) : undefined;
  if (carries !== undefined) {
    steps.push({
      dispatch: {
        label: `${label}, carried`,
        code: carriesWgsl(isShared, dtype),
        constants: { ...constants, count: carried, chunks },
        bindings: [...sorted, carries],
        workgroups: linearGrid(carried),
      },
      writes: [carries],
    });
  }
  const read = carries === undefined ? sorted : [...sorted, carries];
  const numbersOf = carries === undefined ? constants : { ...constants, chunks };
  return [...steps, ...writing(sumsWgsl(isShared, dtype, carries !== undefined), numbersOf, read)];
}

const SIZES_WGSL = `override count: u32;
override size: u32;
override inner: u32;
override places: u32; // updates along the middle axis
`;

/** What is bound of the result: everything, unless it is said. */
const PART_WGSL = `override part_first: u32 = 0u;
override part_count: u32 = 0xffffffffu;
`;

function uniqueWgsl(isShared: boolean, dtype: ComputeDType): string {
  return `${SIZES_WGSL}${PART_WGSL}
@group(0) @binding(0) var<storage, read> indices: array<u32>;
@group(0) @binding(1) var<storage, read> updates: array<${dtype}>;
@group(0) @binding(2) var<storage, read_write> out: array<${dtype}>;

${LINEAR_MAIN_WGSL}
  let row = index / inner;
  let place = indices[${isShared ? "row % places" : "index"}];
  let address = (row / places * size + place) * inner + index % inner - part_first;
  if (place < size && address < part_count) {
    out[address] = updates[index];
  }
}
`;
}

/**
 * Updates by their place in the sorted order: \`first\` is the address of the column's first one, \`sorted\` its
 * number.
 */
function sortedWgsl(isShared: boolean, dtype: ComputeDType): string {
  const address = "first + place * inner";
  return `${SIZES_WGSL}
@group(0) @binding(0) var<storage, read> indices: array<u32>;
@group(0) @binding(1) var<storage, read> order: array<u32>;
@group(0) @binding(2) var<storage, read> updates: array<${dtype}>;

fn key_at(first: u32, sorted: u32) -> u32 {
  let place = order[${isShared ? "sorted" : "first + sorted * inner"}];
  return indices[${isShared ? "place" : address}];
}

fn update_at(first: u32, sorted: u32) -> ${dtype} {
  let place = order[${isShared ? "sorted" : "first + sorted * inner"}];
  return updates[${address}];
}
`;
}

/** The column of an invocation, and which of its sorted updates. */
const COLUMN_WGSL = `  let row = index / inner;
  let outer_index = row / places;
  let sorted = row % places;
  let first = outer_index * places * inner + index % inner;
  let key = key_at(first, sorted);
`;

function lastWgsl(isShared: boolean, dtype: ComputeDType): string {
  return `${sortedWgsl(isShared, dtype)}${PART_WGSL}
@group(0) @binding(3) var<storage, read_write> out: array<${dtype}>;

${LINEAR_MAIN_WGSL}
${COLUMN_WGSL}
  let is_last = sorted + 1u == places || key_at(first, min(sorted + 1u, places - 1u)) != key;
  let address = (outer_index * size + key) * inner + index % inner - part_first;
  if (is_last && key < size && address < part_count) {
    out[address] = update_at(first, sorted);
  }
}
`;
}

function carriesWgsl(isShared: boolean, dtype: ComputeDType): string {
  const isCarried = carriesError("sum", dtype);
  return `${sortedWgsl(isShared, dtype)}override chunks: u32;
@group(0) @binding(3) var<storage, read_write> carries: array<${dtype}>;

${totalsWgsl("sum", dtype)}
// What goes on at the beginning of a chunk from the one before it.
${LINEAR_MAIN_WGSL}
${HIDE_WGSL}
  let row = index / inner;
  let first = row / (chunks - 1u) * places * inner + index % inner;
  let start = (row % (chunks - 1u) + 1u) * ${CHUNK}u;
  let end = min(start + ${CHUNK}u * workgroups.z, places);
  let key = key_at(first, start - 1u);
  var total = nothing();
  for (var sorted = start; sorted < end && key_at(first, sorted) == key; sorted++) {
    total = join(total, total_of(update_at(first, sorted)));
  }
${
    isCarried
      ? "  carries[index] = total.sum;\n  carries[index + count] = total.lost;"
      : "  carries[index] = total;"
  }
}
`;
}

function sumsWgsl(isShared: boolean, dtype: ComputeDType, hasCarries: boolean): string {
  const isCarried = carriesError("sum", dtype);
  const carry = isCarried
    ? "Total(carries[address], carries[address + count / places * (chunks - 1u)])"
    : "carries[address]";
  return `${sortedWgsl(isShared, dtype)}${PART_WGSL}${hasCarries ? "override chunks: u32;" : ""}
${hasCarries ? `@group(0) @binding(3) var<storage, read> carries: array<${dtype}>;` : ""}
@group(0) @binding(${hasCarries ? 4 : 3}) var<storage, read_write> out: array<${dtype}>;

${totalsWgsl("sum", dtype)}
${LINEAR_MAIN_WGSL}
${HIDE_WGSL}
${COLUMN_WGSL}
  let is_first = sorted == 0u || key_at(first, max(sorted, 1u) - 1u) != key;
  let place = (outer_index * size + key) * inner + index % inner - part_first;
  if (!is_first || key >= size || place >= part_count) {
    return;
  }
  let end = min((sorted / ${CHUNK}u + 1u) * ${CHUNK}u, places);
  var total = nothing();
  var next = sorted;
  while (next < end && key_at(first, next) == key) {
    total = join(total, total_of(update_at(first, next)));
    next += 1u;
  }
${
    hasCarries
      ? `  // The chunks that go on with this place: all but the last of them are full of it.
  var goes_on = next % ${CHUNK}u == 0u && next < places;
  while (goes_on && key_at(first, next) == key) {
    let address = (outer_index * (chunks - 1u) + next / ${CHUNK}u - 1u) * inner + index % inner;
    total = join(total, ${carry});
    let last = min(next + ${CHUNK}u, places) - 1u;
    goes_on = last + 1u < places && key_at(first, last) == key;
    next = last + 1u;
  }
`
      : ""
  }  out[place] = finish(total);
}
`;
}
