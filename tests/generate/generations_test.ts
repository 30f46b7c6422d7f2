import { describe, expect } from "bun:test";
import { CachedTokens } from "../../src/generate/cached_tokens.ts";
import { WholeTokens } from "../../src/generate/whole_tokens.ts";
import { generateSettings } from "../../src/generate/generate_options.ts";
import * as ops from "../../src/graph/ops.ts";
import * as nn from "../../src/nn/nn.ts";
import { gpuTest } from "../helpers/gpu.ts";
import { thrownBy } from "../helpers/thrown.ts";
import { expectClose } from "../kernels/numbers.ts";
import { block, languageModel, VOCABULARY, WIDE, WIDTH, withTexts } from "./language_models.ts";

const ROOM = 48;
const NEAR = { absolute: 1e-5, relative: 1e-5 };

/** A text of `length` tokens. */
function text(length: number, seed = 5): number[] {
  return Array.from({ length }, (_, at) => (at * at * 7 + at * seed + seed) % VOCABULARY);
}

/** Three layers, of which each position takes the two that its gate rates highest. */
const experts: nn.Layer = (x, scope) => {
  const gate = ops.softmax(nn.linear(WIDTH, 3, WIDE)(x, scope.child("gate")));
  const [, positions = 0] = x.shape;
  const least = ops.slice(ops.topK(gate, 2).values, { axis: 2, start: 1 });
  const shares = ops.where(ops.greaterEqual(gate, least), gate, 0);
  const all = [0, 1, 2].map((expert) => nn.linear(WIDTH, WIDTH, WIDE)(x, scope.child(`expert${expert}`)));
  const weighed = ops.mul(
    ops.stack(all, { axis: 2 }),
    ops.reshape(shares, [x.shape[0] ?? 0, positions, 3, 1]),
  );
  return ops.add(x, ops.sum(weighed, { axes: 2 }));
};

/** Models by what is special about them. */
const MODELS: Readonly<Record<string, () => nn.Layer>> = {
  "learned positions": () => languageModel(nn.learnedPositions(ROOM, WIDTH), block(2), block(2)),
  "sinusoidal positions and norms behind": () =>
    languageModel(nn.sinusoidalPositions(WIDTH), block(4, { norm: "post" }), block(4, { norm: "post" })),
  "rotary positions and grouped queries": () =>
    languageModel(block(4, { rotary: true, keyHeads: 2 }), nn.rmsNorm(WIDTH)),
  "rotary positions of a part, interleaved, one head of keys": () =>
    languageModel(block(2, { rotary: { width: 4, interleaved: true }, keyHeads: 1 })),
  "heads of odd width, one layer called twice": () => {
    const twice = nn.transformerBlock(15, 3, { causal: true });
    return languageModel(
      nn.linear(WIDTH, 15),
      nn.layer((x, scope) => twice(twice(x, scope), scope)),
      nn.linear(15, WIDTH),
    );
  },
  "an lstm of two layers": () => languageModel(nn.lstm(WIDTH, WIDTH, { layers: 2 })),
  "layers inside of others": () =>
    languageModel(
      nn.remat(block(2, { rotary: true })),
      nn.residual(nn.sequential(nn.rmsNorm(WIDTH), nn.lora(nn.linear(WIDTH, WIDTH), { rank: 2 }))),
      nn.parallel([nn.frozen(nn.linear(WIDTH, 6)), nn.linear(WIDTH, 10)], { axis: 2 }),
    ),
  "experts of its own, which a gate weighs": () => languageModel(block(2), nn.layer(experts, "experts")),
  "a gru before attention": () => languageModel(nn.gru(WIDTH, WIDTH), block(2)),
};

for (const [name, layer] of Object.entries(MODELS)) {
  describe(`a model with ${name}`, () => {
    gpuTest("IN-03 has the same scores with a cache as for the whole text", async (gpu) => {
      await withTexts(gpu, layer(), async ({ modelFor }) => {
        const model = modelFor(ROOM);
        const weights = (of: string) => model.rangeOf(of);
        const sizes = { rows: 2, room: ROOM, kind: "greedy" } as const;
        const whole = await WholeTokens.compile(model, sizes, weights);
        const cached = await CachedTokens.compile(model, sizes, weights);
        try {
          const rows = [text(ROOM), text(ROOM, 11)];
          const numbers = { temperature: 0, topK: Infinity, topP: 1 };
          // The first is a block and two positions, then one after the other, then a text that begins elsewhere.
          for (const [begin, end] of [[0, 34], [0, 35], [0, 37], [5, 9], [5, ROOM]] as const) {
            const request = { rows, begin, end, most: 1, numbers, shareOf: () => 0 };
            const tokens = await whole.next(request);
            expect(await cached.next(request)).toEqual(tokens);
            expectClose(await cached.scores(), await whole.scores(), NEAR);
          }
        } finally {
          whole.close();
          cached.close();
        }
      }, ROOM);
    });
  });
}

describe("generation", () => {
  gpuTest(
    "IN-03 gives the same greedy tokens as computing the whole text for each, past the context too",
    async (gpu) => {
      await withTexts(gpu, languageModel(nn.learnedPositions(40, WIDTH), block(2)), async ({ generate }) => {
        const prompt = text(36);
        const cached = await generate(prompt, { maxTokens: 50 });
        expect(cached).toHaveLength(50);
        expect(new Set(cached).size).toBeGreaterThan(3);
        expect(await generate(prompt, { maxTokens: 50, cache: false })).toEqual(cached);
        const ended = await generate(prompt, { maxTokens: 50, whenFull: "end" });
        // 36 tokens and four more are 40, and those give one more.
        expect(ended).toEqual(cached.slice(0, 5));
        expect(await generate(text(12), { maxTokens: 9, contextLength: 16 })).toEqual(
          await generate(text(12), { maxTokens: 9, contextLength: 16, cache: false }),
        );
      }, 40);
    },
  );

  gpuTest("IN-03 compiles once, and nothing is made for a token", async (gpu) => {
    await withTexts(gpu, languageModel(block(2, { rotary: true })), async ({ generate }) => {
      const first = await generate(text(40), { maxTokens: 3 });
      const { buffersCreated, pipelinesCreated } = gpu.counters;
      expect(await generate(text(40), { maxTokens: 30 })).toHaveLength(30);
      expect(await generate(text(70), { maxTokens: 3 })).toHaveLength(3);
      expect(await generate(text(40), { maxTokens: 3 })).toEqual(first);
      expect(gpu.counters).toMatchObject({ buffersCreated, pipelinesCreated });
    });
  });

  gpuTest("IN-03 draws the same text for the same seed, and another for another", async (gpu) => {
    await withTexts(gpu, languageModel(block(2, { rotary: true })), async ({ generate }) => {
      const drawn = (options: Parameters<typeof generate>[1]) =>
        generate([1, 2], { maxTokens: 24, temperature: 1, ...options });
      const first = await drawn({ seed: 7 });
      expect(await drawn({ seed: 7 })).toEqual(first);
      expect(await drawn({ seed: 8 })).not.toEqual(first);
      const greedy = await generate([1, 2], { maxTokens: 24 });
      expect(first).not.toEqual(greedy);
      expect(await drawn({ seed: 7, topK: 1 })).toEqual(greedy);
      expect(await drawn({ seed: 7, topP: 1e-6 })).toEqual(greedy);
    });
  });

  gpuTest("IN-03 continues prompts of different lengths at once as it does each alone", async (gpu) => {
    await withTexts(gpu, languageModel(block(2, { rotary: true })), async ({ generate, generations }) => {
      const prompts = [text(3), text(41), text(9, 13)];
      const settings = generateSettings("generate()", { maxTokens: 12, temperature: 0 });
      const texts: number[][] = prompts.map(() => []);
      for await (const { prompt, token } of generations.run(prompts, settings)) texts[prompt]?.push(token);
      for (const [index, prompt] of prompts.entries()) {
        expect(texts[index] ?? []).toEqual(await generate(prompt, { maxTokens: 12 }));
      }
    });
  });

  gpuTest(
    "IN-03 ends at a stop token, which it does not give, and at a signal between two tokens",
    async (gpu) => {
      await withTexts(gpu, languageModel(block(2, { rotary: true })), async ({ generate, generations }) => {
        const all = await generate([4], { maxTokens: 20 });
        const stop = all[6] ?? NaN;
        expect(await generate([4], { maxTokens: 20, stop })).toEqual(all.slice(0, all.indexOf(stop)));
        expect(await generate([4], { maxTokens: 0 })).toEqual([]);
        const controller = new AbortController();
        const settings = generateSettings("generate()", { temperature: 0, signal: controller.signal });
        const found: number[] = [];
        const error = await thrownBy(async () => {
          for await (const { token } of generations.run([[4]], settings)) {
            found.push(token);
            if (found.length === 5) controller.abort(new Error("enough"));
          }
        });
        expect([error.message, found]).toEqual(["enough", all.slice(0, 5)]);
      });
    },
  );

  gpuTest("IN-03 two texts may be under way at once, and one that is left is forgotten", async (gpu) => {
    await withTexts(gpu, languageModel(nn.gru(WIDTH, WIDTH)), async ({ generate, generations }) => {
      const settings = generateSettings("generate()", { maxTokens: 8, temperature: 0 });
      const [one, other] = [generations.run([[1]], settings), generations.run([[2]], settings)];
      const found: [number[], number[]] = [[], []];
      for (let count = 0; count < 4; count++) {
        for (const [index, texts] of [one, other].entries()) {
          const { value } = await texts.next();
          if (value !== undefined) found[index]?.push(value.token);
        }
      }
      await one.return();
      await other.return();
      expect(found).toEqual([await generate([1], { maxTokens: 4 }), await generate([2], { maxTokens: 4 })]);
    });
  });

  gpuTest("IN-03 takes a model that gives scores for its last position only", async (gpu) => {
    const layers = (returns: "last" | "sequence") => languageModel(nn.lstm(WIDTH, WIDTH, { returns }));
    const texts = await withTexts(
      gpu,
      layers("sequence"),
      ({ generate }) => generate([3, 1], { maxTokens: 10 }),
    );
    const last = await withTexts(gpu, layers("last"), async ({ generate }) => {
      const error = await thrownBy(() => generate([3, 1], { cache: false }));
      expect(error.message).toContain("for each position");
      return await generate([3, 1], { maxTokens: 10 });
    });
    expect(last).toEqual(texts);
    const sliced: nn.Layer = (x, scope) => {
      const all = languageModel(block(2, { rotary: true }))(x, scope);
      return ops.reshape(ops.slice(all, { axis: 1, start: -1 }), [x.shape[0] ?? 0, VOCABULARY]);
    };
    await withTexts(gpu, sliced, async ({ generate }) => {
      expect(await generate([3, 1], { maxTokens: 4 })).toHaveLength(4);
    });
  });
});
