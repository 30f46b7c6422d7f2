import { LINEAR_MAIN_WGSL, linearGrid } from "../../gpu/dispatch.ts";
import type { ComputeDType } from "../elementwise/expression.ts";
import { floatBitsWgsl } from "../float_bits.ts";
import { type KernelMemory, type KernelStep, numberRecords } from "../kernel_steps.ts";
import { requireElements, requireSizes } from "../sizes.ts";

/** What is sorted: along `reduced` of a tensor `[outer, reduced, inner]`. */
export interface SortOptions {
  readonly outer: number;
  readonly reduced: number;
  readonly inner: number;
  readonly dtype: ComputeDType;
  /** Whether the largest comes first. */
  readonly isDescending: boolean;
}

/** Neighbours that are sorted by counting, for each, how many come before it. */
const BLOCK = 32;

/**
 * The places along `reduced` that the elements of `input` have to be taken from to be sorted: `out`, u32, of its shape.
 * Stable, and the same bits on every adapter: elements of equal size keep their order, zeros of both signs are equal,
 * NaNs too, which count as largest, as in PyTorch.
 *
 * A merge sort without workgroup memory: blocks of 32 are sorted by counting, then neighbours are merged two by two,
 * each element looking by bisection how many of the other half come before it. `2 + log2(reduced / 32)` dispatches.
 */
export function sortedPlaces<B>(
  bindings: { readonly input: B; readonly out: B },
  options: SortOptions,
  memory: KernelMemory<B>,
): KernelStep<B>[] {
  const { outer, reduced, inner, dtype, isDescending } = options;
  requireSizes("sort", { outer, reduced, inner });
  const count = requireElements("sort", [outer, reduced, inner]);
  const byteLength = 4 * Math.max(1, count);
  const common = { constants: { count, reduced, inner }, workgroups: linearGrid(count) };
  const runs = (): B => memory.scratch("sorted runs", byteLength);
  const keys = runs();
  const steps: KernelStep<B>[] = [{
    dispatch: {
      ...common,
      label: `sort keys ${outer}x${reduced}x${inner}`,
      code: keysWgsl(dtype, isDescending),
      bindings: [bindings.input, keys],
    },
    writes: [keys],
  }];
  const lengths = [0];
  for (let length = BLOCK; length < reduced; length *= 2) lengths.push(length);
  const numbers = numberRecords(memory, "lengths of sorted runs", lengths.map((length) => [length]));
  let reads = [keys];
  for (const [index, length] of lengths.entries()) {
    const isLast = length === lengths.at(-1);
    // Places of rows that lie together are written as runs are, by the same kernel.
    const isResult = isLast && (length === 0 || inner > 1);
    const writes = isResult ? [bindings.out] : [runs(), isLast ? bindings.out : runs()];
    steps.push({
      dispatch: {
        ...common,
        label: `sort ${length === 0 ? "blocks" : `pairs of ${length}`} ${outer}x${reduced}x${inner}`,
        code: length === 0 ? blocksWgsl(isResult) : mergeWgsl(isResult),
        // Bound, and no constant: merges of all lengths share a pipeline.
        bindings: [...reads, ...writes, ...length === 0 ? [] : [numbers(index)]],
      },
      writes,
    });
    reads = writes;
  }
  return steps;
}

const SIZES_WGSL = `override count: u32;
override reduced: u32;
override inner: u32;
`;

/** A number as a `u32` of the same order. */
const KEYS_WGSL: Readonly<Record<ComputeDType, string>> = {
  f32: `fn key_of(x: f32) -> u32 {
  let bits = select(bitcast<u32>(x), 0u, (bitcast<u32>(x) & 0x7fffffffu) == 0u);
  let key = select(bits ^ 0x80000000u, ~bits, (bits >> 31u) == 1u);
  return select(key, 0xffffffffu, is_nan(x));
}
`,
  i32: `fn key_of(x: i32) -> u32 {
  return bitcast<u32>(x) ^ 0x80000000u;
}
`,
  u32: `fn key_of(x: u32) -> u32 {
  return x;
}
`,
};

function keysWgsl(dtype: ComputeDType, isDescending: boolean): string {
  return `// [outer, reduced, inner] becomes rows of keys, [outer, inner, reduced].
${SIZES_WGSL}
@group(0) @binding(0) var<storage, read> input: array<${dtype}>;
@group(0) @binding(1) var<storage, read_write> keys: array<u32>;

${floatBitsWgsl("f32")}
${KEYS_WGSL[dtype]}
${LINEAR_MAIN_WGSL}
  let row = index / reduced;
  let address = (row / inner * reduced + index % reduced) * inner + row % inner;
  keys[index] = ${isDescending ? "~" : ""}key_of(input[address]);
}
`;
}

/** Puts the element that is number \`place\` of its row of keys at \`position\` of the sorted row. */
function putWgsl(isLast: boolean, binding: number): string {
  if (isLast) {
    return `@group(0) @binding(${binding}) var<storage, read_write> out: array<u32>;

fn put(row: u32, position: u32, key: u32, place: u32) {
  out[(row / inner * reduced + position) * inner + row % inner] = place;
}
`;
  }
  return `@group(0) @binding(${binding}) var<storage, read_write> next_keys: array<u32>;
@group(0) @binding(${binding + 1}) var<storage, read_write> next_places: array<u32>;

fn put(row: u32, position: u32, key: u32, place: u32) {
  next_places[row * reduced + position] = place;
  next_keys[row * reduced + position] = key;
}
`;
}

function blocksWgsl(isLast: boolean): string {
  return `${SIZES_WGSL}
@group(0) @binding(0) var<storage, read> keys: array<u32>;
${putWgsl(isLast, 1)}
${LINEAR_MAIN_WGSL}
  let row = index / reduced;
  let place = index % reduced;
  let first = place / ${BLOCK}u * ${BLOCK}u;
  let end = min(first + ${BLOCK}u * workgroups.z, reduced);
  let own = keys[index];
  var before = 0u;
  for (var other = first; other < end; other++) {
    let key = keys[row * reduced + other];
    before += select(0u, 1u, key < own || (key == own && other < place));
  }
  put(row, first + before, own, place);
}
`;
}

function mergeWgsl(isLast: boolean): string {
  return `${SIZES_WGSL}@group(0) @binding(0) var<storage, read> keys: array<u32>;
@group(0) @binding(1) var<storage, read> places: array<u32>;
${putWgsl(isLast, 2)}
// Of the two halves of a pair.
@group(0) @binding(${isLast ? 3 : 4}) var<uniform> sorted_length: u32;

${LINEAR_MAIN_WGSL}
  let row = index / reduced;
  let position = index % reduced;
  let pair = position / (2u * sorted_length) * (2u * sorted_length);
  let is_right = position - pair >= sorted_length;
  let own = keys[index];
  // How many of the other half come before this one: of equal ones those on the left.
  let first = min(select(pair + sorted_length, pair, is_right), reduced);
  var low = first;
  var high = min(first + sorted_length, reduced);
  while (low < high) {
    let middle = (low + high) / 2u;
    let key = keys[row * reduced + middle];
    if (key < own || (is_right && key == own)) {
      low = middle + 1u;
    } else {
      high = middle;
    }
  }
  let before_in_half = select(position - pair, position - pair - sorted_length, is_right);
  put(row, pair + before_in_half + (low - first), own, places[index]);
}
`;
}
