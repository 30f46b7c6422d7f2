import { conv1d, conv2d, convTranspose2d } from "../../../../src/graph/ops/spatial/convolution.ts";
import type { Value } from "../../../../src/graph/value.ts";
import type { ConvolutionSizes } from "../../../../src/kernels/conv/convolution_sizes.ts";
import { type Enclosure, exactly, product, sum, union } from "../../../helpers/enclosure.ts";
import { f32, opCase } from "../../op_case.ts";
import { at } from "../elements.ts";
import type { OpTwin, OpTwins } from "../op_twin.ts";
import { leafLike } from "./leaves.ts";

/** Which elements of input, weights and output belong to one product. `input` is undefined in the padding. */
type Visit = (input: number | undefined, weight: number, output: number) => void;

/** Every product of a convolution, by its definition. */
function eachProduct(sizes: ConvolutionSizes, visit: Visit): void {
  const { batch, inChannels, outChannels, groups, input, kernel, output, stride, dilation, padding } = sizes;
  const [groupIn, groupOut] = [inChannels / groups, outChannels / groups];
  const ranges = [batch, outChannels, output[0], output[1], groupIn, kernel[0], kernel[1]];
  const count = ranges.reduce((all, size) => all * size, 1);
  for (let index = 0; index < count; index++) {
    let rest = index;
    const [kx = 0, ky = 0, c = 0, x = 0, y = 0, o = 0, n = 0] = ranges.toReversed().map((size) => {
      const digit = rest % size;
      rest = Math.floor(rest / size);
      return digit;
    });
    const iy = y * stride[0] + ky * dilation[0] - padding[0];
    const ix = x * stride[1] + kx * dilation[1] - padding[1];
    const isInside = iy >= 0 && iy < input[0] && ix >= 0 && ix < input[1];
    const channel = Math.floor(o / groupOut) * groupIn + c;
    visit(
      isInside ? ((n * inChannels + channel) * input[0] + iy) * input[1] + ix : undefined,
      ((o * groupIn + c) * kernel[0] + ky) * kernel[1] + kx,
      ((n * outChannels + o) * output[0] + y) * output[1] + x,
    );
  }
}

/** Which of the three is the result, the first and the second factor. */
type Roles = readonly [result: 0 | 1 | 2, first: 0 | 1 | 2, second: 0 | 1 | 2];

function twinOf([result, first, second]: Roles): Pick<OpTwin, "evaluate" | "enclose"> {
  /** Pairs of factors by element of the result. `undefined` stands for a zero of the padding. */
  function pairsOf(value: Value): [a: number | undefined, b: number | undefined][][] {
    const { sizes } = value.attributes as { sizes: ConvolutionSizes };
    const count = value.shape.reduce((all, size) => all * size, 1);
    const pairs: [number | undefined, number | undefined][][] = Array.from({ length: count }, () => []);
    eachProduct(sizes, (...places) => {
      const to = places[result];
      if (to !== undefined) pairs[to]?.push([places[first], places[second]]);
    });
    return pairs;
  }
  const elementOr = <T>(elements: ArrayLike<T>, index: number | undefined, zero: T): T =>
    index === undefined ? zero : at(elements, index);
  const zero = exactly(0);
  return {
    evaluate(value, inputs) {
      const [a, b] = [at(inputs, 0), at(inputs, 1)];
      return pairsOf(value).map((pairs) =>
        pairs.reduce((total, [i, j]) => total + elementOr(a, i, 0) * elementOr(b, j, 0), 0)
      );
    },
    enclose(value, inputs) {
      const [a, b] = [at(inputs, 0), at(inputs, 1)];
      // A kernel may multiply any weight with a zero around or between the output's gradients.
      const zeros: Enclosure[] = result === 0 ? a.map((weight) => product(zero, weight)) : [];
      return pairsOf(value).map((pairs) => {
        const terms = pairs.map(([i, j]) => product(elementOr(a, i, zero), elementOr(b, j, zero)));
        const exact = sum(terms, true);
        return zeros.length === 0 ? exact : union(exact, sum([...terms, ...zeros], true));
      });
    },
  };
}

/** Twins of `src/graph/ops/spatial/convolution.ts`. */
export const convolutionTwins: OpTwins = {
  convolution: twinOf([2, 0, 1]),
  convolutionInputGradient: twinOf([0, 1, 2]),
  convolutionWeightGradient: twinOf([1, 0, 2]),
  conv2d: {
    use(maker) {
      const { random } = maker;
      const groups = random.pick([1, 1, 2]);
      const [inEach, outEach] = [random.pick([1, 2]), random.pick([1, 3])];
      const input = leafLike(maker, [random.pick([1, 2]), inEach * groups, 4, 5]);
      const weight = maker.leaf("f32", [outEach * groups, inEach, 3, 2]);
      return conv2d(input, weight, {
        stride: random.pick([1, 2]),
        padding: random.pick(["same", "valid", 1] as const),
        groups,
      });
    },
    cases: [
      opCase("OP-03 conv2d", [f32([2, 3, 5, 6]), f32([4, 3, 3, 3])], (a, b) => conv2d(a, b)),
      opCase(
        "OP-03 conv2d with stride, dilation and uneven padding",
        [f32([1, 2, 7, 6]), f32([3, 2, 3, 2])],
        (a, b) => conv2d(a, b, { stride: [2, 1], dilation: [1, 2], padding: [[0, 1], [2, 1]] }),
      ),
      opCase(
        "OP-03 conv2d of the same size",
        [f32([1, 1, 4, 9]), f32([2, 1, 3, 4])],
        (a, b) => conv2d(a, b, { padding: "same" }),
      ),
      opCase(
        "OP-03 conv2d in groups",
        [f32([1, 4, 3, 4]), f32([6, 2, 2, 2])],
        (a, b) => conv2d(a, b, { groups: 2, padding: 1 }),
      ),
      opCase(
        "OP-03 conv2d by depth",
        [f32([2, 3, 4, 4]), f32([3, 1, 3, 3])],
        (a, b) => conv2d(a, b, { groups: 3, padding: 1, stride: 2 }),
      ),
    ],
  },
  conv1d: {
    use: (maker) =>
      conv1d(leafLike(maker, [1, 2, 7]), maker.leaf("f32", [3, 2, 3]), {
        padding: maker.random.pick([0, 1]),
      }),
    cases: [
      opCase(
        "OP-03 conv1d",
        [f32([2, 3, 11]), f32([2, 3, 4])],
        (a, b) => conv1d(a, b, { stride: 2, padding: [2, 1], dilation: 2 }),
      ),
    ],
  },
  convTranspose2d: {
    use: (maker) =>
      convTranspose2d(leafLike(maker, [1, 2, 3, 2]), maker.leaf("f32", [2, 1, 2, 2]), {
        stride: maker.random.pick([1, 2]),
      }),
    cases: [
      opCase(
        "OP-03 convTranspose2d",
        [f32([2, 3, 3, 2]), f32([3, 2, 3, 3])],
        (a, b) => convTranspose2d(a, b, { stride: 2, padding: 1, outputPadding: 1 }),
      ),
      opCase(
        "OP-03 convTranspose2d in groups",
        [f32([1, 4, 2, 3]), f32([4, 1, 2, 2])],
        (a, b) => convTranspose2d(a, b, { groups: 2, dilation: 2 }),
      ),
    ],
  },
};
