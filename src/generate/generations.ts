import { CairnError } from "../base/errors.ts";
import { throwIfAborted } from "../base/abort.ts";
import type { BufferRange } from "../gpu/buffer_range.ts";
import { CachedTokens } from "./cached_tokens.ts";
import { drawKindOf } from "./draw_token.ts";
import { examineDecoding, examineWhole, type LanguageModel } from "./examine_model.ts";
import type { GenerateSettings } from "./generate_options.ts";
import type { TokenModel, TokenSource, TokenSourceSizes } from "./token_source.ts";
import { WholeTokens } from "./whole_tokens.ts";
import { type GeneratedToken, writeTexts } from "./write_texts.ts";

/** The number of positions of the model that decoding is traced with; it is given any number. */
const EXAMPLE_POSITIONS = 2;

/** Fewer positions save nothing worth a program of its own. */
const LEAST_ROOM = 256;

/** Texts of a model that goes on with what it is given. Several may be under way at once. */
export class Generations {
  readonly #modelFor: (positions: number) => TokenModel;
  readonly #weights: ((name: string) => BufferRange) | undefined;
  /** Compiled programs that no text is made with at the moment, by what they are for. */
  readonly #idle = new Map<string, TokenSource[]>();
  readonly #all = new Set<TokenSource>();
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
    const sizes = { rows: prompts.length, room, kind: drawKindOf(settings) };
    const key = JSON.stringify([settings.cache, sizes]);
    const source = this.#idle.get(key)?.pop() ?? await this.#compile(model, sizes, settings.cache);
    try {
      source.restart();
      for await (
        const made of writeTexts(prompts, source, { positions: limit, below: language.below }, settings)
      ) {
        this.#requireOpen();
        yield made;
        this.#requireOpen();
      }
    } catch (error) {
      // What else went wrong came of that.
      this.#requireOpen();
      throw error;
    } finally {
      this.#idle.set(key, [...this.#idle.get(key) ?? [], source]);
    }
  }

  /** Frees what was compiled. Texts that are under way end with `closed`. */
  free(): void {
    this.#isClosed = true;
    for (const source of this.#all) source.close();
    this.#all.clear();
    this.#idle.clear();
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

  async #compile(model: TokenModel, sizes: TokenSourceSizes, isCached: boolean): Promise<TokenSource> {
    const weights = this.#weights ?? ((name: string) => model.rangeOf(name));
    const source = isCached
      ? await CachedTokens.compile(model, sizes, weights)
      : await WholeTokens.compile(model, sizes, weights);
    if (this.#isClosed) source.close();
    this.#requireOpen();
    this.#all.add(source);
    return source;
  }

  #requireOpen(): void {
    if (this.#isClosed) throw new CairnError("closed", "Cannot generate: the model was closed; open it anew");
  }
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
