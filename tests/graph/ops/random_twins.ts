import { mul } from "../../../src/graph/ops/arithmetic.ts";
import { dropout, randomNormal, randomUniform } from "../../../src/graph/ops/random.ts";
import { sizeOf, type Value } from "../../../src/graph/value.ts";
import type { GraphMaker } from "../../faults/numerics/graph_maker.ts";
import { f32, opCase } from "../op_case.ts";
import { filled } from "./fill_twins.ts";
import type { EnclosingEnvironment, Enclosures, Environment, OpTwins } from "./op_twin.ts";

/** Twins of `src/graph/ops/random.ts`. A test that computes them says what is drawn. */
export const randomTwins: OpTwins = {
  randomUniform: {
    evaluate: drawn,
    enclose: enclosedDraw,
    use: filled((shape, maker) => randomUniform(shape, { stream: streamOf(maker) })),
    cases: [
      opCase("randomUniform as noise", [f32([300])], (a) => mul(a, randomUniform([300], { stream: 3 }))),
    ],
  },
  randomNormal: {
    evaluate: drawn,
    enclose: enclosedDraw,
    use: filled((shape, maker) => randomNormal(shape, { stream: streamOf(maker) })),
    cases: [
      opCase("randomNormal as noise", [f32([5, 61])], (a) => mul(a, randomNormal([5, 61], { stream: 4 }))),
    ],
  },
  dropout: {
    use: (maker) => dropout(maker.f32(), { rate: maker.random.pick([0.25, 0.5]), stream: streamOf(maker) }),
    cases: [opCase("dropout", [f32([10, 30])], (a) => dropout(a, { rate: 0.3, stream: 5 }))],
  },
};

function drawn(value: Value, _inputs: readonly Float64Array[], { random }: Environment): ArrayLike<number> {
  if (random === undefined) throw new Error(`The interpreter was given no numbers for ${value.op}`);
  return random(value.op, (value.attributes as { stream: number }).stream, sizeOf(value));
}

function enclosedDraw(
  value: Value,
  _inputs: readonly Enclosures[],
  { random }: EnclosingEnvironment,
): Enclosures {
  return random(value.op, (value.attributes as { stream: number }).stream, sizeOf(value));
}

/** Two draws of one program need two streams. */
function streamOf(maker: GraphMaker): number {
  return maker.random.below(2 ** 32);
}
