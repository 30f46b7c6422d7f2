import { describe, expect, test } from "bun:test";
import { crc32 } from "../../../../src/base/crc32/crc32.ts";
import { byteSizeOf, type DType } from "../../../../src/base/dtype.ts";
import { viewOf } from "../../../../src/base/little_endian.ts";
import { withKernels } from "../../../../src/container/codec/planes/chosen_kernels.ts";
import { planesCodec } from "../../../../src/container/codec/planes/planes.ts";
import { portableKernels } from "../../../../src/container/codec/planes/portable_kernels.ts";
import { wasmKernels } from "../../../../src/container/codec/planes/wasm_kernels.ts";
import { thrownBy } from "../../../helpers/thrown.ts";
import { ALL_DTYPES, asBytes, bytesOf, randomNumbers, weightsOf } from "../../samples.ts";
import { cpuMs } from "../../../helpers/cpu_time.ts";

/** Bits of information in bytes of these, as an order-0 code sees them. */
function entropyBytes(plane: Uint8Array): number {
  const counts = new Float64Array(256);
  for (const byte of plane) counts[byte] = (counts[byte] as number) + 1;
  return counts.reduce((bits, n) => (n === 0 ? bits : bits - n * Math.log2(n / plane.length)), 0) / 8;
}

const exponentsOf = (weights: Float32Array): Uint8Array =>
  Uint8Array.from(new Uint32Array(weights.buffer), (bits) => (bits >>> 23) & 255);

function encoded(raw: Uint8Array, dtype: DType): Uint8Array {
  const stored = planesCodec.encode(raw, dtype);
  if (stored === undefined) throw new Error("did not pay");
  return stored;
}

describe("codec planes", () => {
  test("stores exponents within 1.5 % of their entropy, and mantissas as they are", () => {
    const weights = weightsOf(1 << 18, 3);
    const bound = entropyBytes(exponentsOf(weights));
    const f32 = encoded(asBytes(weights), "f32").byteLength;
    expect(f32 - 3 * weights.length).toBeLessThan(1.015 * bound + 100);
    expect(4 * weights.length / f32).toBeGreaterThan(1.19);
    const halves = Uint16Array.from(new Uint32Array(weights.buffer), (bits) => bits >>> 16);
    expect(2 * weights.length / encoded(asBytes(halves), "bf16").byteLength).toBeGreaterThan(1.48);
  });

  test("changes its code where the data change", () => {
    const weights = weightsOf(1 << 17, 3);
    for (let i = 1 << 16; i < weights.length; i++) weights[i] = (weights[i] as number) * 2 ** -20;
    const bound = entropyBytes(exponentsOf(weights));
    expect(encoded(asBytes(weights), "f32").byteLength - 3 * weights.length).toBeLessThan(0.8 * bound);
  });

  test("leaves zeros out of the planes, wherever they are and of whatever dtype", () => {
    for (const dtype of ALL_DTYPES) {
      for (const count of [1, 7, 8, 9, 1000, 65_537]) {
        for (const part of [0.04, 0.5, 0.999]) {
          const raw = asBytes(weightsOf(count * 2, count)).slice(0, count * byteSizeOf(dtype));
          for (let i = 0; i < count; i++) {
            if ((Math.imul(i, 2654435761) >>> 0) / 2 ** 32 > part) continue;
            raw.fill(0, i * byteSizeOf(dtype), (i + 1) * byteSizeOf(dtype));
          }
          const [a, b] = [wasmKernels(), portableKernels()].map((kernels) =>
            withKernels(kernels ?? portableKernels(), () => planesCodec.encode(raw, dtype))
          );
          expect(Buffer.compare(a ?? raw, b ?? raw)).toBe(0);
          if (a === undefined) continue;
          expect(Buffer.compare(planesCodec.decode(a, raw.byteLength, dtype), raw)).toBe(0);
          expect(
            Buffer.compare(
              withKernels(portableKernels(), () => planesCodec.decode(a, raw.byteLength, dtype)),
              raw,
            ),
          ).toBe(0);
        }
      }
    }
    const mask = Uint8Array.from(
      { length: 1 << 20 },
      (_, i) => (Math.imul(i, 2654435761) >>> 0) % 50 === 0 ? 1 : 0,
    );
    expect(encoded(mask, "bool").byteLength).toBeLessThan(mask.byteLength / 40);
  });

  test("counts a sample of a large plane, and all of it where the sample knows too little", () => {
    const length = 150_000;
    const next = randomNumbers(7);
    const isInSample = (i: number): boolean =>
      (i & 56) >>> 3 === Math.imul((i % 16_384) >>> 6, 2654435761) >>> 29;
    // Each with the most bits that a byte of it may take.
    const planes: Record<string, [(i: number) => number, number]> = {
      "fools the sample": [
        (i) => isInSample(i) ? 100 + Math.floor(2 * next()) : 110 + Math.floor(4 * next()),
        2.6,
      ],
      "has a period": [(i) => i % 64 < 8 ? Math.floor(256 * next()) : Math.floor(2 * next()), 2.7],
      "far apart": [(i) => i % 100_000 === 9 ? 1 : 225 + Math.floor(31 * next()), 5.02],
      "a zero": [(i) => i % 100_000 === 9 ? 0 : 225 + Math.floor(31 * next()), 5.02],
      "rare": [(i) => i % 9000 === 12 ? 7 : 1 + Math.floor(4 * next() ** 2), 2],
      "one that the sample does not meet": [(i) => i === 70_001 ? 8 : 9, 1.01],
    };
    for (const [name, [byteAt, mostBits]] of Object.entries(planes)) {
      const raw = Uint8Array.from({ length }, (_, i) => byteAt(i));
      const [a, b] = [wasmKernels(), portableKernels()].map((kernels) =>
        withKernels(kernels ?? portableKernels(), () => encoded(raw, "u8"))
      );
      expect(`${name}: ${Buffer.compare(a as Uint8Array, b as Uint8Array)}`).toBe(`${name}: 0`);
      expect(Buffer.compare(planesCodec.decode(a as Uint8Array, length, "u8"), raw)).toBe(0);
      const bits = 8 * (a as Uint8Array).byteLength / length;
      expect(`${name}: ${bits <= mostBits}, ${bits}`).toBe(`${name}: true, ${bits}`);
    }
  });

  test("stores the lowest plane of numbers that are all positive in 7 bits, and of others as it is", () => {
    for (const count of [3000, 70_000, 1 << 18]) {
      const squares = weightsOf(count, 6).map((weight) => weight * weight);
      const [a, b] = [wasmKernels(), portableKernels()].map((kernels) =>
        withKernels(kernels ?? portableKernels(), () => encoded(asBytes(squares), "f32"))
      );
      expect(Buffer.compare(a as Uint8Array, b as Uint8Array)).toBe(0);
      const raw = asBytes(squares);
      expect(Buffer.compare(planesCodec.decode(a as Uint8Array, raw.byteLength, "f32"), raw)).toBe(0);
      // Behind the number of elements: a segment's number of symbols and its kind.
      const segment = (stored: Uint8Array): number[] => [...new Uint8Array(stored.slice(4, 11))];
      const length = [count & 255, (count >>> 8) & 255, count >>> 16, 0];
      expect(segment(a as Uint8Array)).toEqual([...length, 2, 0, 254]);
      squares[0] = -1.5;
      squares[1] = -(squares[1] as number);
      expect(segment(encoded(asBytes(squares), "f32")).slice(0, 5)).not.toEqual([...length, 2, 0]);
    }
  });

  test("does not touch noise, and stores a part that is noise as it is", () => {
    expect(planesCodec.encode(bytesOf(1 << 16, 1), "f32")).toBeUndefined();
    expect(planesCodec.encode(bytesOf(1 << 16, 1), "u8")).toBeUndefined();
    const half = new Uint8Array(1 << 17).fill(7);
    half.set(bytesOf(1 << 16, 2));
    const stored = encoded(half, "u8");
    expect(stored.byteLength).toBeLessThan((1 << 16) + 1000);
    expect(Buffer.compare(planesCodec.decode(stored, half.byteLength, "u8"), half)).toBe(0);
  });

  test("WebAssembly and TypeScript make the same bytes, and read each other's", () => {
    const wasm = wasmKernels();
    if (wasm === undefined) throw new Error("this runtime has no WebAssembly with SIMD");
    for (const dtype of ALL_DTYPES) {
      for (const count of [256, 1024, 70_000, 70_013 * 8]) {
        const raw = asBytes(weightsOf(Math.ceil(count / 4), count)).subarray(0, count - (count % 8));
        const [a, b] = [wasm, portableKernels()].map((kernels) =>
          withKernels(kernels, () => planesCodec.encode(raw, dtype))
        );
        expect(a?.byteLength).toBe(b?.byteLength as number);
        if (a === undefined || b === undefined) continue;
        expect(Buffer.compare(a, b)).toBe(0);
        for (const kernels of [wasm, portableKernels()]) {
          const back = withKernels(kernels, () => planesCodec.decode(a, raw.byteLength, dtype));
          expect(Buffer.compare(back, raw)).toBe(0);
        }
      }
    }
  });

  test("every runtime makes the same bytes (M1)", () => {
    // Integers only, so that the numbers themselves are the same everywhere.
    const next = randomNumbers(3);
    const values = Uint32Array.from({ length: 100_000 }, (_, i) => {
      const exponent = 120 - Math.clz32(Math.floor(next() * 2 ** 20)) - (i >> 15);
      return (i % 3 === 0 && i < 30_000 ? 0 : (exponent << 23) | Math.floor(next() * 2 ** 23)) >>> 0;
    });
    const sums = ALL_DTYPES.map((dtype) => crc32(encoded(asBytes(values), dtype)).toString(16));
    expect(sums.join(" ")).toBe(
      "e6bfdf96 e6bfdf96 e6bfdf96 60325a4b 60325a4b 7d52fdf 7d52fdf 5004f702 5004f702 7d8c4d06 7d8c4d06 6b6bb68c a8508aac",
    );
  });

  test("its bytes are those of FORMAT.md", () => {
    const raw = new Uint8Array(64).fill(7);
    raw.set([9, 9, 8], 61);
    // 61 sevens, one eight, two nines: codes of 1, 2 and 2 bits.
    // deno-fmt-ignore
    expect([...encoded(raw, "u8")]).toEqual([
      64, 0, 0, 0, // 64 elements in the planes, which are all
      64, 0, 0, 0, 2, // 64 symbols, coded
      7, 9, 0x21, 0x02, // from 7 to 9: 1, 2 and 2 bits, so that their codes are 0, 10 and 11
      2, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, // bytes of the streams
      0, 0, 0, 0, 0, 0, // sixteen times the code 0, and that three times
      0, 0xe0, 3, // thirteen times 0, then 11, 11 and 10, from the lowest bit up
    ]);
  });
});

type Edit = (bytes: Uint8Array, view: DataView) => Uint8Array | void;

describe("codec planes refuses", () => {
  const raw = new Uint8Array(40_000);
  for (let i = 0; i < raw.length; i++) raw[i] = 1 + (i * i) % 7;
  const good = encoded(raw, "u8");
  // What an edit makes of the bytes behind the number of elements, with that number in front again.
  const edited = (edit: Edit): Uint8Array => {
    const segment = good.slice(4);
    return Uint8Array.of(...good.subarray(0, 4), ...edit(segment, viewOf(segment)) ?? segment);
  };

  // Behind the number of elements one segment of 40000 symbols: length, kind, first, last, seven half bytes, four
  // lengths, four streams.
  const edits: [string, Edit][] = [
    ["a segment of no symbols", (_, view) => view.setUint32(0, 0, true)],
    ["a segment longer than its plane", (_, view) => view.setUint32(0, 40_001, true)],
    ["a segment that ends off a block", (_, view) => view.setUint32(0, 16_385, true)],
    ["an unknown kind of segment", (bytes) => void (bytes[4] = 3)],
    ["a code from a symbol to one below", (bytes) => void (bytes[5] = 9)],
    ["a code of one symbol", (bytes) => void (bytes[5] = bytes[6] as number)],
    ["a code whose first symbol has none", (bytes) => void (bytes[7] = (bytes[7] as number) & 0xf0)],
    ["an over-full code", (bytes) => void (bytes[7] = 0x11)],
    ["an incomplete code", (bytes) => void (bytes[7] = 0xbb)],
    ["a code of 15 bits", (bytes) => void (bytes[7] = ((bytes[7] as number) & 0x0f) | 0xf0)],
    ["streams as long as their symbols", (_, view) => view.setUint32(11, 40_000, true)],
    ["a stream that says it is 4 GiB", (_, view) => view.setUint32(11, 0xffffffff, true)],
    [
      "a stream with a byte of the next one",
      (_, view) => {
        view.setUint32(11, view.getUint32(11, true) + 1, true);
        view.setUint32(15, view.getUint32(15, true) - 1, true);
      },
    ],
    ["a byte behind the last plane", (bytes) => Uint8Array.of(...bytes, 0)],
    ["a missing last byte", (bytes) => bytes.subarray(0, -1)],
  ];
  for (const [what, edit] of edits) {
    test(what, async () => {
      const bytes = edited(edit);
      for (const kernels of [wasmKernels(), portableKernels()]) {
        if (kernels === undefined) continue;
        const error = await thrownBy(() =>
          withKernels(kernels, () => planesCodec.decode(bytes, raw.byteLength, "u8"))
        );
        expect(error.code).toBe("invalid_container");
        expect(error.message).toMatch(/^A planes chunk is damaged: /);
      }
    });
  }

  test("a bit behind the end of a stream", async () => {
    const small = Uint8Array.from({ length: 64 }, (_, i) => (i < 61 ? 7 : 8 + (i & 1)));
    const stored = encoded(small, "u8");
    expect(stored.at(-1)).toBeLessThan(8);
    const error = await thrownBy(() =>
      planesCodec.decode(stored.with(-1, 0x80 | (stored.at(-1) ?? 0)), 64, "u8")
    );
    expect(error.message).toMatch(/bits behind the end/);
  });

  test("numbers of elements and masks that do not belong together", async () => {
    const sparse = Uint8Array.from({ length: 1004 }, (_, i) => (i % 7 === 0 ? 1 + (i % 3) : 0));
    const stored = encoded(sparse, "u8");
    expect(stored[0]).toBe(144);
    const numbers: [number, RegExp][] = [[143, /mask has 144 bits/], [145, /mask has 144/], [
      1005,
      /1004 at most/,
    ]];
    for (const [number, message] of numbers) {
      const bytes = stored.slice();
      viewOf(bytes).setUint32(0, number, true);
      for (const kernels of [wasmKernels(), portableKernels()]) {
        if (kernels === undefined) continue;
        const work = (): Uint8Array => withKernels(kernels, () => planesCodec.decode(bytes, 1004, "u8"));
        expect((await thrownBy(work)).message).toMatch(message);
      }
    }
    expect((await thrownBy(() => planesCodec.decode(new Uint8Array(3), 8, "u8"))).code).toBe(
      "invalid_container",
    );
  });

  test("copies of a repeated symbol that differ", async () => {
    const stored = encoded(new Uint8Array(4096).fill(5), "u8");
    expect([...stored]).toEqual([0, 16, 0, 0, 0, 16, 0, 0, 1, 5, 5, 5, 5]);
    stored[11] = 6;
    expect((await thrownBy(() => planesCodec.decode(stored, 4096, "u8"))).message).toMatch(/copies/);
  });

  test("ten thousand damaged streams, in little time and memory", async () => {
    const before = cpuMs();
    for (let seed = 1; seed <= 10_000; seed++) {
      const bytes = good.slice();
      const at = (Math.imul(seed, 2654435761) >>> 0) % bytes.length;
      bytes[at] = (bytes[at] as number) ^ (1 + (seed % 255));
      try {
        expect(planesCodec.decode(bytes, raw.byteLength, "u8").byteLength).toBe(raw.byteLength);
      } catch {
        expect((await thrownBy(() => planesCodec.decode(bytes, raw.byteLength, "u8"))).code).toBe(
          "invalid_container",
        );
      }
    }
    expect(cpuMs() - before).toBeLessThan(120_000);
  });
});
