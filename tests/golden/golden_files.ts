import { readFileSync } from "node:fs";
import { byteSizeOf, type DType, DTYPES } from "../../src/base/dtype.ts";
import type { CodecName } from "../../src/container/codec/table.ts";
import type { Provenance } from "../../src/container/format/manifest.ts";
import type { StateValue } from "../../src/container/format/state_tree.ts";
import { TensorRef } from "../../src/container/format/tensor_ref.ts";
import type { ContainerContents } from "../../src/container/write/write_container.ts";
import {
  countersOf,
  type FloatDType,
  type GoldenTensor,
  oddFloats,
  randomIntegers,
  sparse,
  tensorOf,
  weightsOf,
} from "./golden_bytes.ts";
import { goldenContents } from "./golden_contents.ts";
import { everyValue, TYPED_ARRAY_NAMES } from "./golden_states.ts";

/** What golden.json says of a file. */
export interface GoldenFile {
  readonly file: string;
  readonly codec: CodecName;
  readonly chunkBytes: number;
  /**
   * Where writing its contents again gives the same bytes: everywhere, with the portable deflate only, or nowhere
   * for certain, because every runtime has a deflate and a zstd of its own.
   */
  readonly rewrites: "everywhere" | "portably" | "nowhere";
}

/** The golden files, in the order of their file ids. */
export const GOLDEN_FILES: readonly GoldenFile[] = JSON.parse(
  readFileSync(new URL("golden.json", import.meta.url), "utf8"),
);

/** A golden file's bytes. */
export function goldenBytes(file: string): Uint8Array {
  return new Uint8Array(readFileSync(new URL(file, import.meta.url)));
}

/** What a golden file holds. Each is written once for a version of the format and never again. */
export function contentsOf({ file, codec, chunkBytes }: GoldenFile): ContainerContents {
  if (file === "v1_raw.cairn" || file === "v1_deflate.cairn") {
    return goldenContents(file.slice(3, -6) as "raw");
  }
  const index = GOLDEN_FILES.findIndex((golden) => golden.file === file);
  const { tensors, state, provenance = {} } = CONTENTS[file]?.() ?? { tensors: [] };
  return {
    tensors,
    manifest: { kind: state ? "checkpoint" : "tensors", state, metrics: {}, provenance, user: file },
    fileId: Uint8Array.from({ length: 16 }, (_, i) => 16 * index + i),
    codec,
    chunkBytes,
  };
}

/** Runs `work` with the codecs that every runtime has alike, as in a browser, where that is what made the file. */
export async function asMade<T>({ rewrites }: GoldenFile, work: () => Promise<T>): Promise<T> {
  const before = process.getBuiltinModule;
  if (rewrites === "portably") process.getBuiltinModule = () => undefined;
  try {
    return await work();
  } finally {
    process.getBuiltinModule = before;
  }
}

interface Contents {
  readonly tensors: GoldenTensor[];
  readonly state?: StateValue;
  readonly provenance?: Provenance;
}

const ALL_DTYPES = Object.keys(DTYPES) as DType[];
const INTEGERS = ALL_DTYPES.filter((dtype) => !["f16", "bf16", "f32", "f64"].includes(dtype));

const CONTENTS: Readonly<Record<string, () => Contents>> = {
  "v1_deflate_portable.cairn": () => ({ tensors: [...floatTensors("f32", 600), ...integerTensors(200)] }),
  "v1_zstd.cairn": () => ({ tensors: [...floatTensors("f32", 600), ...integerTensors(200)] }),
  "v1_planes_f32.cairn": () => ({ tensors: floatTensors("f32", 1500) }),
  "v1_planes_bf16.cairn": () => ({ tensors: floatTensors("bf16", 2500) }),
  "v1_planes_f16.cairn": () => ({ tensors: floatTensors("f16", 2500) }),
  "v1_planes_f64.cairn": () => ({ tensors: floatTensors("f64", 1000) }),
  "v1_planes_integers.cairn": () => ({ tensors: integerTensors(700) }),
  "v1_planes_zeros.cairn": () => ({ tensors: sparseTensors() }),
  "v1_planes_segments.cairn": () => ({ tensors: [tensorOf("codes", "u8", [50_000], segmentedBytes())] }),
  "v1_planes_sampled.cairn": () => ({ tensors: [tensorOf("codes", "u8", [140_032], sampledBytes())] }),
  "v1_planes_even.cairn": () => ({ tensors: [tensorOf("codes", "u8", [4000], evenBytes())] }),
  "v1_chunks.cairn": () => ({ tensors: chunkedTensors() }),
  "v1_aliases.cairn": () => ({ tensors: aliasedTensors() }),
  "v1_empty.cairn": () => ({ tensors: emptyTensors() }),
  "v1_no_tensors.cairn": () => ({ tensors: [], state: { step: 7 } }),
  "v1_state_tree.cairn": () => ({ tensors: viewTensors(), state: everyValue("view.Float32Array") }),
  "v1_names.cairn": () => ({ tensors: namedTensors() }),
  "v1_levels.cairn": () => ({ tensors: levelsTensors() }),
  // Long arrays of numbers as a checkpoint keeps them: tensors of f64 that come back as arrays.
  "v1_numbers.cairn": () => ({
    tensors: numberTensors(),
    state: {
      history: new TensorRef("state:history", "Array"),
      again: [new TensorRef("state:history", "Array"), [1, 2]],
      "a map": new Map([["edges", new TensorRef("state:a map.edges", "Array")]]),
      bytes: new TensorRef("state:history"),
    },
  }),
  // A tensor of 8 MiB, which shares no chunk with its neighbours.
  "v1_large_tensor.cairn": () => ({
    tensors: [
      tensorOf("before", "f32", [100], weightsOf("f32", 100, 7)),
      tensorOf("large", "f32", [2 ** 21], weightsAndZeros("f32", 2 ** 21)),
      tensorOf("after", "f32", [3], weightsOf("f32", 3, 9)),
    ],
  }),
  // Where it stands among others, what its run went on from, and who saved it: files from before have none of it.
  "v1_order.cairn": () => ({
    tensors: [],
    state: { step: 7 },
    provenance: {
      runId: "0123456789abcdef0123456789abcdef",
      tag: "step-7",
      step: 7,
      createdAt: "2026-11-30T06:30:00.000Z",
      order: 3,
      parent: "d0d1d2d3d4d5d6d7d8d9dadbdcdddedf",
      savedBy: "auto",
    },
  }),
};

function floatTensors(dtype: FloatDType, count: number): GoldenTensor[] {
  const columns = count / 10;
  return [
    tensorOf("weight", dtype, [10, columns], weightsOf(dtype, count, 1)),
    tensorOf("odd", dtype, [2, 10], oddFloats(dtype)),
    tensorOf("bias", dtype, [columns], weightsOf(dtype, columns, 2)),
  ];
}

function integerTensors(count: number): GoldenTensor[] {
  return INTEGERS.map((dtype, i) => tensorOf(`every.${dtype}`, dtype, [count], countersOf(dtype, count, i)));
}

/** Weights, and zeros from the 500th on. */
function weightsAndZeros(dtype: FloatDType, count: number): Uint8Array {
  const bytes = new Uint8Array(byteSizeOf(dtype) * count);
  bytes.set(weightsOf(dtype, 500, 8));
  return bytes;
}

function sparseTensors(): GoldenTensor[] {
  const floats = (["f32", "bf16", "f64"] as const).map((dtype, i) =>
    tensorOf(`moment.${dtype}`, dtype, [1003], sparse(weightsOf(dtype, 1003, i), byteSizeOf(dtype), 5 + i))
  );
  return [
    ...floats,
    tensorOf("mask", "bool", [5000], sparse(new Uint8Array(5000).fill(1), 1, 50)),
    tensorOf("ids", "i32", [900], sparse(countersOf("i32", 900, 9), 4, 3)),
    tensorOf("zeros", "u16", [6000], new Uint8Array(12_000)),
  ];
}

/**
 * With chunks of 1 KiB: groups of every kind that the codec `levels` has, with a mask and without, and with bytes
 * left out.
 */
function levelsTensors(): GoldenTensor[] {
  const next = randomIntegers(5);
  /** Exponents only: as many of each of so many powers of two. */
  const powers = (exponents: number): Uint8Array =>
    new Uint8Array(Uint16Array.from({ length: 256 }, () => ((next() >> 8) % exponents + 20) << 7).buffer);
  const wholes = Float32Array.from({ length: 128 }, () => 64 + next() % 64);
  return [
    ...floatTensors("f32", 250),
    ...floatTensors("bf16", 200).map(({ spec, bytes }) => ({
      spec: { ...spec, name: `${spec.name}.bf16` },
      bytes,
    })),
    tensorOf("f64", "f64", [64], weightsOf("f64", 64, 3)),
    tensorOf("whole numbers", "f32", [128], new Uint8Array(wholes.buffer)),
    tensorOf("f16", "f16", [256], weightsOf("f16", 256, 4)),
    tensorOf("moment", "f32", [256], sparse(weightsOf("f32", 256, 6), 4, 6)),
    tensorOf("mask", "bool", [600], sparse(new Uint8Array(600).fill(1), 1, 9)),
    tensorOf("powers", "u16", [256], powers(200)),
    tensorOf("fifteen powers", "i16", [256], powers(15)),
    tensorOf("zeros", "u16", [512], new Uint8Array(1024)),
    tensorOf("seven powers", "i16", [256], powers(7)),
  ];
}

/** A plane with a code for each of two blocks, one symbol over a whole one, and noise at its end. */
function segmentedBytes(): Uint8Array {
  const random = weightsOf("bf16", 50_000, 3).filter((_, i) => i % 2 === 0);
  return random.map((byte, i) => {
    if (i < 16_384) return 10 + Number(byte < 20);
    if (i < 32_768) return 99;
    return i < 49_152 ? 200 + Number(byte < 40) + Number(byte < 4) : byte;
  });
}

/** So large a plane that its symbols are not all counted, with one block unlike the others, and rare symbols in it. */
function sampledBytes(): Uint8Array {
  const next = randomIntegers(4);
  return Uint8Array.from({ length: 140_032 }, (_, i) => {
    if (i < 65_536 || i >= 81_920) return 99;
    return i % 3000 === 0 ? 207 : 200 + Math.clz32(next()) % 8;
  });
}

/** With chunks of 256 bytes: tensors that share a chunk, that end on its edge, that span several, of two dtypes. */
function chunkedTensors(): GoldenTensor[] {
  return [
    tensorOf("small", "u16", [3], countersOf("u16", 3, 1)),
    tensorOf("exact", "u16", [128], countersOf("u16", 128, 2)),
    tensorOf("one more", "u16", [129], countersOf("u16", 129, 3)),
    tensorOf("long", "f32", [300], weightsOf("f32", 300, 4)),
    tensorOf("last", "u16", [5], countersOf("u16", 5, 5)),
  ];
}

function aliasedTensors(): GoldenTensor[] {
  const tied = (name: string, shape: number[], aliasOf: string): GoldenTensor => ({
    spec: { name, dtype: "f32", shape, aliasOf },
    bytes: new Uint8Array(0),
  });
  return [
    tensorOf("embedding", "f32", [12, 8], weightsOf("f32", 96, 1)),
    tied("head", [12, 8], "embedding"),
    tensorOf("between", "i64", [3], countersOf("i64", 3, 2)),
    tied("head of another", [12, 8], "head"),
    tensorOf("nothing", "f32", [0], new Uint8Array(0)),
    tied("nothing again", [0], "nothing"),
  ];
}

/** Scalars of all dtypes, and tensors without elements before, between and behind them. */
function emptyTensors(): GoldenTensor[] {
  const scalars = ALL_DTYPES.flatMap((dtype, i) => [
    tensorOf(
      `scalar.${dtype}`,
      dtype,
      [],
      countersOf(dtype === "bool" ? "bool" : "u64", 1, i).slice(0, byteSizeOf(dtype)),
    ),
    tensorOf(`empty.${dtype}`, dtype, [3, 0, i], new Uint8Array(0)),
  ]);
  return [
    tensorOf("first", "f32", [0], new Uint8Array(0)),
    ...scalars,
    tensorOf("eight dimensions", "u8", [1, 1, 1, 2, 1, 1, 1, 2], countersOf("u8", 4, 7)),
    tensorOf("large and empty", "f64", [0, 2 ** 49], new Uint8Array(0)),
  ];
}

/** Finite numbers, as an array of others is no tensor: -0, the edges of what is whole, subnormals, the largest. */
function numberTensors(): GoldenTensor[] {
  const edges = [
    0,
    -0,
    0.1,
    -1,
    2 ** 53 - 1,
    2 ** 53 + 2,
    5e-324,
    2 ** -1022,
    Number.MAX_VALUE,
    -Number.MAX_VALUE,
  ];
  const bytes = new Uint8Array(8 * edges.length);
  const view = new DataView(bytes.buffer);
  for (const [index, number] of edges.entries()) view.setFloat64(8 * index, number, true);
  return [
    tensorOf("state:history", "f64", [1024], weightsOf("f64", 1024, 8)),
    tensorOf("state:a map.edges", "f64", [edges.length], bytes),
  ];
}

/** Typed arrays as a checkpoint keeps them: tensors that the state tree refers to by their class. */
function viewTensors(): GoldenTensor[] {
  const dtypes: Readonly<Record<string, DType>> = {
    Uint8ClampedArray: "u8",
    Float16Array: "f16",
    Float32Array: "f32",
    Float64Array: "f64",
    BigInt64Array: "i64",
    BigUint64Array: "u64",
  };
  return TYPED_ARRAY_NAMES.map((view, i) => {
    const dtype = dtypes[view] ??
      view.replace(/^Uint/, "u").replace(/^Int/, "i").replace("Array", "") as DType;
    return tensorOf(`view.${view}`, dtype, [5], countersOf(dtype, 5, i));
  });
}

function namedTensors(): GoldenTensor[] {
  const names = [
    "a",
    " ",
    "a/b\\c.d:e",
    "\"'`${}",
    "größe",
    "重み.층.слой.طبقة.שכבה",
    "👩‍👩‍👧‍👦🏳️‍🌈",
    "\u2028\u2029\u200b\ue000\uffff",
    "constructor",
    "toString",
    "__proto",
    "1",
    "0",
    "ü".repeat(512),
    "𝒙".repeat(256),
  ];
  return names.map((name, i) => tensorOf(name, "u8", [3], countersOf("u8", 3, i)));
}

/** Noise without its lowest bit. */
function evenBytes(): Uint8Array {
  const next = randomIntegers(9);
  return Uint8Array.from({ length: 4000 }, () => (next() >>> 8) & 254);
}
