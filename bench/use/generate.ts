import { Generations } from "../../src/generate/generations.ts";
import { type GenerateOptions, generateSettings } from "../../src/generate/generate_options.ts";
import { Model } from "../../src/nn/model.ts";
import * as nn from "../../src/nn/nn.ts";
import { TensorStore } from "../../src/tensor/tensor_store.ts";
import { interleaved, median, ratioOf } from "../interleaved.ts";
import type { MeasureRows } from "./row.ts";

const [WIDTH, HEADS, LAYERS, VOCABULARY] = [256, 8, 4, 256];
const POSITIONS = 256;
/** Tokens that are timed, the last of which is the one behind all positions. */
const TOKENS = 32;

/** A text, and how long its tokens took: the first comes when the prompt was read, and is not counted. */
interface Text {
  readonly tokens: readonly number[];
  readonly promptMs: number;
  readonly tokenMs: number;
}

/**
 * Tokens a second of a transformer of 3.3 million weights, up to its 256 positions, with a cache and without. Both draw
 * the same tokens, in one run by their scores alone and in the next by a seed.
 */
export const generateRows: MeasureRows = async ({ rounds }) => {
  await using store = await TensorStore.open();
  const layer = nn.sequential(
    nn.embedding(VOCABULARY, WIDTH),
    nn.learnedPositions(POSITIONS, WIDTH),
    ...Array.from({ length: LAYERS }, () => nn.transformerBlock(WIDTH, HEADS, { causal: true })),
    nn.layerNorm(WIDTH),
    nn.linear(WIDTH, VOCABULARY),
  );
  const input = (positions: number) => ({ dtype: "u32" as const, shape: [positions] });
  await Model.define(store, layer, input(POSITIONS), 1).initialize(1);
  const generations = new Generations((positions) => Model.over(store, layer, input(positions)));
  const prompt = Array.from({ length: POSITIONS - TOKENS }, (_, at) => (at * 37 + 11) % VOCABULARY);
  const write = async (options: GenerateOptions): Promise<Text> => {
    const settings = generateSettings("generate()", { maxTokens: TOKENS + 1, ...options });
    const made: number[] = [];
    const startMs = performance.now();
    let promptMs = 0;
    for await (const { token } of generations.run([prompt], settings)) {
      made.push(token);
      if (made.length === 1) promptMs = performance.now() - startMs;
    }
    return { tokens: made, promptMs, tokenMs: (performance.now() - startMs - promptMs) / TOKENS };
  };
  const all = new Map<string, Text[]>([["cache", []], ["whole", []]]);
  let round = 0;
  await interleaved(
    [...all].map(([name, texts]) => ({
      name,
      // Each pair of rounds is greedy and drawn.
      run: () => write({ cache: name === "cache", temperature: Math.floor(round++ / 2) % 2, seed: 5 }),
      check(text: Text) {
        texts.push(text);
        const other = all.get(name === "cache" ? "whole" : "cache")?.at(texts.length - 1);
        if (other !== undefined && String(other.tokens) !== String(text.tokens)) {
          throw new Error(`With a cache and without it the texts differ: ${other.tokens} and ${text.tokens}`);
        }
        if (new Set(text.tokens).size < 2) throw new Error(`The text is nothing but ${text.tokens[0]}`);
      },
    })),
    rounds,
  );
  generations.free();
  // The first round compiles.
  const [cached, whole] = ["cache", "whole"].map((name) => all.get(name)?.slice(1) ?? []);
  const msOf = (texts: readonly Text[] | undefined): number[] => (texts ?? []).map(({ tokenMs }) => tokenMs);
  const { measured, spread } = ratioOf(msOf(whole), msOf(cached));
  const rate = (texts: readonly Text[] | undefined): string => (1000 / median(msOf(texts))).toFixed(1);
  const promptMs = median((cached ?? []).map((text) => text.promptMs));
  return [{
    name: `tokens a second with a cache : without, at ${POSITIONS} positions`,
    measured,
    target: 10,
    bound: "at least",
    spread,
    detail: `with ${rate(cached)}, without ${rate(whole)} a second; a prompt of ${prompt.length} takes ` +
      `${promptMs.toFixed(0)} ms; ${store.gpu.adapterName}`,
  }];
};
