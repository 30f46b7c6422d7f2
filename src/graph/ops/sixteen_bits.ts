import { narrowed, type SixteenBits } from "../../kernels/elementwise/sixteen_bits.ts";
import { createValue } from "../create_value.ts";
import type { Attributes } from "../value.ts";
import { item, type OpDefinition } from "../op.ts";
import type { Value } from "../value.ts";

// Values in 16 bits: they are stored so, and computed with in f32.

/** `value`, an f32, in the 16 bits of `dtype`: rounded to nearest, halves to even. */
export function narrow(value: Value, dtype: SixteenBits): Value {
  return createValue(narrowOp, [value], {}, dtype, value.shape);
}

/** The gradient is that of the result, as if nothing were rounded. */
export const narrowOp: OpDefinition = {
  name: "narrow",
  gradient: (_value, outGrad) => [outGrad],
  lowering: {
    kind: "elementwise",
    // What is stored in 16 bits is there to be read, and not to be computed again.
    cost: "expensive",
    expression: ({ dtype }, inputs) => ({
      kind: "apply",
      function: narrowed(dtype as SixteenBits),
      operands: [item(inputs, 0)],
    }),
  },
};

/** `value`, in 16 bits, as the f32 that it is. Elementwise kernels read it where it is. */
export function widen(value: Value): Value {
  return createValue(widenOp, [value], {}, "f32", value.shape);
}

/** Every element where it is: kernels that need it in f32 have it so only while they run. */
export const widenOp: OpDefinition = {
  name: "widen",
  gradient: (_value, outGrad) => [outGrad],
  lowering: {
    kind: "read",
    read: ({ shape }) => ({ starts: shape.map(() => 0), axes: shape.map((_, of) => ({ of, step: 1 })) }),
  },
};

/** Attributes of `round`. */
export type RoundAttributes = Attributes & { readonly dtype: SixteenBits };

/** `value` rounded to what `dtype` can say, in f32. */
export function roundTo(value: Value, dtype: SixteenBits): Value {
  return createValue(roundToOp, [value], { dtype }, "f32", value.shape);
}

/** The gradient is that of the result, as if nothing were rounded. */
export const roundToOp: OpDefinition<RoundAttributes> = {
  name: "roundTo",
  gradient: (_value, outGrad) => [outGrad],
  lowering: {
    kind: "elementwise",
    cost: "expensive",
    expression: ({ attributes: { dtype } }, inputs) => ({
      kind: "apply",
      function: narrowed(dtype),
      operands: [item(inputs, 0)],
    }),
  },
};
