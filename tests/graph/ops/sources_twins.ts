import { add, mul, neg } from "../../../src/graph/ops/arithmetic.ts";
import { full } from "../../../src/graph/ops/fill.ts";
import { constant, stepScalar } from "../../../src/graph/ops/sources.ts";
import { labelOf, type Value } from "../../../src/graph/value.ts";
import { HostTensor } from "../../../src/tensor/host_tensor.ts";
import type { GraphMaker } from "../../faults/numerics/graph_maker.ts";
import { exactly } from "../../helpers/enclosure.ts";
import { f32, opCase } from "../op_case.ts";
import type { EnclosingEnvironment, Enclosures, OpTwins } from "./op_twin.ts";

/** Numbers that a constant may be. */
export const NUMBERS: readonly number[] = [0, 1, -2, 0.5, 1e30, -1e-30, NaN, Infinity, -Infinity];

/** Twins of `src/graph/ops/sources.ts`. */
export const sourcesTwins: OpTwins = {
  input: {
    evaluate: (value, _inputs, { inputs }) => named(inputs, value),
    enclose: leaf,
    use: (maker) => neg(maker.named("input", ordinary(maker))),
  },
  parameter: {
    evaluate: (value, _inputs, { parameters }) => named(parameters, value),
    enclose: leaf,
    use: (maker) => mul(maker.named("parameter", ordinary(maker)), 0.5),
  },
  constant: {
    evaluate: numbersOf,
    enclose: (value) => numbersOf(value).map(exactly),
    use: (maker) => add(constant(maker.random.pick(NUMBERS)), maker.f32()),
    cases: [
      opCase(
        "constants and a number of the step",
        [f32([2, 3])],
        (a) =>
          add(
            mul(a, constant(HostTensor.from([1.5, -2.5, 0.25], [3]))),
            mul(stepScalar(2), full([2, 3], 0.5)),
          ),
      ),
    ],
  },
  number: {
    evaluate: (value) => [numberOf(value)],
    enclose: (value) => [exactly(value.dtype === "f32" ? Math.fround(numberOf(value)) : numberOf(value))],
  },
  stepScalar: {
    evaluate: (value, _inputs, { scalars }) => [scalars?.[indexOf(value)] ?? 0],
    enclose: (value, _inputs, { scalars }) => [exactly(Math.fround(scalars[indexOf(value)] ?? 0))],
    use: (maker) => mul(maker.f32(), stepScalar(maker.random.below(6))),
  },
};

function named(
  given: Readonly<Record<string, ArrayLike<number>>> | undefined,
  value: Value,
): ArrayLike<number> {
  const elements = given?.[(value.attributes as { name: string }).name];
  if (elements === undefined) throw new Error(`The interpreter was given no ${labelOf(value)}`);
  return elements;
}

function leaf(value: Value, _inputs: readonly Enclosures[], { leaves }: EnclosingEnvironment): Enclosures {
  return Array.from(leaves[(value.attributes as { name: string }).name] ?? [], exactly);
}

function numbersOf(value: Value): number[] {
  return Array.from((value.attributes as { tensor: HostTensor }).tensor.toArray(), Number);
}

function numberOf(value: Value): number {
  return (value.attributes as { value: number }).value;
}

function indexOf(value: Value): number {
  return (value.attributes as { index: number }).index;
}

function ordinary(maker: GraphMaker): HostTensor {
  const shape = maker.shape();
  const count = shape.reduce((product, size) => product * size, 1);
  return HostTensor.from(Array.from({ length: count }, () => maker.random.next() * 4 - 2), shape, "f32");
}
