import type { SixteenBits } from "../../kernels/elementwise/sixteen_bits.ts";
import { createValue, definitionOf, isResultOf, layerOf, madeIn, recomputed } from "../create_value.ts";
import { fuse } from "../fusion.ts";
import { item } from "../op.ts";
import { inputOp } from "../ops/sources.ts";
import { narrow, roundTo, widen } from "../ops/sixteen_bits.ts";
import { reachable, type Value } from "../value.ts";

/** Values of a step that are to be computed with less precision. */
export interface PreciseStep {
  /** Everything that is wanted of the step, its gradients too. */
  readonly roots: readonly Value[];
  /** What is computed on the way to its loss. */
  readonly forward: readonly Value[];
  /** What the model gives. */
  readonly output: readonly Value[];
}

/**
 * The same values with activations and the factors of products in 16 bits: gives for each root what it becomes.
 *
 * What the model keeps in memory for the way back is rounded once, when it is computed, and stored in 16 bits; all that
 * use it, forward and backward, read what was rounded. So are factors of products, on both ways; parameters are rounded
 * where they are used as such, and stay f32 in the store. Every kernel computes in f32. Sums, means, statistics of
 * norms and losses are f32, and so are roots.
 */
export function inSixteenBits(step: PreciseStep, dtype: SixteenBits): (root: Value) => Value {
  const values = reachable(step.roots);
  const rewriting = new Rewriting(storedInSixteenBits(step, values), dtype);
  for (const value of values) rewriting.add(value);
  return (root) => rewriting.f32Of(root);
}

/** Makes the values of a step again, in their order. */
class Rewriting {
  readonly #stored: ReadonlySet<Value>;
  readonly #dtype: SixteenBits;
  /** What values became, in f32. */
  readonly #wide = new Map<Value, Value>();
  /** What they became in 16 bits, and that as f32. */
  readonly #narrow = new Map<Value, Value>();
  readonly #widened = new Map<Value, Value>();

  constructor(stored: ReadonlySet<Value>, dtype: SixteenBits) {
    this.#stored = stored;
    this.#dtype = dtype;
  }

  /** `value` as it was computed, and not rounded. */
  f32Of(value: Value): Value {
    return this.#wide.get(value) ?? this.#operand(value);
  }

  add(value: Value): void {
    if (value.inputs.length === 0) {
      // Sources and numbers are what they are; random numbers are drawn where they were.
      const isDrawn = definitionOf(value).lowering.kind === "kernel";
      this.#wide.set(value, isDrawn ? recomputed(value, []) : value);
      return;
    }
    if (this.#addView(value)) return;
    const again = recomputed(value, value.inputs.map((_, index) => this.#input(value, index)));
    this.#wide.set(value, again);
    if (!this.#stored.has(value)) return;
    this.#narrow.set(value, madeIn(layerOf(value), () => narrow(again, this.#dtype)));
  }

  /** A view of what is in 16 bits is in 16 bits, too. */
  #addView(value: Value): boolean {
    const { inputs: [first, ...others], attributes, shape } = value;
    const source = first === undefined ? undefined : this.#narrow.get(first);
    if (source === undefined || definitionOf(value).lowering.kind !== "view") return false;
    const inputs = [source, ...others.map((other) => this.#operand(other))];
    const view = madeIn(
      layerOf(value),
      () => createValue(definitionOf(value), inputs, attributes, source.dtype, shape),
    );
    this.#narrow.set(value, view);
    return true;
  }

  /** What input number `index` of `value` became. */
  #input(value: Value, index: number): Value {
    const input = item(value.inputs, index);
    const { lowering } = definitionOf(value);
    // A companion is another result of the very kernel.
    if (lowering.kind === "companion" && index === 0) return this.f32Of(input);
    const isFactor = lowering.kind === "kernel" && lowering.precision === "factors";
    const operand = this.#operand(input);
    return isFactor && isSource(input)
      ? madeIn(layerOf(value), () => roundTo(operand, this.#dtype))
      : operand;
  }

  /** `value` as others compute with it. */
  #operand(value: Value): Value {
    const source = this.#narrow.get(value);
    if (source === undefined) return this.#wide.get(value) ?? value;
    const known = this.#widened.get(value) ?? madeIn(layerOf(value), () => widen(source));
    this.#widened.set(value, known);
    return known;
  }
}

/** Whether `value` is a tensor of the caller, or that under another shape: it is rounded wherever it is a factor. */
function isSource(value: Value): boolean {
  return value.dtype === "f32" && definitionOf(sourceOf(value)).lowering.kind === "source";
}

/** What `value` is in memory. */
function sourceOf(value: Value): Value {
  const isView = definitionOf(value).lowering.kind === "view";
  return isView ? sourceOf(item(value.inputs, 0)) : value;
}

/** Values that are rounded when they are computed. */
function storedInSixteenBits({ roots, forward, output }: PreciseStep, values: readonly Value[]): Set<Value> {
  const groups = fuse(roots);
  const users = usersOf(values);
  const onTheWay = new Set(reachable(forward));
  const isInMemory = (value: Value): boolean =>
    groups.has(value) || definitionOf(value).lowering.kind === "kernel";
  const needed = new Map<Value, boolean>();
  /** Whether the way back reads `value`, maybe in the kernel of something that is computed there again. */
  const isNeeded = (value: Value): boolean => {
    const known = needed.get(value) ??
      (users.get(value) ?? []).some((user) => !onTheWay.has(user) || !isInMemory(user) && isNeeded(user));
    needed.set(value, known);
    return known;
  };
  const stored = new Set<Value>();
  const activations = activationsOf(output);
  for (const value of [...values].reverse()) {
    if (activations.has(value) && canBeStored(value) && isInMemory(value) && isNeeded(value)) {
      stored.add(value);
    }
    const { lowering } = definitionOf(value);
    if (lowering.kind !== "kernel" || lowering.precision !== "factors") continue;
    for (const input of value.inputs.map(sourceOf)) if (canBeStored(input)) stored.add(input);
  }
  return stored;
}

/** Whether `value` is computed, and no sum. */
function canBeStored(value: Value): boolean {
  const { lowering } = definitionOf(value);
  if (value.dtype !== "f32" || value.inputs.length === 0) return false;
  if (lowering.kind === "kernel") return lowering.precision !== "sums";
  return lowering.kind === "elementwise" || lowering.kind === "read";
}

/** What of `output` depends on the examples, other than by sums of them. */
function activationsOf(output: readonly Value[]): Set<Value> {
  const found = new Set<Value>();
  for (const value of reachable(output)) {
    const { lowering } = definitionOf(value);
    const isSum = lowering.kind === "companion" ||
      lowering.kind === "kernel" && lowering.precision === "sums";
    const isExample = isResultOf(inputOp, value);
    if (isExample || !isSum && value.inputs.some((input) => found.has(input))) found.add(value);
  }
  return found;
}

function usersOf(values: readonly Value[]): Map<Value, Value[]> {
  const users = new Map<Value, Value[]>();
  // What a companion is a function of is read by the kernel that leaves it.
  for (const value of values.filter((each) => definitionOf(each).lowering.kind !== "companion")) {
    for (const input of new Set(value.inputs)) {
      const list = users.get(input);
      if (list === undefined) users.set(input, [value]);
      else list.push(value);
    }
  }
  return users;
}
