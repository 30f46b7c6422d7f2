import { CairnError } from "../base/errors.ts";
import { throwIfAborted } from "../base/abort.ts";
import { KeyedWords } from "../data/keyed_words.ts";
import type { BufferRange } from "../gpu/buffer_range.ts";
import { CachedScorer } from "./cached_scorer.ts";
import { drawToken } from "./draw_token.ts";
import { examineDecoding, examineWhole, type LanguageModel } from "./examine_model.ts";
import type { GenerateSettings } from "./generate_options.ts";
import type { Scorer } from "./scorer.ts";
import type { TokenModel } from "./token_inputs.ts";
import { WholeScorer } from "./whole_scorer.ts";

/** A token that a text goes on with. */
export interface GeneratedToken {
  /** Which of the prompts it continues, from 0. */
  readonly prompt: number;
  /** The token that follows what the text has so far. */
  readonly token: number;
}

/** The number of positions of the model that decoding is traced with; it is given any number. */
const EXAMPLE_POSITIONS = 2;

/** Fewer positions save nothing worth a program of its own. */
const LEAST_ROOM = 256;

/** Random numbers of texts are used for nothing else. */
const TEXT_WORDS = 0x7e47;

/** A text that is being made. */
interface Text {
  readonly tokens: number[];
  readonly promptLength: number;
  hasEnded: boolean;
}

/** Texts of a model that goes on with what it is given. Several may be under way at once. */
export class Generations {
  readonly #modelFor: (positions: number) => TokenModel;
  readonly #weights: ((name: string) => BufferRange) | undefined;
  /** Compiled programs that no text is made with at the moment, by what they are for. */
  readonly #idle = new Map<string, Scorer[]>();
  readonly #all = new Set<Scorer>();
  readonly #models = new Map<number, TokenModel>();
  #examined: LanguageModel | undefined;
  #isClosed = false;

  /**
   * @param modelFor The model of token numbers, for so many positions.
   * @param weights Where the weights are, by their names in the model. Default: where the model has them.
   */
  constructor(modelFor: (positions: number) => TokenModel, weights?: (name: string) => BufferRange) {
    this.#modelFor = (positions) => {
      const model = this.#models.get(positions) ?? modelFor(positions);
      this.#models.set(positions, model);
      return model;
    };
    this.#weights = weights;
  }

  /** What the texts that begin with `prompts` go on with, token by token. */
  async *run(
    prompts: readonly (readonly number[])[],
    settings: GenerateSettings,
  ): AsyncGenerator<GeneratedToken, void> {
    throwIfAborted(settings.signal);
    if (prompts.length === 0) throw new RangeError("There is no prompt; give at least one");
    const longest = Math.max(...prompts.map(({ length }) => length));
    const { language, model, room, limit } = this.#prepare(longest + settings.maxTokens, settings);
    requirePrompts(prompts, limit, language.below);
    const key = `${settings.cache} ${prompts.length} ${room}`;
    const scorer = this.#idle.get(key)?.pop() ??
      await this.#compile(model, prompts.length, room, settings.cache);
    try {
      scorer.restart();
      yield* this.#texts(prompts, scorer, limit, language, settings);
    } finally {
      this.#idle.set(key, [...this.#idle.get(key) ?? [], scorer]);
    }
  }

  /** Frees what was compiled. Texts that are under way end with `closed`. */
  free(): void {
    this.#isClosed = true;
    for (const scorer of this.#all) scorer.close();
    this.#all.clear();
    this.#idle.clear();
  }

  async *#texts(
    prompts: readonly (readonly number[])[],
    scorer: Scorer,
    limit: number,
    { classes, below }: LanguageModel,
    settings: GenerateSettings,
  ): AsyncGenerator<GeneratedToken, void> {
    const { maxTokens, signal, stop, whenFull } = settings;
    const texts = prompts.map((prompt): Text => (
      { tokens: [...prompt], promptLength: prompt.length, hasEnded: maxTokens === 0 }
    ));
    const rows = texts.map(({ tokens }) => tokens);
    const words = prompts.map((_, index) => new KeyedWords(settings.seed, [TEXT_WORDS, index, 0]));
    let begin = 0;
    // All rows are at the same position: a text with a shorter prompt is on its way while others are still being read.
    for (
      let end = Math.min(...prompts.map(({ length }) => length));
      texts.some(({ hasEnded }) => !hasEnded);
      end++
    ) {
      if (end - begin > limit) {
        if (whenFull === "end") return;
        begin = end - Math.max(1, Math.floor(limit / 2));
      }
      throwIfAborted(signal);
      this.#requireOpen();
      const scores = await scorer.scoresBehind(rows, begin, end);
      throwIfAborted(signal);
      for (const [index, text] of texts.entries()) {
        if (text.hasEnded || text.tokens.length !== end) continue;
        const own = scores.subarray(index * classes, (index + 1) * classes);
        const token = drawToken(own, settings, shareOf(words[index]));
        text.hasEnded = stop.has(token);
        if (text.hasEnded) continue;
        text.tokens.push(token);
        text.hasEnded = text.tokens.length - text.promptLength === maxTokens;
        yield { prompt: index, token };
        if (!text.hasEnded) requireToken(token, below);
      }
    }
  }

  /** The model for texts of `length` tokens, how many positions there is room for, and how many it is given at most. */
  #prepare(
    length: number,
    { cache, contextLength = Infinity }: GenerateSettings,
  ): { language: LanguageModel; model: TokenModel; room: number; limit: number } {
    this.#requireOpen();
    const roomFor = (limit: number): number =>
      Math.min(limit, 2 ** Math.ceil(Math.log2(Math.max(LEAST_ROOM, length))));
    if (!cache) {
      // A model that takes one length only says so by its contextLength.
      const room = contextLength < Infinity ? contextLength : roomFor(this.#mostPositions());
      const model = this.#modelFor(room);
      const language = examineWhole(model, room);
      return {
        language,
        model,
        room,
        limit: contextLength < Infinity ? contextLength : this.#mostPositions(),
      };
    }
    const language = this.#examine();
    const model = this.#modelFor(EXAMPLE_POSITIONS);
    const limit = Math.min(contextLength, language.mostPositions);
    return { language, model, room: roomFor(limit), limit };
  }

  #examine(): LanguageModel {
    return this.#examined ??= examineDecoding(() => this.#modelFor(EXAMPLE_POSITIONS));
  }

  /** As far as the layers say. */
  #mostPositions(): number {
    try {
      return this.#examine().mostPositions;
    } catch (error) {
      if (error instanceof TypeError || error instanceof RangeError) return Infinity;
      throw error;
    }
  }

  async #compile(model: TokenModel, rows: number, room: number, isCached: boolean): Promise<Scorer> {
    const weights = this.#weights ?? ((name: string) => model.rangeOf(name));
    const scorer = isCached
      ? await CachedScorer.compile(model, { rows, room }, weights)
      : await WholeScorer.compile(model, { rows, room }, weights);
    if (this.#isClosed) scorer.close();
    this.#requireOpen();
    this.#all.add(scorer);
    return scorer;
  }

  #requireOpen(): void {
    if (this.#isClosed) throw new CairnError("closed", "Cannot generate: the model was closed; open it anew");
  }
}

/** From 0 to below 1, with 53 random bits. */
function shareOf(words: KeyedWords | undefined): number {
  if (words === undefined) return 0;
  const high = words.next() >>> 5;
  return (high * 2 ** 26 + (words.next() >>> 6)) / 2 ** 53;
}

function requirePrompts(prompts: readonly (readonly number[])[], limit: number, below: number): void {
  for (const [index, prompt] of prompts.entries()) {
    const name = prompts.length === 1 ? "The prompt" : `Prompt ${index}`;
    if (prompt.length === 0) {
      throw new RangeError(`${name} has no tokens; give at least one, such as the one that texts begin with`);
    }
    if (prompt.length > limit) {
      throw new RangeError(
        `${name} has ${prompt.length} tokens and the model takes ${limit} positions; give its last ${limit} or fewer`,
      );
    }
    const wrong = prompt.findIndex((token) => !Number.isSafeInteger(token) || token < 0 || token >= below);
    if (wrong < 0) continue;
    const range = below === Infinity ? "from 0 on" : `from 0 to ${below - 1}`;
    throw new RangeError(`${name} has ${prompt[wrong]} at ${wrong}; a token is a whole number ${range}`);
  }
}

function requireToken(token: number, below: number): void {
  if (token < below) return;
  throw new RangeError(
    `The model made the token ${token}, and takes tokens below ${below}; it has more outputs than its embedding has rows`,
  );
}
