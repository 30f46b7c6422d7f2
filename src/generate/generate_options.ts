import { checkOptions, type OptionNames } from "../base/options/options.ts";
import { checkedSeed, type Seed } from "../data/seed.ts";

/** Options of `generate`. */
export interface GenerateOptions {
  /** How many tokens are made at most. Default 256. */
  readonly maxTokens?: number | undefined;
  /**
   * What the scores are divided by before a token is drawn: below 1 likely tokens become likelier. 0 is greedy: always
   * the token with the highest score, the first of equal ones. Default 1.
   */
  readonly temperature?: number | undefined;
  /** Only so many tokens with the highest scores are drawn from. Default: all. */
  readonly topK?: number | undefined;
  /**
   * Of those, only as many as have this share of the probability together, the likeliest first (nucleus sampling,
   * Holtzman and others 2020). Above 0, at most 1, the default.
   */
  readonly topP?: number | undefined;
  /** The same seed gives the same text, with the same weights on the same adapter. Default 0. */
  readonly seed?: Seed | undefined;
  /** Tokens that end the text. They are not part of it. Default: none. */
  readonly stop?: number | readonly number[] | undefined;
  /** Ends the text between two tokens: the iteration throws the signal's reason. */
  readonly signal?: AbortSignal | undefined;
  /** How many positions the model is given at most. Default: as many as its `learnedPositions` has, else any number. */
  readonly contextLength?: number | undefined;
  /**
   * What happens when the text is as long as that. `"slide"`: the model goes on with the last half of the text as its
   * beginning. `"end"`: the text ends. Default `"slide"`.
   */
  readonly whenFull?: "slide" | "end" | undefined;
  /**
   * Whether keys, values and states of the positions before are kept. `false` computes the whole text again for each
   * token, which is far slower: for comparison, and for causal models that cannot be given one position after the
   * other. Default true.
   */
  readonly cache?: boolean | undefined;
}

/** Every option of {@link GenerateOptions}. */
export const GENERATE_OPTIONS: OptionNames<GenerateOptions> = {
  maxTokens: true,
  temperature: true,
  topK: true,
  topP: true,
  seed: true,
  stop: true,
  signal: true,
  contextLength: true,
  whenFull: true,
  cache: true,
};

/** {@link GenerateOptions} with its defaults, checked. */
export interface GenerateSettings {
  readonly maxTokens: number;
  readonly temperature: number;
  readonly topK: number;
  readonly topP: number;
  readonly seed: Seed;
  readonly stop: ReadonlySet<number>;
  readonly signal: AbortSignal | undefined;
  readonly contextLength: number | undefined;
  readonly whenFull: "slide" | "end";
  readonly cache: boolean;
}

/** @throws TypeError for an option that there is not; RangeError for a value that it cannot have. */
export function generateSettings(of: string, options: GenerateOptions): GenerateSettings {
  checkOptions(of, options, GENERATE_OPTIONS, "{ maxTokens: 100, temperature: 0.8 }");
  const { maxTokens = 256, temperature = 1, topK = Infinity, topP = 1, seed = 0, stop = [] } = options;
  const { contextLength, whenFull = "slide", cache = true, signal } = options;
  const isCount = (value: number): boolean => Number.isSafeInteger(value) && value >= 1;
  if (maxTokens !== 0 && !isCount(maxTokens)) {
    throw new RangeError(`${of}: maxTokens is a whole number from 0 on, found ${maxTokens}`);
  }
  if (!(temperature >= 0 && temperature < Infinity)) {
    throw new RangeError(`${of}: temperature is a number from 0 on, found ${temperature}`);
  }
  if (topK !== Infinity && !isCount(topK)) {
    throw new RangeError(`${of}: topK is a whole number from 1 on, found ${topK}`);
  }
  if (!(topP > 0 && topP <= 1)) {
    throw new RangeError(`${of}: topP is a number above 0 and at most 1, found ${topP}`);
  }
  if (contextLength !== undefined && !(isCount(contextLength) && contextLength >= 2)) {
    throw new RangeError(`${of}: contextLength is a whole number from 2 on, found ${contextLength}`);
  }
  if (whenFull !== "slide" && whenFull !== "end") {
    throw new TypeError(`${of}: whenFull is "slide" or "end", found ${JSON.stringify(whenFull)}`);
  }
  return {
    maxTokens,
    temperature,
    topK,
    topP,
    seed: checkedSeed(seed),
    stop: new Set(typeof stop === "number" ? [stop] : stop),
    signal,
    contextLength,
    whenFull,
    cache,
  };
}
