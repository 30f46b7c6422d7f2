import { describe, expect, test } from "bun:test";
import type { GpuDevice } from "../../../src/gpu/gpu_device.ts";
import { gradients } from "../../../src/graph/autodiff.ts";
import { mul } from "../../../src/graph/ops/arithmetic.ts";
import { attention, type AttentionOptions } from "../../../src/graph/ops/attention/attention.ts";
import { input } from "../../../src/graph/ops/sources.ts";
import { sum } from "../../../src/graph/ops/sum.ts";
import type { Value } from "../../../src/graph/value.ts";
import { attentionConstants } from "../../../src/kernels/attention/attention_sizes.ts";
import { listPages, planPages } from "../../../src/kernels/attention/pages.ts";
import type { AttentionVariant } from "../../../src/kernels/attention/attention_sizes.ts";
import type { Shape } from "../../../src/tensor/shape.ts";
import { expectNear, runValues } from "../../graph/run_values.ts";
import { gpuTest } from "../../helpers/gpu.ts";
import { interpret } from "../../helpers/interpreter.ts";
import { randomNumbers } from "../numbers.ts";

const VARIANTS: readonly AttentionVariant[] = ["page", "tile"];

interface Operands {
  readonly q: Shape;
  readonly k: Shape;
  readonly v?: Shape;
}

/** The output of an attention and its three gradients, with elements for its operands. */
function attentionOf({ q, k, v = k }: Operands, options: AttentionOptions = {}): {
  readonly values: Value[];
  readonly elements: Record<string, number[]>;
} {
  const operands = [input("q", "f32", q), input("k", "f32", k), input("v", "f32", v)] as const;
  const output = attention(...operands, options);
  const weights = input("weights", "f32", output.shape);
  const elements = Object.fromEntries([...operands, weights].map((value, index) => {
    const count = value.shape.reduce((all, size) => all * size, 1);
    return [(value.attributes as { name: string }).name, [...randomNumbers(count, index + 1)]];
  }));
  return { values: [output, ...gradients(sum(mul(output, weights)), [...operands])], elements };
}

async function found(
  gpu: GpuDevice,
  values: readonly Value[],
  elements: Record<string, number[]>,
  variant: string,
) {
  const tensors = await runValues(gpu, values, elements, new Map([["attention", variant]]));
  return tensors.map((tensor) => Array.from(tensor.toArray(), Number));
}

for (const variant of VARIANTS) {
  describe(`OP-09 attention, ${variant} variant`, () => {
    async function expectRight(
      gpu: GpuDevice,
      operands: Operands,
      options: AttentionOptions = {},
    ): Promise<void> {
      const { values, elements } = attentionOf(operands, options);
      const expected = interpret(values, { inputs: elements });
      const results = await found(gpu, values, elements, variant);
      results.forEach((result, index) => expectNear(result, expected[index] ?? [], 2e-5));
    }

    gpuTest("OP-09 attends and goes back at odd sizes, several heads in a piece of memory", async (gpu) => {
      await expectRight(gpu, { q: [2, 3, 19, 5], k: [2, 3, 19, 5] }, { causal: true });
      await expectRight(gpu, { q: [1, 1, 1, 1], k: [1, 1, 1, 1] });
    });

    gpuTest("OP-09 goes on with the next keys where they do not fit at once", async (gpu) => {
      expect(planPages(2, 600, 28).pagesPerHead).toBe(2);
      await expectRight(gpu, { q: [1, 2, 3, 28], k: [1, 2, 600, 28], v: [1, 2, 600, 3] });
      await expectRight(gpu, { q: [1, 2, 400, 26], k: [1, 1, 3, 26] });
    });

    gpuTest("OP-09 a query's result does not depend on how many others there are", async (gpu) => {
      const results = async (queries: number): Promise<number[]> => {
        const { values, elements } = attentionOf({ q: [1, 1, queries, 6], k: [1, 1, 37, 6] });
        const some = (seed: number) => Array.from(randomNumbers(515 * 6, seed)).slice(0, queries * 6);
        const given = { ...elements, q: some(9), weights: some(10) };
        const lists = await found(gpu, values.slice(0, 2), given, variant);
        return lists.flatMap((list) => list.slice(0, 511 * 6));
      };
      expect(await results(515)).toEqual(await results(511));
    });

    // Tiles have one key an invocation, however many there are; and older drivers take minutes to compile this one.
    if (variant === "page") {
      gpuTest("OP-09 a key's gradient does not depend on how many others there are", async (gpu) => {
        const width = 6;
        const results = async (keys: number): Promise<number[]> => {
          const mask = input("mask", "u32", [keys]);
          const { values, elements } = attentionOf({ q: [1, 1, 37, width], k: [1, 1, keys, width] }, {
            mask,
          });
          const some = (seed: number) => Array.from(randomNumbers(515 * width, seed)).slice(0, keys * width);
          // Those that only the longer one has are hidden.
          const seen = Array.from({ length: keys }, (_, key) => Number(key < 511));
          const lists = await found(
            gpu,
            values.slice(2),
            { ...elements, k: some(9), v: some(10), mask: seen },
            variant,
          );
          return lists.flatMap((list) => list.slice(0, 511 * width));
        };
        expect(await results(515)).toEqual(await results(511));
      });
    }

    gpuTest("OP-09 a query that sees no key gives zeros, and its gradients are zeros", async (gpu) => {
      const { values, elements } = attentionOf(
        { q: [1, 1, 2, 4], k: [1, 1, 3, 4] },
        { mask: input("mask", "u32", [2, 1]) },
      );
      const results = await found(gpu, values, { ...elements, mask: [0, 1] }, variant);
      expect(results[0]?.slice(0, 4)).toEqual([0, 0, 0, 0]);
      expect(results[1]?.slice(0, 4)).toEqual([0, 0, 0, 0]);
      expect(results[0]?.slice(4).every((x) => x !== 0)).toBe(true);
    });

    gpuTest("OP-09 what a query does not see changes nothing, NaN and infinity neither", async (gpu) => {
      const { values, elements } = attentionOf({ q: [1, 1, 5, 4], k: [1, 1, 5, 4] }, { causal: true });
      const clean = await found(gpu, values, elements, variant);
      const dirty = {
        ...elements,
        k: elements["k"]?.with(19, NaN) ?? [],
        v: elements["v"]?.with(19, Infinity) ?? [],
      };
      const results = await found(gpu, values, dirty, variant);
      expect(results[0]?.slice(0, 16)).toEqual(clean[0]?.slice(0, 16) ?? []);
      expect(results[1]?.slice(0, 16)).toEqual(clean[1]?.slice(0, 16) ?? []);
      expect(results[0]?.slice(16).every(Number.isNaN)).toBe(true);
    });

    gpuTest("OP-09 of nothing it is nothing, or zeros", async (gpu) => {
      const none = attentionOf({ q: [1, 2, 3, 4], k: [1, 2, 0, 4] });
      expect((await found(gpu, none.values, none.elements, variant)).map((list) => list.join())).toEqual([
        Array(24).fill(0).join(),
        Array(24).fill(0).join(),
        "",
        "",
      ]);
      const unasked = attentionOf({ q: [1, 2, 0, 4], k: [1, 2, 2, 4] });
      expect((await found(gpu, unasked.values, unasked.elements, variant)).map((list) => list.join()))
        .toEqual([
          "",
          "",
          Array(16).fill(0).join(),
          Array(16).fill(0).join(),
        ]);
    });
  });
}

describe("attention", () => {
  gpuTest(
    "OP-09 leaves out the asked share of weights, the same ones in both variants and on the way back",
    async (gpu) => {
      // Equal scores, and values that are a unit matrix: the output is the weights of the first keys.
      const [q, k] = [input("q", "f32", [1, 2, 40, 4]), input("k", "f32", [1, 2, 64, 4])];
      const v = input("v", "f32", [1, 2, 64, 16]);
      const output = attention(q, k, v, { dropout: 0.25, stream: 3 });
      const values = [output, ...gradients(sum(output), [v])];
      const unit = Array.from(
        { length: 2 * 64 * 16 },
        (_, index) => Number(Math.floor(index / 16) % 64 === index % 16),
      );
      const elements = { q: Array<number>(320).fill(0), k: Array<number>(512).fill(0), v: unit };
      const [page, tile] = [
        await found(gpu, values, elements, "page"),
        await found(gpu, values, elements, "tile"),
      ];
      const weights = page[0] ?? [];
      const kept = weights.filter((weight) => weight !== 0);
      expect(kept.every((weight) => Math.abs(weight * 64 * 0.75 - 1) < 1e-5)).toBe(true);
      expect(kept.length / weights.length).toBeGreaterThan(0.72);
      expect(kept.length / weights.length).toBeLessThan(0.78);
      expect((tile[0] ?? []).map((weight) => weight !== 0)).toEqual(weights.map((weight) => weight !== 0));
      // The gradient of a value is the sum of its weights over the queries.
      const sums = Array.from({ length: 32 }, (_, row) => {
        const [head, key] = [Math.floor(row / 16), row % 16];
        return Array.from({ length: 40 }, (_, query) => weights[(head * 40 + query) * 16 + key] ?? NaN)
          .reduce((total, weight) => total + weight, 0);
      });
      expectNear(
        (page[1] ?? []).filter((_, index) => index % 16 === 0 && Math.floor(index / 16) % 64 < 16),
        sums,
        1e-5,
      );
    },
  );

  test("OP-09 pages hold every row once, in whole heads or pieces of one", () => {
    for (
      const [heads, rows, width] of [[1, 1, 1], [5, 100, 32], [3, 513, 32], [2, 1000, 128], [
        7,
        3,
        5,
      ]] as const
    ) {
      const pages = planPages(heads, rows, width);
      const seen = listPages(pages).flatMap(({ firstHead, headCount, firstRow, rowCount }) =>
        Array.from(
          { length: headCount * rowCount },
          (_, index) => (firstHead + Math.floor(index / rowCount)) * rows + firstRow + index % rowCount,
        )
      );
      expect(seen).toEqual([...Array(heads * rows).keys()]);
      expect(pages.headsPerPage * pages.pageRows * Math.ceil(width / 4) * 16).toBeLessThanOrEqual(65_536);
    }
  });

  test("OP-09 layers that drop nothing share their kernels, whatever their streams are", () => {
    const constantsOf = (stream: number, dropout: number) =>
      attentionConstants({
        sizes: { batch: 1, heads: 2, keyHeads: 2, queries: 3, keys: 4, width: 8, valueWidth: 8 },
        manner: { isCausal: false, mask: "none", drops: dropout > 0 },
        numbers: { scale: 1, maskStrides: [0, 0, 0, 0], dropout, stream },
      });
    expect(constantsOf(1, 0)).toEqual(constantsOf(2, 0));
    expect(constantsOf(1, 0.5)).not.toEqual(constantsOf(2, 0.5));
  });

  test("OP-09 shapes that do not fit are refused with all of them", () => {
    const f32 = (...shape: number[]) => input("x", "f32", shape);
    expect(() => attention(f32(1, 3, 4, 8), f32(1, 2, 4, 8), f32(1, 2, 4, 8))).toThrow(
      "attention: queries [1, 3, 4, 8], keys [1, 2, 4, 8], values [1, 2, 4, 8] do not fit",
    );
    expect(() => attention(f32(4, 8), f32(4, 8), f32(4, 8))).toThrow(
      "attention: takes queries of shape [batch, heads, positions, width], found [4, 8]; reshape them",
    );
    expect(() => attention(f32(1, 1, 4, 300), f32(1, 1, 4, 300), f32(1, 1, 4, 8))).toThrow(
      "attention: a head has 1 to 128 elements, found 300",
    );
    const fits = [f32(1, 2, 4, 8), f32(1, 2, 4, 8), f32(1, 2, 4, 8)] as const;
    expect(() => attention(...fits, { mask: f32(3, 4) })).toThrow("does not broadcast to [1, 2, 4, 4]");
    expect(() => attention(...fits, { dropout: 1 })).toThrow("dropout is from 0 to below 1, found 1");
    const output = attention(...fits);
    const [gradient] = gradients(sum(output), [fits[0]]);
    expect(() => gradients(sum(gradient as Value), [fits[0]])).toThrow(
      "attention: its gradient has no gradient",
    );
    expect(output.shape).toEqual([1, 2, 4, 8]);
  });
});
