import {
  orthonormalColumns as launch,
  type OrthonormalSizes,
} from "../../../kernels/random/orthonormal_columns.ts";
import { formatShape } from "../../../tensor/shape.ts";
import { createValue } from "../../create_value.ts";
import { memoryOf, stepsOf } from "../../kernel_steps.ts";
import { type Binding, item, type OpDefinition } from "../../op.ts";
import type { Value } from "../../value.ts";
import { requireDType } from "../requirements.ts";

/**
 * A matrix `[rows, columns]` whose columns are orthonormal, made of independent normal numbers `[columns, rows]`:
 * random and distributed evenly, as the Q of a QR decomposition of a normal matrix whose R has a positive diagonal. No
 * gradient flows. At least as many rows as columns.
 */
export function orthonormalColumns(gaussian: Value): Value {
  requireDType("orthonormalColumns", gaussian, ["f32"]);
  const [columns, rows] = gaussian.shape;
  if (columns === undefined || rows === undefined || gaussian.shape.length !== 2 || columns > rows) {
    throw new TypeError(
      `orthonormalColumns: takes [columns, rows] with at least as many rows as columns, found ${
        formatShape(gaussian.shape)
      }`,
    );
  }
  return createValue(orthonormalColumnsOp, [gaussian], { rows, columns }, "f32", [rows, columns]);
}

/** Its numbers are random; there is no gradient. */
export const orthonormalColumnsOp: OpDefinition<OrthonormalSizes> = {
  name: "orthonormalColumns",
  lowering: {
    kind: "kernel",
    steps(value, context) {
      const bindings = { gaussian: context.regionOf(item(value.inputs, 0)), out: context.regionOf(value) };
      return stepsOf(launch<Binding>(bindings, value.attributes, memoryOf(context)));
    },
  },
};
