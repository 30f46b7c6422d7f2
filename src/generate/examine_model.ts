import { isResultOf, layerOf } from "../graph/create_value.ts";
import { indexLimits } from "../graph/index_limits.ts";
import { input, numberOp } from "../graph/ops/sources.ts";
import { type SequenceFound, sequenceOf } from "../graph/sequence/sequence_places.ts";
import { reachable, type Value } from "../graph/value.ts";
import { isValue, type Values } from "../graph/values.ts";
import { DecodingCache } from "../nn/decoding_cache.ts";
import { formatShape } from "../tensor/shape.ts";
import type { TokenModel } from "./token_source.ts";

/** What is known of a model that gives a score for each token that may be next. */
export interface LanguageModel {
  /** What every token that it is given is below. */
  readonly below: number;
  /** How many positions it has at most. */
  readonly mostPositions: number;
}

/** Positions of the two traces that are compared. */
const COUNTS = [3, 2] as const;
const BATCH = 2;

/**
 * What the model is, where it may be given one position after the other.
 *
 * @throws TypeError that names the layer and the op by which it looks at other positions than a cache knows of, or what
 * else it is not.
 */
export function examineDecoding(modelFor: () => TokenModel): LanguageModel {
  const [traced, shorter] = COUNTS.map((count) => {
    const cache = new DecodingCache(count, 2 * count);
    try {
      return { cache, ...modelFor().traceDecoding(input("inputs", "u32", [BATCH, count]), cache) };
    } catch (cause) {
      if (!(cause instanceof TypeError || cause instanceof RangeError)) throw cause;
      throw new TypeError(
        `${REFUSAL}: it cannot be called for any number of positions: ${cause.message}. ${ADVICE}`,
        {
          cause,
        },
      );
    }
  });
  if (traced === undefined || shorter === undefined) throw new TypeError("Nothing was traced");
  const { cache, input: tokens } = traced;
  const output = requireOne(traced.output);
  const question = {
    count: COUNTS[0],
    inputs: new Map([[tokens, 1], [cache.positions, 0]]),
    isWhole: false,
    continued: cache.continued,
  };
  for (const root of [output, ...cache.rows.map(({ rows }) => rows)]) {
    const found = sequenceOf(root, question);
    if (found.kind === "mixed") throw new TypeError(`${REFUSAL}: ${reasonOf(found.by)}. ${ADVICE}`);
  }
  requireSameNumbers(output, shorter.output);
  requireScores(output, sequenceOf(output, question), COUNTS[0]);
  return { below: belowOf(output, tokens), mostPositions: cache.mostPositions };
}

/**
 * What `model`, whose input has `length` positions, is where it is given the whole text for each token, filled up
 * behind its end.
 *
 * @throws TypeError as {@link examineDecoding}.
 */
export function examineWhole(model: TokenModel, length: number): LanguageModel {
  const { input: tokens, ...traced } = model.trace(BATCH, false);
  const output = requireOne(traced.output);
  const found = sequenceOf(output, { count: length, inputs: new Map([[tokens, 1]]), isWhole: true });
  if (found.kind === "mixed") {
    throw new TypeError(`generate() needs a causal model: ${reasonOf(found.by)}`);
  }
  if (found.kind !== "each") throw noScores(output, "for each position");
  requireScores(output, found, length);
  return { below: belowOf(output, tokens), mostPositions: length };
}

const REFUSAL = "generate() cannot give the model one position after the other";
const ADVICE = "{ cache: false } computes the whole text for each token, where the model is causal";

function reasonOf(by: Value): string {
  const layer = layerOf(by);
  const place = layer === undefined ? "" : ` in layer "${layer}"`;
  const causal = by.op === "attention" ? ", since it is not causal: true, or has a mask" : "";
  return `${by.op} ${formatShape(by.shape)}${place} depends on other positions${causal}`;
}

/** A TypeError unless the output has scores for the next token. */
function requireScores(output: Value, found: SequenceFound, count: number): void {
  const { dtype, shape } = output;
  const isEach = found.kind === "each" && shape.length === 3 && shape[1] === count && found.place.axis === 1;
  const isLast = found.kind === "last" && shape.length === 2;
  if (dtype !== "f32" || shape[0] !== BATCH || shape.at(-1) === 0 || !(isEach || isLast)) {
    throw noScores(output, "or [batch, tokens] for the last");
  }
}

function requireOne(output: Values): Value {
  if (isValue(output)) return output;
  throw new TypeError(`generate() needs a model with one output, found ${Object.keys(output).join(", ")}`);
}

function noScores({ dtype, shape }: Value, which: string): TypeError {
  return new TypeError(
    `generate() needs a model of token numbers [batch, positions] that gives a score for each token that may be ` +
      `next, f32 [batch, positions, tokens] ${which}; found ${dtype} ${formatShape(shape)}`,
  );
}

function belowOf(output: Value, tokens: Value): number {
  const { name } = tokens.attributes;
  return typeof name === "string" ? indexLimits([output]).get(name)?.below ?? Infinity : Infinity;
}

/** Numbers in the model's formulas that go by the number of positions would be others for one position. */
function requireSameNumbers(output: Value, shorter: Value): void {
  const [numbers, others] = [output, shorter].map((root) =>
    reachable([root]).filter((value) => isResultOf(numberOp, value))
  );
  const differing = numbers?.find((value, index) =>
    !Object.is(value.attributes["value"], others?.[index]?.attributes["value"])
  );
  if (differing === undefined && numbers?.length === others?.length) return;
  const layer = differing === undefined ? undefined : layerOf(differing);
  throw new TypeError(
    `${REFUSAL}: a number in ${
      layer === undefined ? "the model" : `layer "${layer}"`
    } depends on how many there are. ` +
      ADVICE,
  );
}
