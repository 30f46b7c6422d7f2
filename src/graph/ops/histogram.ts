import { histogram as launchHistogram } from "../../kernels/loss/histogram.ts";
import { createValue } from "../create_value.ts";
import { type Binding, item, type OpDefinition } from "../op.ts";
import { sizeOf, type Value } from "../value.ts";
import { requireDType } from "./requirements.ts";

/** How many elements of `bins`, u32, are each number below `binCount`: `[binCount]`, u32. */
export function histogram(bins: Value, binCount: number): Value {
  requireDType("histogram", bins, ["u32"]);
  return createValue(histogramOp, [bins], {}, "u32", [binCount]);
}

/** Counts have no gradient. */
export const histogramOp: OpDefinition = {
  name: "histogram",
  lowering: {
    kind: "kernel",
    steps(value, context) {
      const bins = item(value.inputs, 0);
      const out = context.regionOf(value);
      const dispatches = launchHistogram<Binding>(
        { bins: context.regionOf(bins), out },
        { rows: sizeOf(bins), binCount: sizeOf(value) },
      );
      return dispatches.map((dispatch) => ({ dispatch, writes: [out] }));
    },
  },
};
