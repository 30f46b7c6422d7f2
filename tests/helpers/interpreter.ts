import { reachable, sizeOf, type Value } from "../../src/graph/value.ts";
import type { HostTensor } from "../../src/tensor/host_tensor.ts";
import type { Shape } from "../../src/tensor/shape.ts";
import { ELEMENT_TWINS, elementOf } from "../graph/ops/element_twins.ts";

/** What a program's values are computed from. Elements are numbers in row-major order, whatever the dtype. */
export interface Environment {
  readonly inputs?: Readonly<Record<string, ArrayLike<number>>>;
  readonly parameters?: Readonly<Record<string, ArrayLike<number>>>;
  readonly scalars?: readonly number[];
  /** The numbers of a random op. */
  readonly random?: (op: string, stream: number, count: number) => ArrayLike<number>;
  /** Custom ops by name. */
  readonly custom?: Readonly<
    Record<string, (inputs: readonly Float64Array[], output: Value) => ArrayLike<number>>
  >;
}

/**
 * The reference twin of the graph: computes values one op at a time in float64 on the host, with no fusion and no plan.
 * Slow and plain, so that it can be believed.
 */
export function interpret(roots: readonly Value[], environment: Environment): Float64Array[] {
  const computed = new Map<Value, Float64Array>();
  for (const value of reachable(roots)) {
    const inputs = value.inputs.map((input) => at(computed, input));
    const evaluate = EVALUATE[value.op] ?? elementwise;
    const elements = Float64Array.from(evaluate(value, inputs, environment));
    if (elements.length !== sizeOf(value)) {
      throw new Error(`${value.op} gave ${elements.length} elements for shape [${value.shape.join(", ")}]`);
    }
    computed.set(value, elements);
  }
  return roots.map((root) => at(computed, root));
}

type Evaluate = (
  value: Value,
  inputs: readonly Float64Array[],
  environment: Environment,
) => ArrayLike<number>;

const EVALUATE: Readonly<Record<string, Evaluate>> = {
  input: (value, _inputs, { inputs }) => named(inputs, value),
  parameter: (value, _inputs, { parameters }) => named(parameters, value),
  constant: (value) => numbersOf((value.attributes as { tensor: HostTensor }).tensor),
  number: (value) => [(value.attributes as { value: number }).value],
  stepScalar: (
    value,
    _inputs,
    { scalars },
  ) => [scalars?.[(value.attributes as { index: number }).index] ?? 0],
  reshape: (_value, [a]) => present(a),
  stopGradient: (_value, [a]) => present(a),
  broadcastTo: (value, inputs) => broadcast(value, inputs, (a) => a),
  transpose,
  cast: (value, [a]) => present(a).map((x) => castNumber(x, value.dtype)),

  where: (value, inputs) => broadcast(value, inputs, (condition, a, b) => condition !== 0 ? a : b),

  sum: reduction((elements) => elements.reduce((total, x) => total + x, 0)),
  mean: reduction((elements) => elements.reduce((total, x) => total + x, 0) / elements.length),
  max: reduction((elements) => elements.reduce((largest, x) => Math.max(largest, x), -Infinity)),
  min: reduction((elements) => elements.reduce((smallest, x) => Math.min(smallest, x), Infinity)),
  argmax: reduction((elements) => {
    const nan = elements.findIndex(Number.isNaN);
    return nan >= 0
      ? nan
      : elements.indexOf(elements.reduce((largest, x) => Math.max(largest, x), -Infinity));
  }),
  matmul,
  softmaxCrossEntropy: (value, [logits, labels]) =>
    rowsOf(value, logits).map((row, index) => {
      const largest = row.reduce((most, x) => Math.max(most, x), -Infinity);
      const total = row.reduce((sum, x) => sum + Math.exp(x - largest), 0);
      return Math.log(total) + largest - (row[labels?.[index] ?? -1] ?? NaN);
    }),
  crossEntropyProbabilities: (value, [_losses, logits]) => rowsOf(value, logits).flatMap(softmax),
  crossEntropyGradient: (value, [probabilities, labels, scale]) =>
    rowsOf(value, probabilities).flatMap((row, index) =>
      row.map((probability, which) => {
        const factor = scale?.[scale.length === 1 ? 0 : index] ?? NaN;
        return factor === 0 ? 0 : (probability - Number(which === labels?.[index])) * factor;
      })
    ),
  randomUniform: random,
  randomNormal: random,
  custom(value, inputs, { custom }) {
    const { name } = value.attributes as { name: string };
    return present(custom?.[name])(inputs, value);
  },
};

/** Every op that there is, by name. */
export const KNOWN_OPS: readonly string[] = [...Object.keys(EVALUATE), ...Object.keys(ELEMENT_TWINS)];

function elementwise(value: Value, inputs: readonly Float64Array[]): Float64Array {
  const dtype = present(value.inputs[0]).dtype;
  return broadcast(value, inputs, (...elements) => elementOf(value.op, elements, dtype));
}

/** Applies `compute` to the elements of the inputs that belong to each element of `value`, by NumPy's rule. */
function broadcast(
  value: Value,
  inputs: readonly Float64Array[],
  compute: (...elements: [number, number, number]) => number,
): Float64Array {
  const strides = value.inputs.map((input) => broadcastStrides(input.shape, value.shape));
  return Float64Array.from({ length: sizeOf(value) }, (_, index) => {
    const position = positionOf(index, value.shape);
    const elements = inputs.map((input, which) => input[offsetOf(position, strides[which] ?? [])] ?? NaN);
    return compute(elements[0] ?? NaN, elements[1] ?? NaN, elements[2] ?? NaN);
  });
}

/** Element strides of a tensor of `shape` along the axes of `target`, 0 where it repeats. */
function broadcastStrides(shape: Shape, target: Shape): number[] {
  const own = stridesOf(shape);
  const added = target.length - shape.length;
  return target.map((_, axis) => axis < added || shape[axis - added] === 1 ? 0 : own[axis - added] ?? 0);
}

function stridesOf(shape: Shape): number[] {
  return shape.map((_, axis) => shape.slice(axis + 1).reduce((product, size) => product * size, 1));
}

function positionOf(index: number, shape: Shape): number[] {
  return stridesOf(shape).map((stride, axis) => Math.floor(index / stride) % (shape[axis] ?? 1));
}

function offsetOf(position: readonly number[], strides: readonly number[]): number {
  return position.reduce((offset, coordinate, axis) => offset + coordinate * (strides[axis] ?? 0), 0);
}

function transpose(value: Value, [a]: readonly Float64Array[]): Float64Array {
  const { permutation } = value.attributes as { permutation: readonly number[] };
  const own = stridesOf(present(value.inputs[0]).shape);
  const strides = permutation.map((axis) => own[axis] ?? 0);
  return Float64Array.from(
    { length: sizeOf(value) },
    (_, index) => present(a)[offsetOf(positionOf(index, value.shape), strides)] ?? NaN,
  );
}

/** `value` has size 1 where it is reduced. */
function reduction(reduce: (elements: number[]) => number): Evaluate {
  return (value, [a]) => {
    const { shape } = present(value.inputs[0]);
    const strides = broadcastStrides(value.shape, shape);
    const groups = Array.from({ length: sizeOf(value) }, (): number[] => []);
    present(a).forEach((x, index) => groups[offsetOf(positionOf(index, shape), strides)]?.push(x));
    return groups.map(reduce);
  };
}

function matmul(value: Value, [a, b]: readonly Float64Array[]): Float64Array {
  const { transposeA, transposeB } = value.attributes as { transposeA: boolean; transposeB: boolean };
  const [m = 0, n = 0] = value.shape;
  const k = present(value.inputs[0]).shape[transposeA ? 0 : 1] ?? 0;
  return Float64Array.from({ length: m * n }, (_, index) => {
    const row = Math.floor(index / n);
    const column = index % n;
    let total = 0;
    for (let step = 0; step < k; step++) {
      const left = a?.[transposeA ? step * m + row : row * k + step] ?? NaN;
      total += left * (b?.[transposeB ? column * k + step : step * n + column] ?? NaN);
    }
    return total;
  });
}

function random(value: Value, _inputs: readonly Float64Array[], environment: Environment): ArrayLike<number> {
  const { stream } = value.attributes as { stream: number };
  return present(environment.random)(value.op, stream, sizeOf(value));
}

function rowsOf(value: Value, elements: Float64Array | undefined): number[][] {
  const [rows = 0] = value.shape;
  const width = present(elements).length / Math.max(rows, 1);
  return Array.from(
    { length: rows },
    (_, row) => Array.from(present(elements).subarray(row * width, (row + 1) * width)),
  );
}

function softmax(row: readonly number[]): number[] {
  const largest = row.reduce((most, x) => Math.max(most, x), -Infinity);
  const powers = row.map((x) => Math.exp(x - largest));
  const total = powers.reduce((sum, x) => sum + x, 0);
  return powers.map((power) => power / total);
}

function castNumber(x: number, dtype: string): number {
  if (dtype === "f32") return x;
  if (Number.isNaN(x)) return 0;
  const [low, high] = dtype === "i32" ? [-(2 ** 31), 2 ** 31 - 1] : [0, 2 ** 32 - 1];
  return Math.min(Math.max(Math.trunc(x), low), high);
}

function numbersOf(tensor: HostTensor): number[] {
  return Array.from(tensor.toArray(), Number);
}

function named(
  given: Readonly<Record<string, ArrayLike<number>>> | undefined,
  value: Value,
): ArrayLike<number> {
  const { name } = value.attributes as { name: string };
  const elements = given?.[name];
  if (elements === undefined) throw new Error(`The interpreter was given no ${value.op} "${name}"`);
  return elements;
}

function at(computed: ReadonlyMap<Value, Float64Array>, value: Value): Float64Array {
  return present(computed.get(value));
}

function present<T>(thing: T | undefined): T {
  if (thing === undefined) throw new Error("The interpreter misses something it needs");
  return thing;
}
