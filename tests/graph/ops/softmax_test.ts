import { describe, expect, test } from "bun:test";
import { gradients } from "../../../src/graph/autodiff.ts";
import { ProgramLowering } from "../../../src/graph/lower_program.ts";
import { variantChooser } from "../../../src/graph/variants.ts";
import * as ops from "../../../src/graph/ops.ts";
import { noParameters } from "../run_values.ts";

describe("softmax over any axis", () => {
  test("OP-08 softmax and logSoftmax are one kernel each way, whichever the axis", () => {
    for (const op of [ops.softmax, ops.logSoftmax]) {
      for (const axis of [0, 1, -1]) {
        const x = ops.input("x", "f32", [4, 3, 5]);
        const y = ops.input("y", "f32", [4, 3, 5]);
        const result = op(x, { axis });
        const [gradient = result] = gradients(ops.sum(ops.mul(result, y)), [x]);
        const chooser = variantChooser(new Map(), true);
        const { steps } = new ProgramLowering([result, gradient], [x, y], noParameters, chooser);
        const kernels = steps.map(({ dispatch }) => dispatch.label.split(" ")[0]);
        expect(kernels.filter((name) => name?.includes("oftmax"))).toEqual([op.name, `${op.name}Gradient`]);
      }
    }
  });

  test("OP-08 an axis without elements, and a tensor without rows, have an empty softmax", () => {
    expect(ops.softmax(ops.input("x", "f32", [2, 0])).shape).toEqual([2, 0]);
    expect(ops.softmax(ops.input("x", "f32", [0, 3])).shape).toEqual([0, 3]);
  });

  test("OP-08 an axis that is not there is refused", () => {
    expect(() => ops.softmax(ops.input("x", "f32", [2]), { axis: 1 })).toThrow(
      "softmax: shape [2] has no axis 1",
    );
    expect(() => ops.softmax(ops.input("x", "f32", []))).toThrow("softmax: shape [] has no axis -1");
  });
});
