import { byteSizeOf, type DType, DTYPES } from "../../src/base/dtype.ts";
import { type StateValue, TensorRef } from "../../src/container/format/state_tree.ts";
import type { ContainerContents } from "../../src/container/write/write_container.ts";

type Tensors = ContainerContents["tensors"];

/** Integers only, so that every runtime makes the same bits: no `Math.sin` and the like. */
function pattern(byteLength: number, factor: number): Uint8Array {
  return Uint8Array.from({ length: byteLength }, (_, i) => (i * factor + (i >>> 3)) & 255);
}

/** Numbers like weights: few exponents, noisy mantissas. Dividing by a power of two is exact. */
function weights(count: number): Uint8Array {
  const values = new Float32Array(count);
  let state = 1;
  for (let i = 0; i < count; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    values[i] = (state >> 8) / 2 ** 26;
  }
  return new Uint8Array(values.buffer);
}

function tensors(): Tensors {
  const ofEachDType = (Object.keys(DTYPES) as DType[]).map((dtype, i) => ({
    spec: { name: `every.${dtype}`, dtype, shape: [2, 3] },
    bytes: dtype === "bool" ? Uint8Array.of(1, 0, 0, 1, 1, 0) : pattern(6 * byteSizeOf(dtype), 37 + 2 * i),
  }));
  return [
    { spec: { name: "model.0.weight", dtype: "f32", shape: [50, 60] }, bytes: weights(3000) },
    { spec: { name: "model.0.bias", dtype: "f32", shape: [60] }, bytes: new Uint8Array(240) },
    {
      spec: { name: "model.2.tied", dtype: "f32", shape: [50, 60], aliasOf: "model.0.weight" },
      bytes: new Uint8Array(0),
    },
    { spec: { name: "empty", dtype: "f64", shape: [0, 7] }, bytes: new Uint8Array(0) },
    { spec: { name: "scalar", dtype: "i64", shape: [] }, bytes: pattern(8, 255) },
    ...ofEachDType,
    { spec: { name: "größe.重み", dtype: "u8", shape: [1, 1, 1, 1, 1, 1, 1, 5] }, bytes: pattern(5, 3) },
  ];
}

function state(): StateValue {
  return {
    step: 1200,
    epoch: 3,
    seed: 2n ** 64n - 1n,
    numbers: [0, -0, 0.1, NaN, Infinity, -Infinity, 5e-324, Number.MAX_VALUE],
    none: [undefined, null],
    when: [new Date(0), new Date("2026-11-22T10:20:30.456Z")],
    map: new Map<StateValue, StateValue>([["a", 1], [2, new Set(["x", -1n])]]),
    empty: [[], {}, new Map(), new Set(), ""],
    text: 'quotes " and \\, line\nend, ü, 重み, 😀',
    $: { "$key": "a key with a dollar" },
    history: new TensorRef("every.f64", "Float64Array"),
    weight: new TensorRef("model.0.weight"),
  };
}

/** What the golden files hold. They are written once for a version of the format and never again. */
export function goldenContents(codec: "raw" | "deflate"): ContainerContents {
  return {
    tensors: tensors(),
    manifest: {
      kind: "checkpoint",
      state: state(),
      metrics: { loss: 0.25, val_loss: NaN, best: -Infinity },
      provenance: {
        runId: "golden",
        tag: "step-1200",
        step: 1200,
        epoch: 3,
        createdAt: "2026-11-22T10:20:30.456Z",
        writer: "cairn 0.1.0",
        adapter: "llvmpipe (LLVM 19.1.7, 256 bits)",
        runtime: "bun 1.4.5",
        variants: { matmul: "register" },
      },
      user: { note: "kept as it is", tags: ["a", "b"] },
    },
    fileId: Uint8Array.from({ length: 16 }, (_, i) => 0xa0 + i),
    codec,
    chunkBytes: 4096,
  };
}
