import { square, sub } from "../../graph/ops/arithmetic.ts";
import { mean } from "../../graph/ops/reduce.ts";
import { constant } from "../../graph/ops/sources.ts";
import { sum } from "../../graph/ops/sum.ts";
import { reshape } from "../../graph/ops/views.ts";
import { sizeOf } from "../../graph/value.ts";
import { requireSameShape } from "../losses/element_loss.ts";
import type { SetMetric, Totals } from "./metric.ts";

/** The root of the mean squared error over all numbers. Output and labels are f32 of one shape `[batch, …]`. */
export function rmse(): SetMetric<"squares" | "count"> {
  return {
    count(output, labels) {
      requireSameShape("rmse", output, labels);
      return { squares: sum(square(sub(output, labels))), count: constant(sizeOf(output), "u32") };
    },
    result: ({ squares, count }) => Math.sqrt((squares[0] ?? NaN) / (count[0] ?? NaN)),
  };
}

type Moments = "count" | "centre" | "deviations" | "squares" | "residuals";

/**
 * The coefficient of determination: 1 less the squared errors over the squared distances of the labels from their mean;
 * the mean over the numbers of the last axis. Output and labels are f32 of one shape `[batch, …]`. Of labels that are
 * all the same it is 1 where there is no error and 0 otherwise, as in scikit-learn.
 *
 * The distances of a batch are from its own mean, and are put together by the formula of Chan, Golub and LeVeque
 * (1979): a difference of two large sums would have no digits left where labels are far from 0.
 */
export function r2(): SetMetric<Moments> {
  return {
    count(output, labels) {
      requireSameShape("r2", output, labels);
      const columns = labels.shape.length > 1 ? labels.shape.at(-1) ?? 1 : 1;
      const [given, wanted] = [output, labels].map((value) => reshape(value, [-1, columns]));
      if (given === undefined || wanted === undefined) throw new TypeError("r2: takes an output and labels");
      const centre = mean(wanted, { axes: 0, keepDims: true });
      const distances = sub(wanted, centre);
      return {
        count: constant(wanted.shape[0] ?? 0, "u32"),
        centre: reshape(centre, [columns]),
        // What rounding the mean left.
        deviations: sum(distances, { axes: 0 }),
        squares: sum(square(distances), { axes: 0 }),
        residuals: sum(square(sub(given, wanted)), { axes: 0 }),
      };
    },
    merge: joined,
    result({ squares, deviations, count, residuals }) {
      const [rows = NaN] = count;
      const scores = squares.map((total, at) => {
        const [spread, errors] = [total - (deviations[at] ?? NaN) ** 2 / rows, residuals[at] ?? NaN];
        return spread > 0 || !(errors >= 0) ? 1 - errors / spread : errors === 0 ? 1 : 0;
      });
      return scores.reduce((sum, score) => sum + score, 0) / scores.length;
    },
  };
}

/** Two parts, of which each knows its squares about a number near its mean. */
function joined(a: Totals<Moments>, b: Totals<Moments>): Totals<Moments> {
  const [aCount = NaN, bCount = NaN] = [a.count[0], b.count[0]];
  const count = aCount + bCount;
  const meanOf = (part: Totals<Moments>, rows: number, at: number): number =>
    (part.centre[at] ?? NaN) + (part.deviations[at] ?? NaN) / rows;
  const squaresOf = (part: Totals<Moments>, rows: number, at: number): number =>
    (part.squares[at] ?? NaN) - (part.deviations[at] ?? NaN) ** 2 / rows;
  const centre = a.centre.map((_, at) => {
    const [first, second] = [meanOf(a, aCount, at), meanOf(b, bCount, at)];
    return first + (second - first) * bCount / count;
  });
  const squares = a.squares.map((_, at) => {
    const apart = meanOf(b, bCount, at) - meanOf(a, aCount, at);
    return squaresOf(a, aCount, at) + squaresOf(b, bCount, at) + apart ** 2 * aCount * bCount / count;
  });
  return {
    count: Float64Array.of(count),
    centre,
    deviations: new Float64Array(centre.length),
    squares,
    residuals: a.residuals.map((errors, at) => errors + (b.residuals[at] ?? NaN)),
  };
}
