import { type Dispatch, LINEAR_MAIN_WGSL, linearGrid } from "../../gpu/dispatch.ts";
import type { ComputeDType } from "../elementwise/expression.ts";
import { NAN_BITS } from "../float_bits.ts";
import { type BoundPart, boundParts, type KernelMemory } from "../kernel_steps.ts";
import { requireElements, requireSizes } from "../sizes.ts";

/** A tensor `[outer, size, inner]` of which `count` places along the middle are named. */
export interface IndexSizes {
  readonly outer: number;
  readonly size: number;
  readonly inner: number;
  readonly count: number;
}

/** What a take reads. */
export interface TakeOptions extends IndexSizes {
  /** Whether there is one list of indices, `[count]`, or one for each column, `[outer, count, inner]`. */
  readonly isShared: boolean;
  readonly dtype: ComputeDType;
}

/** What a take binds. */
export interface TakeBindings<B> {
  readonly input: B;
  readonly indices: B;
  readonly out: B;
}

/**
 * `out[o, p, i] = input[o, indices[p], i]`, or `indices[o, p, i]`, bit for bit: `[outer, count, inner]`. For an index
 * outside of the axis it is NaN, or 0 for integers.
 */
export function take<B>(bindings: TakeBindings<B>, options: TakeOptions): Dispatch<B> {
  return takeOf(bindings, options);
}

/**
 * {@link take}, as a dispatch for each part of an input that is larger than a binding: each writes the elements that
 * are in its part.
 */
export function takeParts<B>(
  bindings: TakeBindings<B>,
  options: TakeOptions,
  memory: KernelMemory<B>,
): Dispatch<B>[] {
  const { outer, size, inner } = options;
  const parts = boundParts(memory, bindings.input, requireElements("take", [outer, size, inner]));
  if (parts.length === 1) return [takeOf(bindings, options)];
  return parts.map((part) => takeOf({ ...bindings, input: part.binding }, options, part));
}

function takeOf<B>(
  bindings: TakeBindings<B>,
  options: TakeOptions,
  part?: Pick<BoundPart<B>, "first" | "count">,
): Dispatch<B> {
  const { outer, size, inner, count, isShared, dtype } = options;
  requireSizes("take", { outer, size, inner, count });
  requireElements("take", [outer, size, inner]);
  const elements = requireElements("take", [outer, count, inner]);
  const width = isShared && inner % 4 === 0 ? 4 : 1;
  return {
    label: `take ${outer}x${count}x${inner} of ${size}`,
    code: takeWgsl(width, isShared, part !== undefined),
    constants: {
      count: elements / width,
      size,
      inner: inner / width,
      places: count,
      none: dtype === "f32" ? NAN_BITS : 0,
      ...part === undefined ? {} : { part_first: part.first / width, part_count: part.count / width },
    },
    bindings: [bindings.input, bindings.indices, bindings.out],
    workgroups: linearGrid(elements / width),
  };
}

function takeWgsl(width: 1 | 4, isShared: boolean, isPart: boolean): string {
  const element = width === 1 ? "u32" : "vec4<u32>";
  return `override count: u32;
override size: u32;
override inner: u32;
override places: u32; // along the middle axis of the result
override none: u32; // bits of what stands where an index is no place
${isPart ? PART_WGSL : ""}
@group(0) @binding(0) var<storage, read> input: array<${element}>;
@group(0) @binding(1) var<storage, read> indices: array<u32>;
@group(0) @binding(2) var<storage, read_write> out: array<${element}>;

${LINEAR_MAIN_WGSL}
  let row = index / inner;
  let place = indices[${isShared ? "row % places" : "index"}];
${isPart ? takePartWgsl(element) : takeWholeWgsl(element)}}
`;
}

const PART_WGSL = `override part_first: u32; // what is bound of the input
override part_count: u32;
`;

function takeWholeWgsl(element: string): string {
  return `  var taken = ${element}(none);
  if (place < size) {
    taken = input[(row / places * size + place) * inner + index % inner];
  }
  out[index] = taken;
`;
}

/** Whoever has the first part writes for what is in none. */
function takePartWgsl(element: string): string {
  return `  let address = (row / places * size + place) * inner + index % inner - part_first;
  if (place < size && address < part_count) {
    out[index] = input[address];
  }
  if (place >= size && part_first == 0u) {
    out[index] = ${element}(none);
  }
`;
}
