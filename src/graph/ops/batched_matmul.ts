import {
  batchedMatmul as launchBatched,
  type BatchedMatmulVariant,
  type MatrixWalk,
} from "../../kernels/matmul/batched_matmul.ts";
import { broadcastShapes, type Shape } from "../../tensor/shape.ts";
import { createValue, isResultOf } from "../create_value.ts";
import { type Binding, item, type OpDefinition, type VariantChoices } from "../op.ts";
import { sizeOf, type Value } from "../value.ts";
import { sumTo } from "./sum.ts";
import { transpose, transposeOp } from "./views.ts";

/** Attributes of `batchedMatmul`: the order in which the axes of its inputs are those of its operands. */
export type BatchedMatmulAttributes = {
  readonly permutationA: readonly number[];
  readonly permutationB: readonly number[];
};

/**
 * The products of the matrices of `a` `[…, m, k]` and `b` `[…, k, n]`, which have as many axes, at least three.
 * Leading axes broadcast. Transposed operands are read in place as long as one axis of their matrices is contiguous.
 */
export function batchedMatmul(a: Value, b: Value): Value {
  const [left, right] = [inPlace(a), inPlace(b)];
  const shape = [
    ...broadcastShapes(a.shape.slice(0, -2), b.shape.slice(0, -2)),
    item(a.shape, a.shape.length - 2),
    item(b.shape, b.shape.length - 1),
  ];
  const attributes = { permutationA: left.permutation, permutationB: right.permutation };
  return createValue(batchedMatmulOp, [left.source, right.source], attributes, "f32", shape);
}

/** `value` with the last two axes in the other order. */
export function withMatricesTransposed(value: Value): Value {
  return transpose(value, swapped([...value.shape.keys()]));
}

/**
 * For C = AB: dA = dC Bᵀ and dB = Aᵀ dC, summed over the batches that an operand was repeated for. Where an operand is
 * stored transposed, so is what is computed: dAᵀ = B dCᵀ.
 */
export const batchedMatmulOp: OpDefinition<BatchedMatmulAttributes> = {
  name: "batchedMatmul",
  flops: (value) => 2 * sizeOf(value) * innerSizeOf(value),
  gradient(value, outGrad) {
    const { permutationA, permutationB } = value.attributes;
    const [sourceA, sourceB] = [item(value.inputs, 0), item(value.inputs, 1)];
    const [a, b] = [transpose(sourceA, permutationA), transpose(sourceB, permutationB)];
    const turned = withMatricesTransposed;
    return [
      walkOf(sourceA.shape, permutationA, value.shape).isTransposed
        ? backTo(permutationA, a.shape, batchedMatmul(b, turned(outGrad)), true)
        : backTo(permutationA, a.shape, batchedMatmul(outGrad, turned(b)), false),
      walkOf(sourceB.shape, permutationB, value.shape).isTransposed
        ? backTo(permutationB, b.shape, batchedMatmul(turned(outGrad), a), true)
        : backTo(permutationB, b.shape, batchedMatmul(turned(a), outGrad), false),
    ];
  },
  lowering: {
    kind: "kernel",
    precision: "factors",
    steps(value, context) {
      const [a, b] = [item(value.inputs, 0), item(value.inputs, 1)];
      const { permutationA, permutationB } = value.attributes;
      const out = context.regionOf(value);
      const [m, n] = value.shape.slice(-2);
      const k = innerSizeOf(value);
      const dispatch = launchBatched<Binding>(
        { a: context.regionOf(a), b: context.regionOf(b), out },
        {
          m: m ?? 0,
          n: n ?? 0,
          k,
          batch: value.shape.slice(0, -2),
          a: walkOf(a.shape, permutationA, value.shape),
          b: walkOf(b.shape, permutationB, value.shape),
          variant: context.variant("batchedMatmul", VARIANTS),
        },
      );
      return [{ dispatch, writes: [out] }];
    },
  },
};

const VARIANTS: VariantChoices<BatchedMatmulVariant> = {
  all: ["register", "workgroup"],
  cpu: "register",
  gpu: "workgroup",
};

/** An operand, and the value in memory that it is with its axes in another order. */
function inPlace(operand: Value): { source: Value; permutation: readonly number[] } {
  if (isResultOf(transposeOp, operand)) {
    const source = item(operand.inputs, 0);
    const { permutation } = operand.attributes;
    if (isWalkable(source.shape, permutation)) return { source, permutation };
  }
  return { source: operand, permutation: [...operand.shape.keys()] };
}

/** Whether the rows or the columns of the matrices lie in a row. */
function isWalkable(shape: Shape, permutation: readonly number[]): boolean {
  const strides = stridesOf(shape);
  return permutation.slice(-2).some((axis) => strides[axis] === 1 || shape[axis] === 1);
}

/** Where the matrices of an operand are, for the product of shape `result`. */
function walkOf(shape: Shape, permutation: readonly number[], result: Shape): MatrixWalk {
  const strides = stridesOf(shape);
  const [rows = 0, columns = 0] = permutation.slice(-2);
  const isLine = (axis: number): boolean => strides[axis] === 1 || shape[axis] === 1;
  const isTransposed = !isLine(columns);
  return {
    strides: permutation.slice(0, -2).map((axis, index) =>
      shape[axis] === 1 && result[index] !== 1 ? 0 : item(strides, axis)
    ),
    isTransposed,
    pitch: item(strides, isTransposed ? columns : rows),
  };
}

function stridesOf(shape: Shape): number[] {
  return shape.map((_, axis) => shape.slice(axis + 1).reduce((product, size) => product * size, 1));
}

function swapped(axes: readonly number[]): number[] {
  const [rows = 0, columns = 0] = axes.slice(-2);
  return [...axes.slice(0, -2), columns, rows];
}

/** The gradient of what is stored, from that of the operand of `shape`, or from its transpose. */
function backTo(permutation: readonly number[], shape: Shape, gradient: Value, isTransposed: boolean): Value {
  const order = isTransposed ? swapped(permutation) : permutation;
  const inverse: number[] = [];
  order.forEach((axis, index) => inverse[axis] = index);
  return transpose(sumTo(gradient, isTransposed ? swapped(shape) : shape), inverse);
}

/** How many products each element of the result is the sum of. */
function innerSizeOf({ inputs, attributes: { permutationA } }: Value<BatchedMatmulAttributes>): number {
  return item(item(inputs, 0).shape, item(permutationA, permutationA.length - 1));
}
