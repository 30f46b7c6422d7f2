import { logSoftmax, softmax } from "../../../src/graph/ops/softmax.ts";
import { f32, opCase } from "../op_case.ts";
import type { OpTwins } from "./op_twin.ts";
import { alongAxis } from "./reduction_uses.ts";

/** Uses of `src/graph/ops/softmax.ts`. */
export const softmaxTwins: OpTwins = {
  softmax: {
    use: alongAxis(softmax),
    cases: [opCase("softmax", [f32([3, 4])], (a) => softmax(a))],
  },
  logSoftmax: {
    use: alongAxis(logSoftmax),
    cases: [opCase("logSoftmax over the first axis", [f32([3, 4])], (a) => logSoftmax(a, { axis: 0 }))],
  },
};
