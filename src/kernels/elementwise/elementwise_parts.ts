import { byteSizeOf } from "../../base/dtype.ts";
import { BINDING_ALIGNMENT, bindingStart, rowsToAlign } from "../../gpu/binding_parts.ts";
import type { Dispatch } from "../../gpu/dispatch.ts";
import type { KernelMemory } from "../kernel_steps.ts";
import type { ElementwiseInput } from "./element_code.ts";
import { elementwise, type ElementwiseOptions, type ElementwiseOutput } from "./elementwise.ts";
import { collapse, type Walk } from "./strided_access.ts";

/**
 * `elementwise`, as one dispatch for each part of tensors that are larger than what can be bound: each computes some
 * neighbours along the outermost axis, with the same bits. Where even a part of that needs too much of an input, it is
 * one dispatch that cannot be bound.
 */
export function elementwiseParts<B>(options: ElementwiseOptions<B>, memory: KernelMemory<B>): Dispatch<B>[] {
  const isLarge = ({ binding }: { readonly binding: B }): boolean =>
    memory.bytesOf(binding) > memory.bindingBytes;
  if (![...options.inputs, ...options.outputs].some(isLarge)) return [elementwise(options)];
  const { sizes, walks } = collapse(options.shape, options.inputs);
  const plan = new PartPlan(sizes, walks, options, memory);
  const rows = plan.rowsAtOnce();
  if (rows === 0) return [elementwise(options)];
  const dispatches: Dispatch<B>[] = [];
  for (let first = 0; first < plan.rows; first += rows) {
    dispatches.push(elementwise(plan.part(first, Math.min(rows, plan.rows - first))));
  }
  return dispatches;
}

/** Bytes of an input that some rows need, and where it walks along these rows when they are bound. */
interface Window {
  readonly offset: number;
  readonly byteLength: number;
  readonly walk: Required<Walk>;
}

/** How an elementwise kernel is cut along the outermost of its collapsed axes, whose places are called rows. */
class PartPlan<B> {
  readonly rows: number;
  readonly #inner: readonly number[];
  readonly #walks: readonly (Required<Walk> | undefined)[];
  readonly #options: ElementwiseOptions<B>;
  readonly #memory: KernelMemory<B>;

  constructor(
    sizes: readonly number[],
    walks: readonly (Required<Walk> | undefined)[],
    options: ElementwiseOptions<B>,
    memory: KernelMemory<B>,
  ) {
    const [rows = 1, ...inner] = sizes;
    this.rows = rows;
    this.#inner = inner;
    this.#walks = walks;
    this.#options = options;
    this.#memory = memory;
  }

  /** How many rows a dispatch can have, so that each begins where a binding may: 0 where that is none. */
  rowsAtOnce(): number {
    const rowBytes = this.#options.outputs.map((output) => this.#outputBytes(output, 1));
    // With as many rows every output, in whatever dtype, begins at a multiple of 256 bytes.
    const unit = Math.max(...rowBytes.map(rowsToAlign));
    const most = Math.floor(this.#memory.bindingBytes / Math.max(...rowBytes));
    const wholeUnits = (rows: number): number => Math.floor(rows / unit) * unit;
    let rows = wholeUnits(Math.min(most, this.rows + unit - 1));
    while (rows > 0 && !this.#fits(rows)) rows = wholeUnits(rows / 2);
    return rows;
  }

  /** `count` rows from `first` on. */
  part(first: number, count: number): ElementwiseOptions<B> {
    const { inputs, outputs } = this.#options;
    const { bindingBytes } = this.#memory;
    return {
      ...this.#options,
      shape: [count, ...this.#inner],
      inputs: inputs.map((input, index) => {
        const { walk, ...window } = this.#windowOf(input, index, first, count);
        const isWhole = this.#memory.bytesOf(input.binding) <= bindingBytes;
        return { ...input, ...walk, binding: isWhole ? input.binding : this.#sliced(input.binding, window) };
      }),
      outputs: outputs.map((output) => {
        const [offset, byteLength] = [first, count].map((rows) => this.#outputBytes(output, rows));
        const window = { offset: offset ?? 0, byteLength: byteLength ?? 0 };
        return { ...output, binding: this.#sliced(output.binding, window) };
      }),
    };
  }

  /** Whether every part of so many rows can be bound. */
  #fits(rows: number): boolean {
    return this.#options.inputs.every((input, index) => {
      if (this.#memory.bytesOf(input.binding) <= this.#memory.bindingBytes) return true;
      for (let first = 0; first < this.rows; first += rows) {
        const { byteLength } = this.#windowOf(input, index, first, Math.min(rows, this.rows - first));
        if (byteLength > this.#memory.bindingBytes) return false;
      }
      return true;
    });
  }

  #windowOf(input: ElementwiseInput<B>, index: number, first: number, count: number): Window {
    const shape = [count, ...this.#inner];
    const walk = this.#walks[index];
    const nowhere = { offset: 0, strides: shape.map(() => 0), bounds: [{ axis: 0, from: 0, to: 0 }] };
    if (walk === undefined) return { offset: 0, byteLength: BINDING_ALIGNMENT, walk: nowhere };
    const moved = {
      strides: walk.strides,
      offset: walk.offset + first * (walk.strides[0] ?? 0),
      bounds: walk.bounds.map((bounds) =>
        bounds.axis === 0 ? { axis: 0, from: bounds.from - first, to: bounds.to - first } : bounds
      ),
    };
    const reach = reachOf(moved, shape);
    if (reach === undefined) return { offset: 0, byteLength: BINDING_ALIGNMENT, walk: nowhere };
    const isWhole = this.#memory.bytesOf(input.binding) <= this.#memory.bindingBytes;
    if (isWhole) return { offset: 0, byteLength: this.#memory.bytesOf(input.binding), walk: moved };
    const size = byteSizeOf(input.dtype);
    const offset = bindingStart(reach.low * size);
    const end = Math.ceil((reach.high + 1) * size / 4) * 4;
    return { offset, byteLength: end - offset, walk: { ...moved, offset: moved.offset - offset / size } };
  }

  #sliced(binding: B, { offset, byteLength }: Pick<Window, "offset" | "byteLength">): B {
    return this.#memory.slice(binding, offset, Math.ceil(byteLength / 4) * 4);
  }

  #outputBytes({ dtype }: ElementwiseOutput<B>, rows: number): number {
    return this.#inner.reduce((product, size) => product * size, rows) * byteSizeOf(dtype);
  }
}

/** The first and the last element that a walk reads within its bounds; `undefined` where there is none. */
function reachOf(
  { strides, offset, bounds }: Required<Walk>,
  shape: readonly number[],
): { low: number; high: number } | undefined {
  let [low, high] = [offset, offset];
  for (const [axis, size] of shape.entries()) {
    const own = bounds.filter((each) => each.axis === axis);
    const from = Math.max(0, ...own.map((each) => each.from));
    const last = Math.min(size, ...own.map((each) => each.to)) - 1;
    if (last < from) return undefined;
    const stride = strides[axis] ?? 0;
    low += Math.min(from * stride, last * stride);
    high += Math.max(from * stride, last * stride);
  }
  return { low, high };
}
