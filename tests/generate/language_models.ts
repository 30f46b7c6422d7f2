import type { GpuDevice } from "../../src/gpu/gpu_device.ts";
import { Generations } from "../../src/generate/generations.ts";
import { type GenerateOptions, generateSettings } from "../../src/generate/generate_options.ts";
import type { TokenModel } from "../../src/generate/token_source.ts";
import { Model } from "../../src/nn/model.ts";
import * as nn from "../../src/nn/nn.ts";
import { TensorStore } from "../../src/tensor/tensor_store.ts";

export const VOCABULARY = 23;
export const WIDTH = 16;

/** Wide enough for texts that vary. */
export const WIDE: nn.LinearOptions = { weightInitializer: nn.normal(0, 0.35) };

/** Embedding, `inner`, and scores for each token. */
export function languageModel(...inner: readonly nn.Layer[]): nn.Layer {
  return nn.sequential(
    nn.embedding(VOCABULARY, WIDTH),
    ...inner,
    nn.linear(WIDTH, VOCABULARY, WIDE),
  );
}

/** A block of width {@link WIDTH} with large weights. */
export function block(
  heads: number,
  options: Partial<Parameters<typeof nn.transformerBlock>[2]> = {},
): nn.Layer {
  return nn.transformerBlock(WIDTH, heads, { causal: true, ...WIDE, ...options });
}

/** Texts of a model with weights of its own, and the model for so many positions. */
export interface Texts {
  readonly generations: Generations;
  readonly modelFor: (positions: number) => TokenModel;
  generate(prompt: readonly number[], options?: GenerateOptions): Promise<number[]>;
}

/** Gives `work` the texts of `layer`, whose weights begin as they would in training. */
export async function withTexts<T>(
  gpu: GpuDevice,
  layer: nn.Layer,
  work: (texts: Texts) => Promise<T>,
  positions: number = 4,
): Promise<T> {
  const store = TensorStore.on(gpu);
  const input = (count: number) => ({ dtype: "u32" as const, shape: [count] });
  try {
    const model = Model.define(store, layer, input(positions), 1);
    await model.initialize(3);
    const modelFor = (count: number): TokenModel => Model.over(store, layer, input(count));
    const generations = new Generations(modelFor);
    try {
      const generate = async (
        prompt: readonly number[],
        options: GenerateOptions = {},
      ): Promise<number[]> => {
        const tokens: number[] = [];
        const settings = generateSettings("generate()", { temperature: 0, ...options });
        for await (const { token } of generations.run([prompt], settings)) tokens.push(token);
        return tokens;
      };
      return await work({ generations, modelFor, generate });
    } finally {
      generations.free();
    }
  } finally {
    await store.close();
  }
}
