import { describe, expect, test } from "bun:test";
import { type GenerateOptions, generateSettings } from "../../src/generate/generate_options.ts";
import * as ops from "../../src/graph/ops.ts";
import * as nn from "../../src/nn/nn.ts";
import { gpuTest } from "../helpers/gpu.ts";
import { thrownBy } from "../helpers/thrown.ts";
import { block, languageModel, VOCABULARY, WIDTH, withTexts } from "./language_models.ts";

/** Models that cannot be given one position after the other, and what is said of each. */
const REFUSED: Readonly<Record<string, [nn.Layer, ...string[]]>> = {
  "attention to positions behind": [
    block(2, { causal: false }),
    'in layer "1.attention"',
    "not causal: true",
  ],
  "a mean over positions": [
    nn.layer((x) => ops.sub(x, ops.mean(x, { axes: 1, keepDims: true })), "centred"),
    "mean [2, 1, 16]",
  ],
  "positions of its own": [
    nn.layer((x, scope) => {
      const rows = scope.parameter("rows", [64, WIDTH], nn.normal());
      return ops.add(x, ops.slice(rows, { end: x.shape[1] ?? 0 }));
    }, "own"),
    'in layer "1"',
  ],
  "a shift by one position": [
    nn.layer(
      (x) => ops.slice(ops.pad(x, [[0, 0], [1, 0], [0, 0]]), { axis: 1, end: x.shape[1] ?? 0 }),
      "shifted",
    ),
    'pad [2, 4, 16] in layer "1"',
  ],
  "a recurrent layer in both directions": [
    nn.sequential(nn.gru(WIDTH, WIDTH / 2, { bidirectional: true })),
    'in layer "1.0"',
  ],
  "a number that goes by the length": [
    nn.layer((x) => ops.mul(x, 1 / (x.shape[1] ?? 1)), "scaled"),
    'a number in layer "1" depends on how many there are',
  ],
  "one length only": [
    nn.layer((x) => ops.reshape(x, [x.shape[0] ?? 0, 4, WIDTH]), "fixed"),
    "it cannot be called for any number of positions: fixed",
  ],
};

describe("a model that mixes positions", () => {
  for (const [name, [inner, ...said]] of Object.entries(REFUSED)) {
    gpuTest(`IN-03 is refused for ${name}, by the name of the layer`, async (gpu) => {
      await withTexts(gpu, languageModel(inner), async ({ generate }) => {
        const error = await thrownBy(() => generate([1, 2]));
        expect(error).toBeInstanceOf(TypeError);
        for (const part of ["generate() cannot give the model", ...said, "{ cache: false }"]) {
          expect(error.message).toContain(part);
        }
      });
    });
  }

  gpuTest(
    "IN-03 computes the whole text for each token where it is asked to and the model is causal",
    async (gpu) => {
      for (
        const name of ["attention to positions behind", "a mean over positions", "a shift by one position"]
      ) {
        const [inner] = REFUSED[name] ?? [];
        if (inner === undefined) throw new Error(`there is no ${name}`);
        await withTexts(gpu, languageModel(inner), async ({ generate }) => {
          const error = await thrownBy(() => generate([1, 2], { cache: false }));
          expect(error.message).toContain("generate() needs a causal model");
        });
      }
      const [own] = REFUSED["positions of its own"] ?? [];
      if (own === undefined) throw new Error("there are no positions of its own");
      await withTexts(gpu, languageModel(own, block(2)), async ({ generate }) => {
        const options = { maxTokens: 5, contextLength: 16, cache: false };
        expect(await generate([1, 2], options)).toHaveLength(5);
      });
    },
  );

  gpuTest("IN-03 says what a model gives that gives no scores", async (gpu) => {
    const pooled: nn.Layer = (x, scope) => {
      const all = languageModel()(x, scope);
      return ops.reshape(all, [x.shape[0] ?? 0, (x.shape[1] ?? 0) * VOCABULARY]);
    };
    await withTexts(gpu, pooled, async ({ generate }) => {
      const error = await thrownBy(() => generate([1]));
      expect(error.message).toContain(
        "f32 [batch, positions, tokens] or [batch, tokens] for the last; found f32 [2, 69]",
      );
    });
  });
});

describe("a prompt", () => {
  gpuTest("IN-03 is refused where it is empty, too long, or has no token of the model", async (gpu) => {
    await withTexts(gpu, languageModel(nn.learnedPositions(8, WIDTH)), async ({ generate, generations }) => {
      const said: string[] = [];
      for (const prompt of [[], Array<number>(9).fill(1), [1, VOCABULARY], [1.5]]) {
        const error = await thrownBy(() => generate(prompt));
        expect(error).toBeInstanceOf(RangeError);
        said.push(error.message.split(";")[0] ?? "");
      }
      expect(said).toEqual([
        "The prompt has no tokens",
        "The prompt has 9 tokens and the model takes 8 positions",
        `The prompt has ${VOCABULARY} at 1`,
        "The prompt has 1.5 at 0",
      ]);
      const none = await thrownBy(() => generations.run([], generateSettings("generate()", {})).next());
      expect(none.message).toContain("There is no prompt");
      const second = await thrownBy(() =>
        generations.run([[1], [-1]], generateSettings("generate()", {})).next()
      );
      expect(second.message).toContain("Prompt 1 has -1 at 0");
    });
  });

  test("IN-03 options are checked before anything is computed", async () => {
    const wrong: [GenerateOptions, string][] = [
      [{ maxTokens: -1 }, "maxTokens is a whole number from 0 on, found -1"],
      [{ temperature: -0.1 }, "temperature is a number from 0 on, found -0.1"],
      [{ topK: 0 }, "topK is a whole number from 1 on, found 0"],
      [{ topP: 0 }, "topP is a number above 0 and at most 1, found 0"],
      [{ contextLength: 1 }, "contextLength is a whole number from 2 on, found 1"],
      [{ whenFull: "stop" as "end" }, 'whenFull is "slide" or "end", found "stop"'],
      [{ seed: -1 }, "A seed is an integer"],
    ];
    for (const [options, message] of wrong) {
      expect((await thrownBy(() => generateSettings("generate()", options))).message).toContain(message);
    }
  });
});
