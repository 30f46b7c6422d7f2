import { mul } from "../../../../src/graph/ops/arithmetic.ts";
import {
  batchNorm,
  type BatchNormAttributes,
  batchStatistics,
} from "../../../../src/graph/ops/norm/batch_norm.ts";
import type { Value } from "../../../../src/graph/value.ts";
import type { ChannelSizes } from "../../../../src/kernels/norm/channel_plan.ts";
import { type Enclosure, exactly } from "../../../helpers/enclosure.ts";
import { f32, opCase } from "../../op_case.ts";
import { encloseElement } from "../element_twins.ts";
import { at, broadcast } from "../elements.ts";
import type { OpTwins } from "../op_twin.ts";
import { leafLike } from "../spatial/leaves.ts";
import { twinOf } from "./row_norms_twins.ts";

function attributesOf(value: Value): BatchNormAttributes {
  return value.attributes as BatchNormAttributes;
}

/** Twins of `src/graph/ops/norm/batch_norm.ts`. */
export const batchNormTwins: OpTwins = {
  batchStatistics: {
    ...twinOf((value, [x = []]) => {
      const { batch, channels, inner } = value.attributes as ChannelSizes;
      const groups = Array.from({ length: channels }, (): number[] => []);
      Array.from(x).forEach((each, index) => groups[Math.floor(index / inner) % channels]?.push(each));
      const count = batch * inner;
      const means = groups.map((group) => group.reduce((total, each) => total + each, 0) / count);
      const variances = groups.map((group, channel) =>
        group.reduce((total, each) => total + (each - at(means, channel)) ** 2, 0) / count
      );
      const most = groups.map((group) =>
        group.reduce((largest, each) => Math.max(largest, Math.abs(each)), 0)
      );
      return {
        elements: [...means, ...variances],
        errors: [...most.map((each) => 1e-3 * each), ...most.map((each) => 1e-3 * each ** 2)],
      };
    }),
    use: (maker) => {
      const value = maker.f32(({ shape }) => shape.length >= 2 && !shape.includes(0));
      const { mean, variance } = batchStatistics(value);
      return mul(mean, variance);
    },
    cases: [
      opCase("OP-10 batchStatistics", [f32([7, 3])], (x) => {
        const { mean, variance } = batchStatistics(x);
        return mul(mean, variance);
      }),
      opCase("OP-10 batchStatistics of planes", [f32([3, 2, 2, 2])], (x) => batchStatistics(x).variance),
    ],
  },
  batchNorm: {
    evaluate: (value, inputs) => {
      const { epsilon, hasWeight, hasBias } = attributesOf(value);
      return broadcast(value, inputs, (elements) => {
        const normal = (at(elements, 0) - at(elements, 1)) / Math.sqrt(at(elements, 2) + epsilon);
        const weighted = hasWeight ? normal * at(elements, 3) : normal;
        return hasBias ? weighted + at(elements, hasWeight ? 4 : 3) : weighted;
      });
    },
    enclose: (value, inputs) => {
      const { epsilon, hasWeight, hasBias } = attributesOf(value);
      const of = (op: string, ...operands: Enclosure[]): Enclosure => encloseElement(op, operands, "f32");
      return broadcast(value, inputs, (elements) => {
        const scale = of("rsqrt", of("add", at(elements, 2), exactly(Math.fround(epsilon))));
        const normal = of("mul", of("sub", at(elements, 0), at(elements, 1)), scale);
        const weighted = hasWeight ? of("mul", normal, at(elements, 3)) : normal;
        return hasBias ? of("add", weighted, at(elements, hasWeight ? 4 : 3)) : weighted;
      });
    },
    use: (maker) => {
      const value = maker.f32(({ shape }) => shape.length >= 2 && !shape.includes(0));
      const channels = at(value.shape, 1);
      const weight = maker.random.chance(0.6) ? leafLike(maker, [channels]) : undefined;
      const bias = maker.random.chance(0.4) ? leafLike(maker, [channels]) : undefined;
      return batchNorm(value, { weight, bias });
    },
    cases: [
      opCase(
        "OP-10 batchNorm",
        [f32([5, 3]), f32([3]), f32([3])],
        (x, weight, bias) => batchNorm(x, { weight, bias }),
      ),
      opCase(
        "OP-10 batchNorm of four channels",
        [f32([5, 4]), f32([4])],
        (x, weight) => batchNorm(x, { weight, epsilon: 0.1 }),
      ),
      opCase(
        "OP-10 batchNorm of planes",
        [f32([2, 3, 2, 3]), f32([3]), f32([3])],
        (x, weight, bias) => batchNorm(x, { weight, bias }),
      ),
      opCase("OP-10 batchNorm of nothing else", [f32([3, 2, 4])], (x) => batchNorm(x)),
      opCase(
        "OP-10 batchNorm by other statistics",
        [f32([4, 3]), f32([3]), f32([3], 0.5, 2)],
        (x, mean, variance) => batchNorm(x, { statistics: { mean, variance } }),
      ),
    ],
  },
};
