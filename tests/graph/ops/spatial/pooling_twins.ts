import { avgPool1d, avgPool2d, maxPool1d, maxPool2d } from "../../../../src/graph/ops/spatial/pooling.ts";
import { upsample } from "../../../../src/graph/ops/spatial/upsample.ts";
import type { Value } from "../../../../src/graph/value.ts";
import type { WindowSizes } from "../../../../src/kernels/pool/window_sizes.ts";
import {
  type Enclosure,
  exactly,
  hasNumber,
  isPoint,
  sum,
  union,
  withEitherZero,
} from "../../../helpers/enclosure.ts";
import { f32, opCase } from "../../op_case.ts";
import { at } from "../elements.ts";
import type { OpTwins } from "../op_twin.ts";
import { leafLike } from "./leaves.ts";

function sizesOf(value: Value): WindowSizes {
  return (value.attributes as { sizes: WindowSizes }).sizes;
}

/** The places of the input's elements in each window, by the definition. */
function windowsOf({ planes, input, output, kernel, stride, dilation, padding }: WindowSizes): number[][] {
  const windows: number[][] = [];
  for (let plane = 0; plane < planes; plane++) {
    for (let y = 0; y < output[0]; y++) {
      for (let x = 0; x < output[1]; x++) {
        const places: number[] = [];
        for (let ky = 0; ky < kernel[0]; ky++) {
          for (let kx = 0; kx < kernel[1]; kx++) {
            const iy = y * stride[0] + ky * dilation[0] - padding[0];
            const ix = x * stride[1] + kx * dilation[1] - padding[1];
            if (iy < 0 || iy >= input[0] || ix < 0 || ix >= input[1]) continue;
            places.push((plane * input[0] + iy) * input[1] + ix);
          }
        }
        windows.push(places);
      }
    }
  }
  return windows;
}

/** The windows that each element of the input is in. */
function membersOf(sizes: WindowSizes, lists: readonly (readonly number[])[]): number[][] {
  const count = sizes.planes * sizes.input[0] * sizes.input[1];
  const members: number[][] = Array.from({ length: count }, () => []);
  lists.forEach((places, window) => places.forEach((place) => members[place]?.push(window)));
  return members;
}

/** The first of the largest; NaN is the largest. */
function placeOf(places: readonly number[], elements: ArrayLike<number>): number {
  return places.reduce((best, place) => {
    const [found, largest] = [at(elements, place), at(elements, best)];
    const isLarger = Number.isNaN(found) ? !Number.isNaN(largest) : found > largest;
    return isLarger ? place : best;
  });
}

/** Where the largest of what is only enclosed may be. */
function candidatesOf(places: readonly number[], elements: ArrayLike<Enclosure>): number[] {
  const isCertain = places.every((place) => {
    const element = at(elements, place);
    return isPoint(element) && !element.nan || !hasNumber(element);
  });
  if (isCertain) {
    const numbers: number[] = [];
    for (const place of places) {
      const element = at(elements, place);
      numbers[place] = hasNumber(element) ? element.lo : NaN;
    }
    return [placeOf(places, numbers)];
  }
  const least = Math.max(
    ...places.map((place) => at(elements, place)).filter(({ nan }) => !nan).map(({ lo }) => lo),
  );
  return places.filter((place) => at(elements, place).nan || at(elements, place).hi >= least);
}

const ZERO = exactly(0);

/** Twins of `src/graph/ops/spatial/pooling.ts`. */
export const poolingTwins: OpTwins = {
  pickMaximum: {
    evaluate: (value, [input = [], moved = []]) =>
      windowsOf(sizesOf(value)).map((places) => at(moved, placeOf(places, input))),
    enclose: (value, [input = [], moved = []]) =>
      windowsOf(sizesOf(value)).map((places) =>
        candidatesOf(places, input).map((place) => at(moved, place)).reduce(union)
      ),
  },
  spreadMaximum: {
    evaluate(value, [input = [], moved = []]) {
      const sizes = sizesOf(value);
      const chosen = windowsOf(sizes).map((places) => [placeOf(places, input)]);
      return membersOf(sizes, chosen).map((windows) =>
        windows.reduce((total, window) => total + at(moved, window), 0)
      );
    },
    enclose(value, [input = [], moved = []]) {
      const sizes = sizesOf(value);
      const candidates = windowsOf(sizes).map((places) => candidatesOf(places, input));
      return membersOf(sizes, candidates).map((windows) =>
        withEitherZero(sum(windows.map((window) => {
          const term = at(moved, window);
          return at(candidates, window).length === 1 ? term : union(term, ZERO);
        })))
      );
    },
  },
  windowSum: {
    evaluate: (value, [input = []]) =>
      windowsOf(sizesOf(value)).map((places) => places.reduce((total, place) => total + at(input, place), 0)),
    enclose: (value, [input = []]) =>
      windowsOf(sizesOf(value)).map((places) => withEitherZero(sum(places.map((place) => at(input, place))))),
  },
  windowSpread: {
    evaluate(value, [input = []]) {
      const sizes = sizesOf(value);
      return membersOf(sizes, windowsOf(sizes)).map((windows) =>
        windows.reduce((total, window) => total + at(input, window), 0)
      );
    },
    enclose(value, [input = []]) {
      const sizes = sizesOf(value);
      return membersOf(sizes, windowsOf(sizes)).map((windows) =>
        withEitherZero(sum(windows.map((window) => at(input, window))))
      );
    },
  },
  maxPool2d: {
    use: (maker) =>
      maxPool2d(leafLike(maker, [1, 2, 4, 5]), [2, 3], {
        stride: maker.random.pick([1, 2]),
        padding: maker.random.pick([[0, 0], [1, 1]] as const),
        ceilMode: maker.random.chance(0.5),
      }),
    cases: [
      opCase("OP-04 maxPool2d", [f32([2, 3, 5, 6])], (a) => maxPool2d(a, 2)),
      opCase(
        "OP-04 maxPool2d of overlapping windows with padding and gaps",
        [f32([1, 2, 7, 8])],
        (a) => maxPool2d(a, [3, 2], { stride: [1, 3], padding: [1, 0], dilation: [1, 2], ceilMode: true }),
      ),
    ],
  },
  maxPool1d: {
    use: (maker) => maxPool1d(leafLike(maker, [2, 1, 7]), 3, { stride: maker.random.pick([1, 2, 3]) }),
    cases: [opCase("OP-04 maxPool1d", [f32([2, 3, 9])], (a) => maxPool1d(a, 4, { stride: 2, padding: 1 }))],
  },
  avgPool2d: {
    use: (maker) =>
      avgPool2d(leafLike(maker, [1, 2, 4, 5]), 2, {
        stride: maker.random.pick([1, 2]),
        padding: maker.random.pick([0, 1]),
        countIncludePad: maker.random.chance(0.5),
        ceilMode: maker.random.chance(0.5),
      }),
    cases: [
      opCase("OP-04 avgPool2d", [f32([2, 3, 4, 6])], (a) => avgPool2d(a, [2, 3])),
      opCase(
        "OP-04 avgPool2d of overlapping windows with padding",
        [f32([1, 2, 6, 7])],
        (a) => avgPool2d(a, 3, { stride: 2, padding: 1, ceilMode: true, countIncludePad: false }),
      ),
    ],
  },
  avgPool1d: {
    use: (maker) => avgPool1d(leafLike(maker, [2, 1, 7]), 3, { padding: maker.random.pick([0, 1]) }),
    cases: [opCase("OP-04 avgPool1d", [f32([2, 3, 9])], (a) => avgPool1d(a, 4, { stride: 2, padding: 1 }))],
  },
  upsample: {
    use: (maker) =>
      upsample(leafLike(maker, [1, 2, 3, 2]), {
        scale: maker.random.pick([1, 2, 3]),
        mode: maker.random.pick(["nearest", "bilinear"] as const),
      }),
    cases: [
      opCase("OP-04 upsample", [f32([2, 1, 3, 2])], (a) => upsample(a, { scale: [2, 3] })),
      opCase(
        "OP-04 upsample by interpolation",
        [f32([2, 1, 3, 4])],
        (a) => upsample(a, { scale: [3, 2], mode: "bilinear" }),
      ),
    ],
  },
};
