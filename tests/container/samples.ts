import { byteSizeOf, type DType, DTYPES } from "../../src/base/dtype.ts";
import type { TensorSpec } from "../../src/container/format/layout.ts";
import type { Manifest } from "../../src/container/format/manifest.ts";
import { type StateValue, TensorRef } from "../../src/container/format/state_tree.ts";

/** Reproducible noise (a linear congruential generator). */
export function randomNumbers(seed: number): () => number {
  let state = (seed * 2654435761 + 12345) >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

/** `byteLength` bytes of noise. */
export function bytesOf(byteLength: number, seed: number): Uint8Array {
  const next = randomNumbers(seed);
  return Uint8Array.from({ length: byteLength }, () => next() * 256);
}

/** Weights as a trained model has them: normal, small. */
export function weightsOf(count: number, seed: number): Float32Array {
  const next = randomNumbers(seed);
  const normal = (): number => Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next());
  return Float32Array.from({ length: count }, () => 0.05 * normal());
}

export function asBytes(view: ArrayBufferView): Uint8Array {
  return new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
}

export const ALL_DTYPES: readonly DType[] = Object.keys(DTYPES) as DType[];

export interface Tensor {
  readonly spec: TensorSpec;
  readonly bytes: Uint8Array;
}

/** A tensor of noise. */
export function tensorOf(name: string, dtype: DType, shape: readonly number[], seed: number): Tensor {
  const count = shape.reduce((product, size) => product * size, 1);
  return { spec: { name, dtype, shape }, bytes: bytesOf(count * byteSizeOf(dtype), seed) };
}

export const FILE_ID: Uint8Array = Uint8Array.from({ length: 16 }, (_, i) => i * 16 + 1);

export function manifestOf(state: StateValue, user: StateValue = null): Manifest {
  return { kind: "checkpoint", state, metrics: {}, provenance: {}, user };
}

/**
 * A small set of tensors with a bit of everything: two that share a chunk size, an empty one, a scalar of
 * another dtype and a tied one. With chunks of 256 bytes it has three chunks. Its bytes compress.
 */
export function sampleTensors(): Tensor[] {
  const weight = Float32Array.from({ length: 32 }, (_, i) => 1 + i / 64);
  const bias = Float32Array.from({ length: 8 }, (_, i) => -i);
  return [
    { spec: { name: "weight", dtype: "f32", shape: [4, 8] }, bytes: asBytes(weight) },
    { spec: { name: "bias", dtype: "f32", shape: [8] }, bytes: asBytes(bias) },
    { spec: { name: "empty", dtype: "f32", shape: [0, 4] }, bytes: new Uint8Array(0) },
    { spec: { name: "step", dtype: "i64", shape: [] }, bytes: asBytes(BigInt64Array.of(-42n)) },
    { spec: { name: "tied", dtype: "f32", shape: [4, 8], aliasOf: "weight" }, bytes: new Uint8Array(0) },
  ];
}

export function sampleManifest(): Manifest {
  return {
    kind: "checkpoint",
    state: { step: 12, seed: 7n, first: new TensorRef("weight"), best: undefined },
    metrics: { loss: 0.5, worst: Infinity },
    provenance: { tag: "step-12", step: 12, createdAt: "2026-11-22T00:00:00.000Z" },
    user: { note: "ü" },
  };
}

/** Runs `work` as in a browser, where `node:` modules do not exist. */
export function withoutBuiltins<T>(work: () => T): T {
  const before = process.getBuiltinModule;
  process.getBuiltinModule = () => undefined;
  try {
    return work();
  } finally {
    process.getBuiltinModule = before;
  }
}
