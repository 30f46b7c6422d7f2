import type { RowNormAttributes } from "../../../../src/graph/ops/norm/row_norm_ops.ts";
import { groupNorm, layerNorm, rmsNorm } from "../../../../src/graph/ops/norm/row_norms.ts";
import type { ChannelSumsSizes } from "../../../../src/kernels/norm/channel_sums.ts";
import { rotaryEmbedding } from "../../../../src/graph/ops/norm/rotary_embedding.ts";
import type { Value } from "../../../../src/graph/value.ts";
import { ANYTHING, between, type Enclosure, sum } from "../../../helpers/enclosure.ts";
import type { GraphMaker } from "../../../faults/numerics/graph_maker.ts";
import { f32, opCase } from "../../op_case.ts";
import { at } from "../elements.ts";
import type { OpTwin, OpTwins } from "../op_twin.ts";
import { leafLike } from "../spatial/leaves.ts";

/** Elements and, beside each, how far off they may be where every input is known to four digits. */
export interface Computed {
  readonly elements: number[];
  readonly errors: number[];
}

type Compute = (value: Value, inputs: readonly ArrayLike<number>[]) => Computed;

/** NaN for what is not known to four digits. */
export function middleOf({ lo, hi, nan }: Enclosure): number {
  const middle = (lo + hi) / 2;
  return !nan && hi - lo <= 1e-4 * Math.abs(middle) + 1e-30 ? middle : NaN;
}

/** Bounds are for elements that are known well, of an ordinary size; of others nothing is said. */
export function twinOf(compute: Compute): OpTwin {
  return {
    evaluate: (value, inputs) => compute(value, inputs).elements,
    enclose: (value, inputs) => {
      const { elements, errors } = compute(value, inputs.map((each) => each.map(middleOf)));
      return elements.map((element, index) => {
        const error = at(errors, index);
        const isKnown = Number.isFinite(element) && error < 1e6;
        return isKnown ? between(element - error - 1e-30, element + error + 1e-30) : ANYTHING;
      });
    },
  };
}

function attributesOf(value: Value): RowNormAttributes {
  return value.attributes as RowNormAttributes;
}

function lengthOf({ channels, groups, inner }: RowNormAttributes): number {
  return channels / groups * inner;
}

/** The channel of an element. */
function channelOf({ channels, inner }: { channels: number; inner: number }, index: number): number {
  return Math.floor(index / inner) % channels;
}

/** Mean and scale of each row, and how far off their elements are, once normalised. */
function statisticsOf(attributes: RowNormAttributes, x: ArrayLike<number>) {
  const length = lengthOf(attributes);
  return Array.from({ length: attributes.batch * attributes.groups }, (_, row) => {
    const elements = Array.from({ length }, (_, place) => at(x, row * length + place));
    const mean = attributes.isCentred ? elements.reduce((total, each) => total + each, 0) / length : 0;
    const variance = elements.reduce((total, each) => total + (each - mean) ** 2, 0) / length;
    const scale = 1 / Math.sqrt(variance + attributes.epsilon);
    const most = elements.reduce((largest, each) => Math.max(largest, Math.abs(each)), 0);
    // By which part of itself the scale may be off: beyond a tenth nothing is known.
    const part = scale * most * 1e-3;
    return { mean, scale, most, part: part < 0.1 && most < 1e15 ? part : Infinity };
  });
}

const forward: Compute = (value, inputs) => {
  const attributes = attributesOf(value);
  const { hasWeight, hasBias } = attributes;
  const x = at(inputs, 0);
  const length = lengthOf(attributes);
  const rows = statisticsOf(attributes, x);
  const errors: number[] = [];
  const elements = Array.from(x, (element, index) => {
    const { mean, scale, part } = at(rows, Math.floor(index / length));
    const channel = channelOf(attributes, index);
    const weight = hasWeight ? at(at(inputs, 1), channel) : 1;
    const bias = hasBias ? at(at(inputs, hasWeight ? 2 : 1), channel) : 0;
    const normal = (element - mean) * scale;
    errors[index] = Math.abs(weight) * (part + (part + 1e-3) * Math.abs(normal)) + 1e-3 * Math.abs(bias);
    return normal * weight + bias;
  });
  return { elements, errors };
};

const statistics: Compute = (value, [, x = []]) => {
  const rows = statisticsOf(attributesOf(value), x);
  return {
    elements: [...rows.map(({ mean }) => mean), ...rows.map(({ scale }) => scale)],
    errors: [...rows.map(({ most }) => 1e-3 * most), ...rows.map(({ scale, part }) => scale * (part + 1e-4))],
  };
};

/** Operands: the input, the result's gradient, means and scales, the weight. */
const inputGradient: Compute = (value, inputs) => {
  const attributes = attributesOf(value);
  const { batch, groups, isCentred, hasWeight } = attributes;
  const length = lengthOf(attributes);
  const [x, outGrad, known] = [at(inputs, 0), at(inputs, 1), at(inputs, 2)];
  const elements: number[] = [];
  const errors: number[] = [];
  for (let row = 0; row < batch * groups; row++) {
    const [mean, scale] = [at(known, row), at(known, batch * groups + row)];
    const places = Array.from({ length }, (_, place) => row * length + place);
    const slopes = places.map((index) =>
      at(outGrad, index) * (hasWeight ? at(at(inputs, 3), channelOf(attributes, index)) : 1)
    );
    const normals = places.map((index) => (at(x, index) - mean) * scale);
    const meanOf = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0) / length;
    const level = isCentred ? meanOf(slopes) : 0;
    const along = meanOf(slopes.map((slope, place) => slope * at(normals, place)));
    const mostSlope = Math.max(...slopes.map(Math.abs));
    const mostNormal = Math.max(...places.map((index) => (Math.abs(at(x, index)) + Math.abs(mean)) * scale));
    places.forEach((index, place) => {
      elements[index] = (at(slopes, place) - level - at(normals, place) * along) * scale;
      errors[index] = 1e-3 * scale * mostSlope * (3 + 3 * mostNormal ** 2);
    });
  }
  return { elements, errors };
};

/** Operands: the input, the gradient, means and scales. */
const weightGradient: Compute = (value, inputs) => {
  const { batch, channels, inner, rowsOfExample, channelsOfRow, rows } = value.attributes as ChannelSumsSizes;
  const [x, outGrad, known] = [at(inputs, 0), at(inputs, 1), at(inputs, 2)];
  const elements = Array<number>(channels).fill(0);
  const errors = Array<number>(channels).fill(0);
  for (let index = 0; index < batch * channels * inner; index++) {
    const channel = channelOf({ channels, inner }, index);
    const row = Math.floor(index / (channels * inner)) * rowsOfExample + Math.floor(channel / channelsOfRow);
    const [mean, scale] = [at(known, row), at(known, rows + row)];
    elements[channel] = at(elements, channel) + at(outGrad, index) * (at(x, index) - mean) * scale;
    errors[channel] = at(errors, channel) +
      1e-3 * Math.abs(at(outGrad, index)) * (Math.abs(at(x, index)) + Math.abs(mean)) * Math.abs(scale);
  }
  return { elements, errors };
};

/** The elements of each channel. */
function ofChannels<T>(value: Value, elements: ArrayLike<T>): T[][] {
  const { channels, inner } = value.attributes as ChannelSumsSizes;
  const all: T[][] = Array.from({ length: channels }, () => []);
  Array.from(elements).forEach((element, index) =>
    at(all, channelOf({ channels, inner }, index)).push(element)
  );
  return all;
}

/** A value with elements, some of it weighted and moved. */
function anyNorm(maker: GraphMaker, norm: typeof layerNorm): Value {
  const value = maker.notEmpty();
  const shape = value.shape.slice(-1);
  const weight = maker.random.chance(0.6) ? leafLike(maker, shape) : undefined;
  const bias = maker.random.chance(0.4) ? leafLike(maker, shape) : undefined;
  return norm(value, { weight, bias, epsilon: maker.random.chance(0.5) ? 0.01 : undefined });
}

/** Twins of `src/graph/ops/norm/row_norms.ts` and of what its gradients are made of. */
export const rowNormsTwins: OpTwins = {
  layerNorm: {
    ...twinOf(forward),
    use: (maker) => anyNorm(maker, layerNorm),
    cases: [
      opCase(
        "OP-10 layerNorm",
        [f32([3, 5]), f32([5]), f32([5])],
        (x, weight, bias) => layerNorm(x, { weight, bias }),
      ),
      opCase(
        "OP-10 layerNorm of vectors of four",
        [f32([2, 3, 8]), f32([8]), f32([8])],
        (x, weight, bias) => layerNorm(x, { weight, bias, epsilon: 0.1 }),
      ),
      opCase(
        "OP-10 layerNorm over two axes, without a bias",
        [f32([2, 3, 2]), f32([3, 2])],
        (x, weight) => layerNorm(x, { normalizedShape: [3, 2], weight }),
      ),
      opCase(
        "OP-10 layerNorm with a bias alone",
        [f32([4, 3]), f32([3])],
        (x, bias) => layerNorm(x, { bias }),
      ),
      opCase("OP-10 layerNorm of nothing else", [f32([2, 9])], (x) => layerNorm(x)),
    ],
  },
  rmsNorm: {
    ...twinOf(forward),
    use: (maker) => anyNorm(maker, (value, { weight, epsilon } = {}) => rmsNorm(value, { weight, epsilon })),
    cases: [
      opCase("OP-10 rmsNorm", [f32([3, 5]), f32([5])], (x, weight) => rmsNorm(x, { weight })),
      opCase("OP-10 rmsNorm of vectors of four", [f32([3, 4])], (x) => rmsNorm(x, { epsilon: 0.01 })),
    ],
  },
  groupNorm: {
    ...twinOf(forward),
    use: (maker) => {
      const value = maker.f32(({ shape }) => shape.length >= 2 && !shape.includes(0));
      const channels = at(value.shape, 1);
      const weight = maker.random.chance(0.6) ? leafLike(maker, [channels]) : undefined;
      const bias = maker.random.chance(0.4) ? leafLike(maker, [channels]) : undefined;
      return groupNorm(value, maker.random.pick([1, channels]), { weight, bias });
    },
    cases: [
      opCase(
        "OP-10 groupNorm",
        [f32([2, 4, 3]), f32([4]), f32([4])],
        (x, weight, bias) => groupNorm(x, 2, { weight, bias }),
      ),
      opCase(
        "OP-10 groupNorm of planes",
        [f32([2, 6, 2, 2]), f32([6]), f32([6])],
        (x, weight, bias) => groupNorm(x, 3, { weight, bias, epsilon: 0.1 }),
      ),
      opCase(
        "OP-10 groupNorm of channels alone",
        [f32([3, 8]), f32([8])],
        (x, weight) => groupNorm(x, 2, { weight }),
      ),
    ],
  },
  normStatistics: twinOf(statistics),
  normInputGradient: twinOf(inputGradient),
  normWeightGradient: twinOf(weightGradient),
  normBiasGradient: {
    evaluate: (value, [, outGrad = []]) =>
      ofChannels(value, outGrad).map((elements) => elements.reduce((total, each) => total + each, 0)),
    enclose: (value, [, outGrad = []]) => ofChannels(value, outGrad).map((elements) => sum(elements)),
  },
  rotaryEmbedding: {
    use: (maker) => {
      const value = leafLike(maker, [maker.random.pick([1, 3]), 4]);
      return rotaryEmbedding(value, { interleaved: maker.random.chance(0.5), base: 10 });
    },
    cases: [
      opCase("OP-10 rotaryEmbedding", [f32([2, 3, 5, 6])], (x) => rotaryEmbedding(x)),
      opCase(
        "OP-10 rotaryEmbedding of neighbours",
        [f32([3, 4])],
        (x) => rotaryEmbedding(x, { interleaved: true, offset: 3, base: 100 }),
      ),
      opCase("OP-10 rotaryEmbedding of a part", [f32([2, 3, 7])], (x) => rotaryEmbedding(x, { width: 4 })),
    ],
  },
};
