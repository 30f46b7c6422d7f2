import { attention, type AttentionAttributes } from "../../../../src/graph/ops/attention/attention.ts";
import { constant } from "../../../../src/graph/ops/sources.ts";
import type { Value } from "../../../../src/graph/value.ts";
import { HostTensor } from "../../../../src/tensor/host_tensor.ts";
import { ANYTHING, between, type Enclosure } from "../../../helpers/enclosure.ts";
import { f32, opCase, u32 } from "../../op_case.ts";
import { at } from "../elements.ts";
import type { Enclosures, OpTwin, OpTwins } from "../op_twin.ts";
import { leafLike } from "../spatial/leaves.ts";

/** Elements and, beside each, the sum of the magnitudes that it was added up from. */
interface Computed {
  readonly elements: number[];
  readonly magnitudes: number[];
}

type Compute = (value: Value, inputs: readonly ArrayLike<number>[]) => Computed;

function attentionOf(value: Value): AttentionAttributes {
  return value.attributes as AttentionAttributes;
}

/** The scores of one query; -Infinity for a key that it does not see. */
function scoresOf(
  value: Value,
  inputs: readonly ArrayLike<number>[],
  batch: number,
  head: number,
  query: number,
) {
  const { sizes: { heads, keyHeads, queries, keys, width }, manner, numbers } = attentionOf(value);
  const mask = at(inputs, inputs.length - 1);
  const [ofBatch, ofHead, ofQuery, ofKey] = numbers.maskStrides;
  const ownRow = (batch * heads + head) * queries + query;
  const keyHead = batch * keyHeads + Math.floor(head / (heads / keyHeads));
  return Array.from({ length: keys }, (_, key) => {
    let dot = 0;
    for (let w = 0; w < width; w++) {
      dot += at(at(inputs, 0), ownRow * width + w) * at(at(inputs, 1), (keyHead * keys + key) * width + w);
    }
    const place = batch * ofBatch + head * ofHead + query * ofQuery + key * ofKey;
    const isHidden = manner.isCausal && key > query || manner.mask === "shown" && at(mask, place) === 0;
    const score = dot * numbers.scale + (manner.mask === "added" ? at(mask, place) : 0);
    return isHidden ? -Infinity : score;
  });
}

function logSumOf(scores: readonly number[]): number {
  const largest = scores.reduce((most, score) => Math.max(most, score), -Infinity);
  if (largest === -Infinity) return 0;
  return largest + Math.log(scores.reduce((sum, score) => sum + Math.exp(score - largest), 0));
}

/** Visits each query with its scores. */
function eachQuery(
  value: Value,
  inputs: readonly ArrayLike<number>[],
  visit: (row: number, keyHead: number, scores: readonly number[]) => void,
): void {
  const { batch, heads, keyHeads, queries } = attentionOf(value).sizes;
  for (let b = 0; b < batch; b++) {
    for (let h = 0; h < heads; h++) {
      for (let q = 0; q < queries; q++) {
        const keyHead = b * keyHeads + Math.floor(h / (heads / keyHeads));
        visit((b * heads + h) * queries + q, keyHead, scoresOf(value, inputs, b, h, q));
      }
    }
  }
}

function zeros(count: number): Computed {
  return { elements: Array<number>(count).fill(0), magnitudes: Array<number>(count).fill(0) };
}

function add(to: Computed, index: number, term: number): void {
  to.elements[index] = at(to.elements, index) + term;
  to.magnitudes[index] = at(to.magnitudes, index) + Math.abs(term);
}

const forward: Compute = (value, inputs) => {
  const { batch, heads, queries, keys, valueWidth } = attentionOf(value).sizes;
  const out = zeros(batch * heads * queries * valueWidth);
  eachQuery(value, inputs, (row, keyHead, scores) => {
    const logSum = logSumOf(scores);
    scores.forEach((score, key) => {
      if (score === -Infinity) return;
      for (let w = 0; w < valueWidth; w++) {
        const element = at(at(inputs, 2), (keyHead * keys + key) * valueWidth + w);
        add(out, row * valueWidth + w, Math.exp(score - logSum) * element);
      }
    });
  });
  return out;
};

/** The operands of a gradient: queries, keys, values, the output's gradient, logarithms of sums, products. */
function gradientOf(which: "queries" | "keys" | "values"): Compute {
  return (value, inputs) => {
    const { sizes: { batch, heads, keyHeads, queries, keys, width, valueWidth }, numbers } = attentionOf(
      value,
    );
    const [q, k, v, g, logSums, products] = [0, 1, 2, 3, 4, 5].map((index) => at(inputs, index)) as [
      ArrayLike<number>,
      ArrayLike<number>,
      ArrayLike<number>,
      ArrayLike<number>,
      ArrayLike<number>,
      ArrayLike<number>,
    ];
    const count = {
      queries: batch * heads * queries * width,
      keys: batch * keyHeads * keys * width,
      values: batch * keyHeads * keys * valueWidth,
    }[which];
    const out = zeros(count);
    eachQuery(value, inputs, (row, keyHead, scores) => {
      scores.forEach((score, key) => {
        if (score === -Infinity) return;
        const keyRow = keyHead * keys + key;
        const weight = Math.exp(score - at(logSums, row));
        let ofWeight = 0;
        for (let w = 0; w < valueWidth; w++) {
          ofWeight += at(g, row * valueWidth + w) * at(v, keyRow * valueWidth + w);
          if (which === "values") add(out, keyRow * valueWidth + w, weight * at(g, row * valueWidth + w));
        }
        // The difference may be far smaller than what it is the difference of.
        const scale = weight * numbers.scale;
        const size = scale * (Math.abs(ofWeight) + Math.abs(at(products, row)));
        for (let w = 0; w < width && which !== "values"; w++) {
          const [to, from] = which === "queries"
            ? [row * width + w, at(k, keyRow * width + w)]
            : [keyRow * width + w, at(q, row * width + w)];
          add(out, to, scale * (ofWeight - at(products, row)) * from);
          out.magnitudes[to] = at(out.magnitudes, to) + size * Math.abs(from);
        }
      });
    });
    return out;
  };
}

/** Bounds are for elements that are known well, of an ordinary size; of others nothing is said. */
function twinOf(compute: Compute): OpTwin {
  return {
    evaluate: (value, inputs) => compute(value, inputs).elements,
    enclose: (value, inputs) => {
      const numbers = inputs.map((elements) => elements.map(middleOf));
      const count = value.shape.reduce((all, size) => all * size, 1);
      const isOrdinary = numbers.every((elements) => elements.every((x) => Math.abs(x) < 50));
      if (!isOrdinary) return Array<Enclosure>(count).fill(ANYTHING);
      const { elements, magnitudes } = compute(value, numbers);
      return elements.map((element, index) => {
        const error = 1e-3 * at(magnitudes, index) + 1e-30;
        return between(element - error, element + error);
      });
    },
  };
}

/** NaN for what is not known to four digits. */
function middleOf({ lo, hi, nan }: Enclosure): number {
  const middle = (lo + hi) / 2;
  return !nan && hi - lo <= 1e-4 * Math.abs(middle) + 1e-30 ? middle : NaN;
}

const logSumsTwin: OpTwin = {
  evaluate: (value, [, ...inputs]) => {
    const sums: number[] = [];
    eachQuery(value, inputs, (row, _, scores) => {
      sums[row] = logSumOf(scores);
    });
    return sums;
  },
  enclose: (value, [, ...inputs]): Enclosures => {
    const numbers = inputs.map((elements) => elements.map(middleOf));
    const isOrdinary = numbers.every((elements) => elements.every((x) => Math.abs(x) < 50));
    const count = value.shape.reduce((all, size) => all * size, 1);
    if (!isOrdinary) return Array<Enclosure>(count).fill(ANYTHING);
    const sums: Enclosure[] = [];
    eachQuery(value, numbers, (row, _, scores) => {
      const sum = logSumOf(scores);
      const most = Math.max(1, ...scores.filter(Number.isFinite).map(Math.abs));
      sums[row] = between(sum - 1e-5 * most, sum + 1e-5 * most);
    });
    return sums;
  },
};

/** Twins of `src/graph/ops/attention/attention.ts`. */
export const attentionTwins: OpTwins = {
  attention: {
    ...twinOf(forward),
    use: (maker) => {
      const [heads, keyHeads] = maker.random.pick([[2, 2], [2, 1]] as const);
      const leaf = (width: number): Value => maker.leaf("f32", [1, keyHeads, 6, width]);
      // Gradients are of the first leaves.
      const first = maker.random.chance(0.5) ? leaf(4) : undefined;
      const queries = leafLike(maker, [1, heads, 5, 3]);
      const [keys, values] = [leaf(3), first ?? leaf(4)];
      return attention(queries, keys, values, { causal: maker.random.chance(0.5) });
    },
    cases: [
      opCase(
        "OP-09 attention",
        [f32([2, 3, 5, 4]), f32([2, 3, 7, 4]), f32([2, 3, 7, 6])],
        (q, k, v) => attention(q, k, v),
      ),
      opCase(
        "OP-09 causal attention of grouped queries",
        [f32([1, 4, 7, 3]), f32([1, 2, 7, 3]), f32([1, 2, 7, 3])],
        (q, k, v) => attention(q, k, v, { causal: true, scale: 0.7 }),
      ),
      {
        name: "OP-09 attention with a mask that hides keys",
        operands: [f32([2, 2, 3, 4]), f32([2, 2, 5, 4]), f32([2, 2, 5, 4]), u32([2, 1, 1, 5], 2)],
        build: ([q, k, v, mask]) => attention(known(q), known(k), known(v), { mask: known(mask) }),
      },
      {
        name: "OP-09 attention with a mask that is added",
        operands: [f32([1, 2, 3, 4]), f32([1, 2, 5, 4]), f32([1, 2, 5, 4])],
        build: ([q, k, v]) => attention(known(q), known(k), known(v), { mask: known(biasOf(3, 5)) }),
      },
    ],
  },
  attentionLogSums: logSumsTwin,
  attentionQueryGradient: twinOf(gradientOf("queries")),
  attentionKeyGradient: twinOf(gradientOf("keys")),
  attentionValueGradient: {
    evaluate: (value, [, ...inputs]) => gradientOf("values")(value, inputs).elements,
    enclose: (value, [, ...inputs], environment) =>
      twinOf(gradientOf("values")).enclose?.(value, inputs, environment) ?? [],
  },
};

function known(value: Value | undefined): Value {
  if (value === undefined) throw new Error("An operand is missing");
  return value;
}

/** What is added to the scores of `queries` and `keys`. */
function biasOf(queries: number, keys: number): Value {
  const numbers = Array.from(
    { length: queries * keys },
    (_, index) => index % 4 === 3 ? -Infinity : index / 8,
  );
  return constant(HostTensor.from(numbers, [queries, keys], "f32"));
}
