import { HostTensor } from "../../../tensor/host_tensor.ts";
import { createValue } from "../../create_value.ts";
import { item, type OpDefinition } from "../../op.ts";
import type { Value } from "../../value.ts";
import { expandDims } from "../movement/axes.ts";
import { constant } from "../sources.ts";
import { indicesOf } from "./indices.ts";

/** Attributes of `oneHot`. */
export type OneHotAttributes = { readonly classes: number };

/**
 * For each index a row of `classes` numbers that are 0 but for a 1 at the index: `[…indices, classes]`, f32; nothing
 * but 0 where it is no class. Fused into what uses it.
 */
export function oneHot(indices: Value, classes: number): Value {
  if (!Number.isInteger(classes) || classes < 0) {
    throw new RangeError(`oneHot: the number of classes is a whole number from 0 on, not ${classes}`);
  }
  const places = expandDims(indicesOf("oneHot", indices), -1);
  const numbers = constant(
    HostTensor.from(Uint32Array.from({ length: classes }, (_, index) => index), [classes]),
  );
  return createValue(oneHotOp, [places, numbers], { classes }, "f32", [...indices.shape, classes]);
}

/** 1 where an index is the number of its column. No gradient flows. */
export const oneHotOp: OpDefinition<OneHotAttributes> = {
  name: "oneHot",
  indices: ({ attributes }) => [{ input: 0, below: attributes.classes }],
  lowering: {
    kind: "elementwise",
    cost: "cheap",
    expression: (_value, operands) => ({
      kind: "apply",
      function: {
        name: "oneHot",
        takes: ["u32"],
        gives: "f32",
        wgsl: (terms) => `select(Float(), Float(1.0), ${item(terms, 0).text} == ${item(terms, 1).text})`,
      },
      operands,
    }),
  },
};
