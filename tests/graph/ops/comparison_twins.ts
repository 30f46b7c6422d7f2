import {
  equal,
  greater,
  greaterEqual,
  isNaNValue,
  less,
  lessEqual,
  logicalAnd,
  logicalNot,
  logicalOr,
  notEqual,
} from "../../../src/graph/ops/comparison.ts";
import { between, type Enclosure, exactly, hasNumber } from "../../helpers/enclosure.ts";
import { type ElementTwins, ofFloat, ofLogic, ofTwo } from "./element_twin.ts";

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

/** Whether it is 0. */
export function isZero(x: Enclosure): Enclosure {
  return isEqual(x, exactly(0));
}

/** Twins of `src/graph/ops/comparison.ts`. The cases of comparisons are masks of others: see `op_cases.ts`. */
export const comparisonTwins: ElementTwins = {
  equal: {
    float: (x, y) => Number(x === y),
    isLogical: true,
    enclose: isEqual,
    use: ofTwo(equal),
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
};
