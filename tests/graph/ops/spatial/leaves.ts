import type { Value } from "../../../../src/graph/value.ts";
import type { GraphMaker } from "../../../faults/numerics/graph_maker.ts";

/** An f32 of this shape: one that the graph has, or a new leaf. */
export function leafLike(maker: GraphMaker, shape: readonly number[]): Value {
  const isOfShape = (value: Value): boolean => value.shape.join() === shape.join();
  return maker.values.findLast((value) => value.dtype === "f32" && isOfShape(value)) ??
    maker.leaf("f32", shape);
}
