import { describe, expect, test } from "bun:test";
import {
  cachedAttention,
  type CachedAttentionInputs,
} from "../../../src/graph/ops/attention/cached_attention.ts";
import { attention } from "../../../src/graph/ops/attention/attention.ts";
import { input } from "../../../src/graph/ops/sources.ts";
import { runDispatch } from "../../helpers/run_dispatch.ts";
import {
  cachedAttention as launch,
  type CachedAttentionSizes,
} from "../../../src/kernels/attention/cached_attention.ts";
import { gpuTest } from "../../helpers/gpu.ts";
import { interpret } from "../../helpers/interpreter.ts";
import { thrownBy } from "../../helpers/thrown.ts";
import { expectClose, randomNumbers } from "../numbers.ts";

/** `[batch, heads, positions, width]` as `[positions, batch, heads, width]`. */
function byPosition(elements: Float32Array, heads: number, positions: number, width: number): Float32Array {
  return Float32Array.from(elements, (_, index) => {
    const [w, head] = [index % width, Math.floor(index / width) % heads];
    const position = Math.floor(index / width / heads);
    return elements[(head * positions + position) * width + w] ?? NaN;
  });
}

/** What the kernel gives for the last `queries` of `positions`, and what attention gives for all of them. */
async function both(
  gpu: Parameters<typeof runDispatch>[0],
  { batch, heads, keyHeads, queries, room, width, valueWidth }: CachedAttentionSizes,
  positions: number,
  scale: number,
): Promise<{ found: Float32Array; expected: number[] }> {
  const q = randomNumbers(batch * heads * positions * width, 1);
  const k = randomNumbers(batch * keyHeads * positions * width, 2);
  const v = randomNumbers(batch * keyHeads * positions * valueWidth, 3);
  const whole = attention(
    input("q", "f32", [batch, heads, positions, width]),
    input("k", "f32", [batch, keyHeads, positions, width]),
    input("v", "f32", [batch, keyHeads, positions, valueWidth]),
    { causal: true, scale },
  );
  const [all = []] = interpret([whole], { inputs: { q: [...q], k: [...k], v: [...v] } });
  const past = positions - queries;
  const rows = (elements: Float32Array, size: number) => {
    const ordered = byPosition(elements, batch * keyHeads, positions, size);
    const before = new Float32Array(room * batch * keyHeads * size).fill(NaN);
    before.set(ordered.subarray(0, past * batch * keyHeads * size));
    return { before, own: ordered.slice(past * batch * keyHeads * size) };
  };
  const [keys, values] = [rows(k, width), rows(v, valueWidth)];
  const lastOf = (elements: ArrayLike<number>, size: number): number[] =>
    Array.from(elements).filter((_, index) => Math.floor(index / size) % positions >= past);
  const out = new Float32Array(batch * heads * queries * valueWidth);
  const dispatch = launch<Float32Array | Uint32Array>(
    {
      queries: Float32Array.from(lastOf(q, width)),
      keys: keys.own,
      values: values.own,
      pastKeys: keys.before,
      pastValues: values.before,
      positions: Uint32Array.from({ length: queries }, (_, index) => past + index),
      out,
    },
    { batch, heads, keyHeads, queries, room, width, valueWidth },
    scale,
  );
  const [found] = await runDispatch(gpu, dispatch, [out]);
  return { found, expected: lastOf(all, valueWidth) };
}

describe("attention over a cache", () => {
  gpuTest(
    "IN-03 is what attention to the whole sequence is, at odd sizes and the widest heads",
    async (gpu) => {
      const cases: [CachedAttentionSizes, number][] = [
        [{ batch: 2, heads: 3, keyHeads: 3, queries: 1, room: 9, width: 5, valueWidth: 7 }, 9],
        [{ batch: 1, heads: 4, keyHeads: 2, queries: 1, room: 300, width: 8, valueWidth: 8 }, 1],
        [{ batch: 1, heads: 4, keyHeads: 2, queries: 1, room: 300, width: 8, valueWidth: 8 }, 65],
        [{ batch: 2, heads: 4, keyHeads: 1, queries: 7, room: 300, width: 8, valueWidth: 8 }, 257],
        [{ batch: 1, heads: 2, keyHeads: 2, queries: 70, room: 70, width: 4, valueWidth: 4 }, 70],
        [{ batch: 1, heads: 1, keyHeads: 1, queries: 2, room: 40, width: 128, valueWidth: 126 }, 40],
      ];
      for (const [sizes, positions] of cases) {
        const { found, expected } = await both(gpu, sizes, positions, 0.7);
        expect(found).toHaveLength(expected.length);
        expectClose(found, expected, { absolute: 2e-6, relative: 2e-6 });
      }
    },
  );

  test("IN-03 is refused for shapes that do not fit", async () => {
    const inputs: CachedAttentionInputs = {
      queries: input("q", "f32", [1, 4, 2, 8]),
      keys: input("k", "f32", [2, 1, 2, 8]),
      values: input("v", "f32", [2, 1, 2, 8]),
      pastKeys: input("pk", "f32", [9, 1, 2, 8]),
      pastValues: input("pv", "f32", [9, 1, 2, 8]),
      positions: input("p", "u32", [2]),
    };
    expect(cachedAttention(inputs).shape).toEqual([1, 4, 2, 8]);
    const wrong = { ...inputs, keys: input("k", "f32", [3, 1, 2, 8]) };
    expect((await thrownBy(() => cachedAttention(wrong))).message).toContain(
      "takes keys of shape [2, 1, 2, 8], found [3, 1, 2, 8]",
    );
    const heads = { ...inputs, queries: input("q", "f32", [1, 3, 2, 8]) };
    expect((await thrownBy(() => cachedAttention(heads))).message).toContain("2 heads of keys divide the 3");
  });
});
