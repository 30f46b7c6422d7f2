import { byteSizeOf, type DType } from "../../src/base/dtype.ts";
import type { ContainerContents } from "../../src/container/write/write_container.ts";

/** A tensor with its bytes, as a golden file has it. */
export type GoldenTensor = ContainerContents["tensors"][number];

export function tensorOf(
  name: string,
  dtype: DType,
  shape: readonly number[],
  bytes: Uint8Array,
): GoldenTensor {
  return { spec: { name, dtype, shape }, bytes };
}

/** Integers from 0 to 2^24 - 1. Whole numbers only, so that every runtime makes the same. */
export function randomIntegers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    return state >>> 8;
  };
}

/** Exponent and mantissa bits of the floating-point dtypes. */
const FLOATS = { f16: [5, 10], bf16: [8, 7], f32: [8, 23], f64: [11, 52] } as const;
export type FloatDType = keyof typeof FLOATS;

/** Elements of `bits` bits each as bytes, lowest first. */
function littleEndian(elements: readonly bigint[], bits: number): Uint8Array {
  return Uint8Array.from(
    elements.flatMap((element) =>
      Array.from({ length: bits / 8 }, (_, byte) => Number((element >> BigInt(8 * byte)) & 255n))
    ),
  );
}

/** `count` numbers like weights: both signs, half as many for each smaller exponent, noisy mantissas. */
export function weightsOf(dtype: FloatDType, count: number, seed: number): Uint8Array {
  const [exponentBits, mantissaBits] = FLOATS[dtype];
  const bits = 1 + exponentBits + mantissaBits;
  const next = randomIntegers(seed);
  const largest = 2 ** (exponentBits - 1) - 4;
  const elements = Array.from({ length: count }, () => {
    const sign = BigInt(next() & 1);
    const exponent = BigInt(largest - Math.min(10, Math.clz32(next()) - 8));
    const noise = (BigInt(next()) << 48n) | (BigInt(next()) << 24n) | BigInt(next());
    return (sign << BigInt(bits - 1)) | (exponent << BigInt(mantissaBits)) |
      (noise & ((1n << BigInt(mantissaBits)) - 1n));
  });
  return littleEndian(elements, bits);
}

/**
 * The special numbers, of both signs: zero, the smallest and the largest subnormal, the smallest
 * normal, one, the largest, infinity, and NaNs, quiet and signalling, with payloads.
 */
export function oddFloats(dtype: FloatDType): Uint8Array {
  const [exponentBits, mantissaBits] = FLOATS[dtype];
  const bits = 1 + exponentBits + mantissaBits;
  const unit = 1n << BigInt(mantissaBits);
  const infinity = ((1n << BigInt(exponentBits)) - 1n) * unit;
  const quiet = unit >> 1n;
  const one = BigInt(2 ** (exponentBits - 1) - 1) * unit;
  const positive = [0n, 1n, unit - 1n, unit, one, infinity - 1n, infinity];
  positive.push(infinity + quiet, infinity + quiet + 5n, infinity + 3n);
  return littleEndian([...positive, ...positive.map((element) => element | (1n << BigInt(bits - 1)))], bits);
}

/**
 * `count` integers like token ids or counters: small ones are frequent, every seventh is negative where that can be.
 */
export function countersOf(dtype: DType, count: number, seed: number): Uint8Array {
  const next = randomIntegers(seed);
  const bits = 8 * byteSizeOf(dtype);
  const elements = Array.from({ length: count }, (_, i) => {
    if (dtype === "bool") return BigInt(next() % 5 === 0);
    const value = BigInt(Math.floor(next() / 2 ** (12 + next() % 12)));
    const isNegative = dtype.startsWith("i") && i % 7 === 3;
    return BigInt.asUintN(bits, isNegative ? -1n - value : value);
  });
  return littleEndian(elements, bits);
}

/** `bytes` with all but every `step`th of its elements set to zero. */
export function sparse(bytes: Uint8Array, byteSize: number, step: number): Uint8Array {
  const kept = bytes.slice();
  for (let i = 0; i < kept.length / byteSize; i++) {
    if (i % step !== 0) kept.fill(0, i * byteSize, (i + 1) * byteSize);
  }
  return kept;
}
