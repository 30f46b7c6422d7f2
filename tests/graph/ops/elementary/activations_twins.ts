import {
  elu,
  gelu,
  hardSwish,
  leakyRelu,
  mish,
  selu,
  silu,
} from "../../../../src/graph/ops/elementary/activations.ts";
import { clip } from "../../../../src/graph/ops/elementary/clip.ts";
import { logSigmoid } from "../../../../src/graph/ops/elementary/exponentials.ts";
import { f32, opCase } from "../../op_case.ts";
import { ofFloat } from "../element_twin.ts";
import type { OpTwins } from "../op_twin.ts";

/** Uses of what `src/graph/ops/elementary/` composes of other ops. */
export const activationsTwins: OpTwins = {
  leakyRelu: {
    use: (maker) => leakyRelu(maker.f32(), { negativeSlope: maker.random.pick([0.01, 0.5, 1, 0]) }),
    cases: [opCase("leakyRelu", [f32([9])], (a) => leakyRelu(a))],
  },
  elu: {
    use: (maker) => elu(maker.f32(), { alpha: maker.random.pick([1, 0.5, 2]) }),
    cases: [opCase("elu", [f32([9])], (a) => elu(a, { alpha: 1.5 }))],
  },
  selu: { use: ofFloat(selu), cases: [opCase("selu", [f32([9])], selu)] },
  silu: { use: ofFloat(silu), cases: [opCase("silu", [f32([9])], silu)] },
  mish: { use: ofFloat(mish), cases: [opCase("mish", [f32([9])], mish)] },
  hardSwish: { use: ofFloat(hardSwish), cases: [opCase("hardSwish", [f32([9], -4.1, 4)], hardSwish)] },
  gelu: {
    use: (maker) => gelu(maker.f32(), { approximate: maker.random.pick(["none", "tanh"]) }),
    cases: [
      opCase("gelu", [f32([9])], (a) => gelu(a)),
      opCase("gelu by tanh", [f32([9])], (a) => gelu(a, { approximate: "tanh" })),
    ],
  },
  logSigmoid: { use: ofFloat(logSigmoid), cases: [opCase("logSigmoid", [f32([9])], logSigmoid)] },
  clip: {
    use: (maker) =>
      clip(
        maker.value(maker.random.chance(0.8) ? "f32" : "i32"),
        maker.random.pick([-1, 0, -Infinity]),
        maker.random.pick([1, 2, Infinity]),
      ),
    cases: [opCase("clip", [f32([9])], (a) => clip(a, -0.75, 1.25))],
  },
};
