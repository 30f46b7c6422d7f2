import { full, ones, zeros } from "../../../src/graph/ops/fill.ts";
import type { Value } from "../../../src/graph/value.ts";
import type { Shape } from "../../../src/tensor/shape.ts";
import type { GraphMaker } from "../../faults/numerics/graph_maker.ts";
import type { OpTwins, OpUse } from "./op_twin.ts";
import { NUMBERS } from "./sources_twins.ts";

/** Fills a shape of its own, or that of another value. */
export function filled(op: (shape: Shape, maker: GraphMaker) => Value): OpUse {
  return (maker) => op(maker.random.chance(0.5) ? maker.f32().shape : maker.shape(), maker);
}

/** Uses of `src/graph/ops/fill.ts`. */
export const fillTwins: OpTwins = {
  full: {
    use: filled((shape, { random }) => {
      const dtype = random.pick(["f32", "f32", "i32", "u32"] as const);
      return full(shape, random.pick(dtype === "f32" ? NUMBERS : [0, 1, 7]), dtype);
    }),
  },
  ones: { use: filled((shape) => ones(shape)) },
  zeros: { use: filled((shape) => zeros(shape)) },
};
