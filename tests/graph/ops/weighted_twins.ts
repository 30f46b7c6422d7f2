import { relu } from "../../../src/graph/ops/piecewise.ts";
import { weighted } from "../../../src/graph/ops/weighted.ts";
import type { OpTwins } from "./op_twin.ts";

/** Use of `src/graph/ops/weighted.ts`. */
export const weightedTwins: OpTwins = {
  weighted: {
    use(maker) {
      const value = maker.f32();
      const weight = maker.tensorBeside(value, "f32");
      return weighted(value, maker.random.chance(0.5) ? weight : relu(weight));
    },
  },
};
