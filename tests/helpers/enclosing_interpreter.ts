import { reachable, sizeOf, type Value } from "../../src/graph/value.ts";
import type { HostTensor } from "../../src/tensor/host_tensor.ts";
import type { Shape } from "../../src/tensor/shape.ts";
import { isZero } from "../graph/ops/comparison_twins.ts";
import { ELEMENT_TWINS, elementOf, twinOf } from "../graph/ops/element_twins.ts";
import {
  ANYTHING,
  between,
  div,
  type Enclosure,
  exactly,
  hasNumber,
  isPoint,
  mul,
  ONLY_NAN,
  product,
  rounded,
  sum,
  union,
} from "./enclosure.ts";

/** What a program's values are computed from: elements by name, row-major, as numbers whatever the dtype. */
export interface EnclosingEnvironment {
  readonly leaves: Readonly<Record<string, ArrayLike<number>>>;
  readonly scalars: readonly number[];
  /** The numbers of a random op. */
  readonly random: (op: string, stream: number, count: number) => readonly Enclosure[];
  /** Custom ops by name. */
  readonly custom: Readonly<Record<string, (inputs: readonly Enclosures[]) => Enclosures>>;
}

/** One for each element. */
export type Enclosures = readonly Enclosure[];

/**
 * Computes values one op at a time in float64, and for each element what WGSL's accuracy permits. It shares nothing
 * with the kernels: no fusion, no plan, no shader.
 */
export function enclose(roots: readonly Value[], environment: EnclosingEnvironment): Map<Value, Enclosures> {
  const computed = new Map<Value, Enclosures>();
  for (const value of reachable(roots)) {
    const inputs = value.inputs.map((input) => computed.get(input) ?? []);
    const elements = evaluate(value, inputs, environment);
    if (elements.length !== sizeOf(value)) {
      throw new Error(`${value.op} gave ${elements.length} elements for shape [${value.shape.join(", ")}]`);
    }
    computed.set(value, elements);
  }
  return computed;
}

function evaluate(
  value: Value,
  inputs: readonly Enclosures[],
  environment: EnclosingEnvironment,
): Enclosures {
  const { op, dtype } = value;
  const [a = [], b = [], c = []] = inputs;
  const twin = ELEMENT_TWINS[op];
  if (twin !== undefined) {
    const isInteger = value.inputs[0]?.dtype !== "f32" && twin.isLogical !== true;
    return elementwise(
      value,
      inputs,
      isInteger ? (x, y) => wholeResult(x, y, dtype, (p, q) => elementOf(op, [p, q], dtype)) : twin.enclose,
    );
  }
  const structural = STRUCTURAL[op];
  if (structural !== undefined) return structural(value, inputs, environment);
  const reduction = REDUCTIONS[op];
  if (reduction !== undefined) return groupsOf(value, a).map((group) => reduction(group, dtype));
  if (op === "where") return elementwise(value, inputs, choose);
  if (op === "matmul") return matmul(value, a, b);
  if (op === "cast") return a.map((x) => cast(x, value.inputs[0]?.dtype ?? "f32", dtype));
  if (op === "softmaxCrossEntropy") return rowsOf(value, a).map((row, index) => lossOf(row, b[index]));
  if (op === "crossEntropyProbabilities") return rowsOf(value, b).flatMap(probabilitiesOf);
  if (op === "crossEntropyGradient") return crossEntropyGradient(value, a, b, c);
  throw new Error(`The enclosing interpreter does not know the op "${op}"`);
}

/** What `op` gives of floats. */
function enclosed(op: string, x: Enclosure, y: Enclosure = ONLY_NAN): Enclosure {
  return twinOf(op).enclose(x, y);
}

type Structural = (
  value: Value,
  inputs: readonly Enclosures[],
  environment: EnclosingEnvironment,
) => Enclosures;

const STRUCTURAL: Readonly<Record<string, Structural>> = {
  input: leaf,
  parameter: leaf,
  constant: (value) =>
    Array.from((value.attributes as { tensor: HostTensor }).tensor.toArray(), Number).map(exactly),
  number: (value) => {
    const number = (value.attributes as { value: number }).value;
    return [exactly(value.dtype === "f32" ? Math.fround(number) : number)];
  },
  stepScalar: (value, _inputs, { scalars }) => [
    exactly(Math.fround(scalars[(value.attributes as { index: number }).index] ?? 0)),
  ],
  reshape: (_value, [a = []]) => a,
  stopGradient: (_value, [a = []]) => a,
  broadcastTo: (value, inputs) => elementwise(value, inputs, (x) => x),
  transpose,
  randomUniform: random,
  randomNormal: random,
  custom: (value, inputs, { custom }) => {
    const { name } = value.attributes as { name: string };
    return custom[name]?.(inputs) ?? [];
  },
};

function leaf(value: Value, _inputs: readonly Enclosures[], { leaves }: EnclosingEnvironment): Enclosures {
  return Array.from(leaves[(value.attributes as { name: string }).name] ?? [], exactly);
}

function random(value: Value, _inputs: readonly Enclosures[], environment: EnclosingEnvironment): Enclosures {
  return environment.random(value.op, (value.attributes as { stream: number }).stream, sizeOf(value));
}

/** Applies `compute` to the elements that belong to each element of `value`, by NumPy's rule. */
function elementwise(
  value: Value,
  inputs: readonly Enclosures[],
  compute: (x: Enclosure, y: Enclosure, z: Enclosure) => Enclosure,
): Enclosures {
  const offsets = value.inputs.map((input) =>
    offsetsOf(value.shape, broadcastStrides(input.shape, value.shape))
  );
  const at = (which: number, index: number): Enclosure =>
    inputs[which]?.[offsets[which]?.[index] ?? 0] ?? ONLY_NAN;
  return Array.from(
    { length: sizeOf(value) },
    (_, index) => compute(at(0, index), at(1, index), at(2, index)),
  );
}

/** Element strides of a tensor of `shape` along the axes of `target`, 0 where it repeats. */
function broadcastStrides(shape: Shape, target: Shape): number[] {
  const own = stridesOf(shape);
  const added = target.length - shape.length;
  return target.map((_, axis) => axis < added || shape[axis - added] === 1 ? 0 : own[axis - added] ?? 0);
}

function stridesOf(shape: Shape): number[] {
  return shape.map((_, axis) => shape.slice(axis + 1).reduce((total, size) => total * size, 1));
}

/** Where each element of a tensor of `shape` is, in one with `strides`. */
function offsetsOf(shape: Shape, strides: readonly number[]): number[] {
  let offsets = [0];
  shape.forEach((size, axis) => {
    const steps = Array.from({ length: size }, (_, step) => step * (strides[axis] ?? 0));
    offsets = offsets.flatMap((offset) => steps.map((step) => offset + step));
  });
  return offsets;
}

function transpose(value: Value, [a = []]: readonly Enclosures[]): Enclosures {
  const { permutation } = value.attributes as { permutation: readonly number[] };
  const own = stridesOf(value.inputs[0]?.shape ?? []);
  return offsetsOf(value.shape, permutation.map((axis) => own[axis] ?? 0)).map((offset) =>
    a[offset] ?? ONLY_NAN
  );
}

/** The elements that are reduced into each element of `value`, whose axes have size 1 where they were reduced. */
function groupsOf(value: Value, elements: Enclosures): Enclosure[][] {
  const { shape } = value.inputs[0] ?? value;
  const groups = Array.from({ length: sizeOf(value) }, (): Enclosure[] => []);
  offsetsOf(shape, broadcastStrides(value.shape, shape)).forEach((group, index) =>
    groups[group]?.push(elements[index] ?? ONLY_NAN)
  );
  return groups;
}

const REDUCTIONS: Readonly<Record<string, (group: Enclosure[], dtype: string) => Enclosure>> = {
  sum: (group, dtype) =>
    dtype === "f32"
      ? sum(group)
      : group.reduce((x, y) => wholeResult(x, y, dtype, (p, q) => p + q), exactly(0)),
  mean: (group) => group.length === 0 ? ONLY_NAN : div(sum(group), exactly(group.length)),
  max: (group) => group.reduce((x, y) => enclosed("maximum", x, y)),
  min: (group) => group.reduce((x, y) => enclosed("minimum", x, y)),
  argmax: (group) => {
    if (group.every((x) => isPoint(x) || !hasNumber(x))) {
      return exactly(firstLargest(group.map(({ lo, hi }) => lo > hi ? NaN : lo)));
    }
    const best = group.filter(hasNumber).reduce((most, { lo }) => Math.max(most, lo), -Infinity);
    const places = [...group.keys()].filter((place) =>
      group[place]?.nan || (group[place]?.hi ?? NaN) >= best
    );
    return between(Math.min(...places), Math.max(...places));
  },
};

function firstLargest(numbers: readonly number[]): number {
  const nan = numbers.findIndex(Number.isNaN);
  return nan >= 0 ? nan : numbers.indexOf(Math.max(...numbers));
}

/** Of integers, as they wrap; operands that are not known give any integer. */
function wholeResult(
  x: Enclosure,
  y: Enclosure,
  dtype: string,
  compute: (x: number, y: number) => number,
): Enclosure {
  const known = x.lo === x.hi && (y === ONLY_NAN || y.lo === y.hi);
  if (!known) return dtype === "i32" ? between(-(2 ** 31), 2 ** 31 - 1) : between(0, 2 ** 32 - 1);
  const result = compute(x.lo, y.lo);
  return exactly(dtype === "i32" ? result | 0 : result >>> 0);
}

function choose(condition: Enclosure, a: Enclosure, b: Enclosure): Enclosure {
  const isFalse = isZero(condition);
  if (isFalse.lo === 1) return b;
  return isFalse.hi === 0 ? a : union(a, b);
}

function cast(x: Enclosure, from: string, to: string): Enclosure {
  if (to === "f32") return from === "f16" || from === "bf16" || from === "f32" ? x : rounded(x);
  const [low, high] = to === "i32" ? [-(2 ** 31), 2 ** 31 - 1] : [0, 2 ** 32 - 1];
  if (from === "f32" || from === "f16" || from === "bf16") {
    const clamp = (bound: number): number => Math.min(Math.max(Math.trunc(bound), low), high) + 0;
    const numbers = hasNumber(x) ? between(clamp(x.lo), clamp(x.hi)) : ONLY_NAN;
    return x.nan ? { ...union(numbers, exactly(0)), nan: false } : numbers;
  }
  if (x.lo === x.hi) return exactly(to === "i32" ? x.lo | 0 : x.lo >>> 0);
  return between(low, high);
}

function matmul(value: Value, a: Enclosures, b: Enclosures): Enclosures {
  const { transposeA, transposeB } = value.attributes as { transposeA: boolean; transposeB: boolean };
  const [m = 0, n = 0] = value.shape;
  const k = value.inputs[0]?.shape[transposeA ? 0 : 1] ?? 0;
  return Array.from({ length: m * n }, (_, index) => {
    const [row, column] = [Math.floor(index / n), index % n];
    return sum(
      Array.from({ length: k }, (_, step) =>
        product(
          a[transposeA ? step * m + row : row * k + step] ?? ONLY_NAN,
          b[transposeB ? column * k + step : step * n + column] ?? ONLY_NAN,
        )),
      true,
    );
  });
}

function rowsOf(value: Value, elements: Enclosures): Enclosure[][] {
  const [rows = 0] = value.shape;
  const width = elements.length / Math.max(rows, 1);
  return Array.from({ length: rows }, (_, row) => elements.slice(row * width, (row + 1) * width));
}

/** The largest logit of a row, and the sum of the exponentials of what is below it. */
function weights(row: readonly Enclosure[]): { powers: Enclosure[]; largest: Enclosure; total: Enclosure } {
  const largest = row.reduce((x, y) => enclosed("maximum", x, y));
  const powers = row.map((x) => enclosed("exp", enclosed("sub", x, largest)));
  return { powers, largest, total: sum(powers) };
}

function lossOf(row: readonly Enclosure[], label: Enclosure | undefined): Enclosure {
  if (label === undefined || label.lo !== label.hi) return ANYTHING;
  const { largest, total } = weights(row);
  const logit = row[label.lo];
  if (logit === undefined) return ONLY_NAN;
  return enclosed("sub", enclosed("log", total), enclosed("sub", logit, largest));
}

function probabilitiesOf(row: readonly Enclosure[]): Enclosure[] {
  const { powers, total } = weights(row);
  return powers.map((power) => div(power, total));
}

/** `(probability - one-hot(label)) * scale`. */
function crossEntropyGradient(
  value: Value,
  probabilities: Enclosures,
  labels: Enclosures,
  scales: Enclosures,
): Enclosures {
  return rowsOf(value, probabilities).flatMap((row, index) => {
    const label = labels[index] ?? ONLY_NAN;
    const scale = scales[scales.length === 1 ? 0 : index] ?? ONLY_NAN;
    if (label.lo !== label.hi) return row.map(() => ANYTHING);
    // A scale of 0 gives 0, whatever it is of.
    if (scale.lo === 0 && scale.hi === 0 && !scale.nan) return row.map(() => exactly(0));
    const mayBeZero = scale.lo <= 0 && scale.hi >= 0;
    return row.map((probability, which) => {
      const scaled = label.lo >= row.length
        ? ONLY_NAN
        : mul(enclosed("sub", probability, exactly(Number(which === label.lo))), scale);
      return mayBeZero ? union(scaled, between(-0, 0)) : scaled;
    });
  });
}
