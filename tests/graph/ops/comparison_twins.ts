import { add, mul } from "../../../src/graph/ops/arithmetic.ts";
import { cast } from "../../../src/graph/ops/cast.ts";
import {
  equal,
  greater,
  greaterEqual,
  isFinite as isFiniteValue,
  isNaNValue,
  less,
  lessEqual,
  logicalAnd,
  logicalNot,
  logicalOr,
  notEqual,
  where,
} from "../../../src/graph/ops/comparison.ts";
import { between, type Enclosure, exactly, hasNumber, union } from "../../helpers/enclosure.ts";
import { f32, opCase, u32 } from "../op_case.ts";
import { type ElementTwins, ofFloat, ofLogic, ofTwo } from "./element_twin.ts";
import { at, broadcast } from "./elements.ts";
import type { OpTwins } from "./op_twin.ts";

/** 0 or 1, or both where bounds overlap. */
function truth(mayBeTrue: boolean, mayBeFalse: boolean): Enclosure {
  return between(mayBeFalse ? 0 : 1, mayBeTrue ? 1 : 0);
}

function isLess(x: Enclosure, y: Enclosure): Enclosure {
  return truth(x.lo < y.hi && hasNumber(x) && hasNumber(y), x.nan || y.nan || !(x.hi < y.lo));
}

function isLessOrEqual(x: Enclosure, y: Enclosure): Enclosure {
  return truth(x.lo <= y.hi && hasNumber(x) && hasNumber(y), x.nan || y.nan || !(x.hi <= y.lo));
}

function isEqual(x: Enclosure, y: Enclosure): Enclosure {
  return truth(
    hasNumber(x) && hasNumber(y) && x.lo <= y.hi && y.lo <= x.hi,
    x.nan || y.nan || !(x.lo === x.hi && y.lo === y.hi && x.lo === y.lo),
  );
}

function inverse({ lo, hi }: Enclosure): Enclosure {
  return between(1 - hi, 1 - lo);
}

function isZero(x: Enclosure): Enclosure {
  return isEqual(x, exactly(0));
}

/**
 * Twins of the elementwise ops of `src/graph/ops/comparison.ts`. One case is of all comparisons, and one of all
 * logic.
 */
export const comparisonTwins: ElementTwins = {
  equal: {
    float: (x, y) => Number(x === y),
    isLogical: true,
    enclose: isEqual,
    use: ofTwo(equal),
    cases: [
      opCase("comparisons as masks", [f32([8]), f32([8])], (a, b) => {
        const masks = [
          equal(a, b),
          notEqual(a, b),
          less(a, b),
          lessEqual(a, b),
          greater(a, b),
          greaterEqual(a, b),
        ];
        return masks.reduce(
          (total, mask, index) => add(total, mul(cast(mask, "f32"), mul(a, index + 1))),
          mul(b, 0.5),
        );
      }),
    ],
  },
  notEqual: {
    float: (x, y) => Number(x !== y),
    isLogical: true,
    enclose: (x, y) => inverse(isEqual(x, y)),
    use: ofTwo(notEqual),
  },
  less: {
    float: (x, y) => Number(x < y),
    isLogical: true,
    enclose: isLess,
    use: ofTwo(less),
  },
  lessEqual: {
    float: (x, y) => Number(x <= y),
    isLogical: true,
    enclose: isLessOrEqual,
    use: ofTwo(lessEqual),
  },
  greater: {
    float: (x, y) => Number(x > y),
    isLogical: true,
    enclose: (x, y) => isLess(y, x),
    use: ofTwo(greater),
  },
  greaterEqual: {
    float: (x, y) => Number(x >= y),
    isLogical: true,
    enclose: (x, y) => isLessOrEqual(y, x),
    use: ofTwo(greaterEqual),
  },
  logicalAnd: {
    float: (x, y) => Number(x !== 0 && y !== 0),
    isLogical: true,
    enclose(x, y) {
      const [p, q] = [inverse(isZero(x)), inverse(isZero(y))];
      return between(Math.min(p.lo, q.lo), Math.min(p.hi, q.hi));
    },
    use: ofLogic(logicalAnd),
    cases: [
      opCase(
        "logic",
        [u32([8], 3), u32([8], 3), f32([8])],
        (a, b, c) => where(logicalOr(logicalAnd(a, b), logicalNot(a)), c, mul(cast(isNaNValue(c), "f32"), c)),
      ),
    ],
  },
  logicalOr: {
    float: (x, y) => Number(x !== 0 || y !== 0),
    isLogical: true,
    enclose(x, y) {
      const [p, q] = [inverse(isZero(x)), inverse(isZero(y))];
      return between(Math.max(p.lo, q.lo), Math.max(p.hi, q.hi));
    },
    use: ofLogic(logicalOr),
  },
  logicalNot: {
    float: (x) => Number(x === 0),
    isLogical: true,
    enclose: isZero,
    use: (maker) => logicalNot(maker.value("u32")),
  },
  isNaNValue: {
    float: (x) => Number(Number.isNaN(x)),
    isLogical: true,
    enclose: (x) => truth(x.nan, hasNumber(x)),
    use: ofFloat(isNaNValue),
  },
  isFinite: {
    float: (x) => Number(Number.isFinite(x)),
    isLogical: true,
    enclose: (x) =>
      truth(
        hasNumber(x) && !(x.lo === x.hi && Math.abs(x.lo) === Infinity),
        x.nan || x.lo === -Infinity || x.hi === Infinity,
      ),
    use: ofFloat(isFiniteValue),
    cases: [
      opCase("isFinite as a mask", [f32([5])], (a) => mul(cast(isFiniteValue(a), "f32"), a)),
    ],
  },
};

/** Twin of `where`. */
export const whereTwins: OpTwins = {
  where: {
    evaluate: (value, inputs) =>
      broadcast(value, inputs, (elements) => at(elements, at(elements, 0) === 0 ? 2 : 1)),
    enclose: (value, inputs) =>
      broadcast(value, inputs, (elements) => choose(at(elements, 0), at(elements, 1), at(elements, 2))),
    use(maker) {
      const a = maker.f32();
      const condition = maker.random.chance(0.7) ? less(a, 1) : maker.tensorBeside(a, "u32");
      return where(condition, a, maker.beside(a));
    },
    cases: [
      opCase("where", [u32([2, 3], 2), f32([2, 3]), f32([3])], where),
    ],
  },
};

function choose(condition: Enclosure, a: Enclosure, b: Enclosure): Enclosure {
  const isFalse = isZero(condition);
  if (isFalse.lo === 1) return b;
  return isFalse.hi === 0 ? a : union(a, b);
}
