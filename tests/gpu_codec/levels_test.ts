import { describe, expect, test } from "bun:test";
import { itemBitsOf } from "../../src/base/item_bits.ts";
import type { Dispatch } from "../../src/gpu/dispatch.ts";
import { levelsEncode } from "../../src/gpu_codec/levels_encode.ts";
import { levelsMeasure } from "../../src/gpu_codec/levels_measure.ts";
import { levelsOffsets } from "../../src/gpu_codec/levels_offsets.ts";
import { encodeLevelsSpan, levelsCounts } from "../../src/gpu_codec/levels_span.ts";
import { gpuTest } from "../helpers/gpu.ts";
import { type HostArray, runDispatch } from "../helpers/run_dispatch.ts";
import { type LevelsSample, levelsSamples, partsOf, spacedOut, wordsOf } from "./levels_samples.ts";

const SAMPLES = levelsSamples();

/** Words that are not the right ones. */
const junk = (length: number): Uint32Array => new Uint32Array(length).fill(0xdeadbeef);

function expectWords(name: string, actual: Uint32Array, expected: Uint32Array): void {
  const wrong = actual.findIndex((word, i) => word !== expected[i]);
  if (wrong < 0 && actual.length === expected.length) return;
  const [is, should] = [actual[wrong], expected[wrong]].map((word) => word?.toString(16));
  throw new Error(`${name}: word ${wrong} of ${expected.length} is ${is}, and should be ${should}`);
}

async function eachSample(check: (sample: LevelsSample) => Promise<void>): Promise<void> {
  for (const sample of SAMPLES) await check(sample);
}

describe("levels kernels", () => {
  gpuTest("measure finds the same form of every group as the codec", async (gpu) => {
    await eachSample(async (sample) => {
      const { span, raw, counts, name } = sample;
      const { heads } = partsOf(sample);
      const out = junk(heads.length);
      const dispatch = levelsMeasure<HostArray>({ span, source: wordsOf(raw), heads: out }, counts);
      expectWords(name, (await runDispatch(gpu, dispatch, [out]))[0], heads);
    });
  });

  gpuTest("levelsOffsets finds every group's body and every chunk's length", async (gpu) => {
    await eachSample(async (sample) => {
      const { span, stored, counts, name } = sample;
      // It sees nothing but lengths.
      if (counts.groups < 3) return;
      const expected = partsOf(sample);
      const { words, starts } = spacedOut(stored);
      const [offsets, lengths] = [junk(expected.offsets.length), junk(counts.chunks)];
      const bindings = { span, heads: words, starts, offsets, lengths };
      const result = await runDispatch(gpu, levelsOffsets<HostArray>(bindings, counts), [offsets, lengths]);
      expectWords(name, result[0], expected.offsets);
      expectWords(name, result[1], expected.lengths);
    });
  });

  gpuTest("levelsOffsets goes on from one row of 256 groups to the next", async (gpu) => {
    // Two chunks, of 600 and of 300 groups of lengths that are made up.
    const shape = { byteLength: 900 * 4096, chunkBytes: 600 * 4096 };
    const counts = levelsCounts(shape, itemBitsOf("f32"));
    const heads = Uint32Array.from({ length: 900 }, (_, i) => 0xabc00000 | ((i * 37) % 1025));
    const offsets: number[] = [];
    const lengths: number[] = [];
    for (const [first, end] of [[0, 600], [600, 900]] as const) {
      let offset = 1 + end - first;
      for (let i = first; i < end; i++) {
        offsets.push(offset);
        offset += (i * 37) % 1025;
      }
      lengths.push(offset);
    }
    const bindings = {
      span: encodeLevelsSpan(shape, itemBitsOf("f32")),
      heads,
      starts: Uint32Array.of(0, 600),
      offsets: junk(900),
      lengths: junk(2),
    };
    const read = [bindings.offsets, bindings.lengths] as const;
    const result = await runDispatch(gpu, levelsOffsets<HostArray>(bindings, counts), [...read]);
    expectWords("offsets", result[0], Uint32Array.from(offsets));
    expectWords("lengths", result[1], Uint32Array.from(lengths));
  });

  gpuTest("encode writes the codec's bytes, and nothing beside them", async (gpu) => {
    await eachSample(async (sample) => {
      const { span, raw, stored, counts, name } = sample;
      const { heads, offsets } = partsOf(sample);
      const { words, targets } = spacedOut(stored);
      const out = new Uint32Array(words.length);
      const bindings = { span, source: wordsOf(raw), heads, offsets, targets, stored: out };
      expectWords(name, (await runDispatch(gpu, levelsEncode<HostArray>(bindings, counts), [out]))[0], words);
    });
  });

  gpuTest("number their groups over both dimensions of a grid", async (gpu) => {
    const sample = SAMPLES.find(({ counts }) => counts.groups === 5);
    if (sample === undefined) throw new Error("no sample has five groups");
    const { span, raw, stored, counts } = sample;
    const { heads, offsets } = partsOf(sample);
    const { words, targets } = spacedOut(stored);
    const source = wordsOf(raw);
    const [measured, encoded] = [junk(heads.length), new Uint32Array(words.length)];
    const bindings = { span, source, heads, offsets, targets };
    const dispatches: [Dispatch<HostArray>, Uint32Array, Uint32Array][] = [
      [levelsMeasure<HostArray>({ ...bindings, heads: measured }, counts), measured, heads],
      [levelsEncode<HostArray>({ ...bindings, stored: encoded }, counts), encoded, words],
    ];
    for (const [dispatch, out, expected] of dispatches) {
      const [result] = await runDispatch(gpu, { ...dispatch, workgroups: [2, 4, 1] }, [out]);
      expectWords(dispatch.label, result, expected);
    }
  });

  test("a span has whole elements, and chunks of whole words", () => {
    const f32 = itemBitsOf("f32");
    expect(() => levelsCounts({ byteLength: 0, chunkBytes: 4096 }, f32)).toThrow("no whole number");
    expect(() => levelsCounts({ byteLength: 6, chunkBytes: 4096 }, f32)).toThrow("no whole number");
    expect(() => levelsCounts({ byteLength: 8, chunkBytes: 6 }, itemBitsOf("f16"))).toThrow(
      "chunkBytes is 6",
    );
    expect(() => levelsCounts({ byteLength: 8, chunkBytes: 12 }, itemBitsOf("f64"))).toThrow(
      "chunkBytes is 12",
    );
    expect(levelsCounts({ byteLength: 20_000, chunkBytes: 8192 }, f32)).toEqual({
      chunks: 3,
      chunkGroups: 2,
      groups: 5,
    });
    expect([...encodeLevelsSpan({ byteLength: 20_000, chunkBytes: 8192 }, f32).subarray(0, 5)]).toEqual([
      5000,
      2048,
      2,
      0,
      5,
    ]);
  });
});
