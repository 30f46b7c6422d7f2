import { describe, expect } from "bun:test";
import type { GpuDevice } from "../../src/gpu/gpu_device.ts";
import { Executable } from "../../src/graph/executable.ts";
import { gradients } from "../../src/graph/autodiff.ts";
import { add, mul } from "../../src/graph/ops/arithmetic.ts";
import { embedding, take, takeAlongAxis } from "../../src/graph/ops/indexing/take.ts";
import { scatter } from "../../src/graph/ops/indexing/scatter.ts";
import { matmul } from "../../src/graph/ops/matmul.ts";
import { flip } from "../../src/graph/ops/movement/flip.ts";
import { pad } from "../../src/graph/ops/movement/pad.ts";
import { slice } from "../../src/graph/ops/movement/slice.ts";
import { randomNormal } from "../../src/graph/ops/random.ts";
import { narrow, widen } from "../../src/graph/ops/sixteen_bits.ts";
import { softmax } from "../../src/graph/ops/softmax.ts";
import { input } from "../../src/graph/ops/sources.ts";
import { sum } from "../../src/graph/ops/sum.ts";
import { tanh } from "../../src/graph/ops/transcendental.ts";
import type { Value } from "../../src/graph/value.ts";
import { gpuTest } from "../helpers/gpu.ts";
import { withLimits } from "../helpers/limited_gpu.ts";
import { expectFailure, failureOf, numbers } from "./executable_helpers.ts";
import { inputsOf, noParameters, SCALARS, tensorsFor } from "./run_values.ts";

/** What the limited device binds at once. */
const LIMIT = 65_536;
/** Blocks that are packed for uniform buffers have as much each, so that matrices are larger. */
const MATRIX_LIMIT = 4 * LIMIT;

interface Run {
  readonly results: readonly Uint8Array[];
  readonly dispatches: number;
}

async function run(gpu: GpuDevice, values: readonly Value[], variant?: string): Promise<Run> {
  const inputs = inputsOf(values);
  const outputs = Object.fromEntries(values.map((value, index) => [`${index}`, value]));
  const variants = new Map(variant === undefined ? [] : [["matmul", variant]]);
  const executable = await Executable.compile(gpu, { inputs, outputs, parameters: noParameters }, {
    variants,
  });
  try {
    const elements = Object.fromEntries(
      inputs.map((each, index) => [nameOf(each), elementsFor(each, index)]),
    );
    executable.run(tensorsFor(inputs, elements), SCALARS);
    const tensors = await executable.read(...Object.keys(outputs));
    return { results: tensors.map(({ bytes }) => bytes), dispatches: executable.stats.dispatches };
  } finally {
    executable.close();
  }
}

function nameOf({ attributes }: Value): string {
  return String(attributes["name"]);
}

/** Indices of which some are behind the last of 999, or nearly all the same; numbers otherwise. */
function elementsFor(value: Value, seed: number): number[] {
  const count = value.shape.reduce((product, size) => product * size, 1);
  if (value.dtype === "f32") return numbers(count, seed + 1);
  if (nameOf(value) === "few") return Array.from({ length: count }, (_, index) => index < 280 ? 700 : index);
  return Array.from({ length: count }, (_, index) => index * 7919 % 1010);
}

/** The same bits with small bindings, in more dispatches. */
async function expectSameInParts(
  gpu: GpuDevice,
  values: readonly Value[],
  variant?: string,
  limit: number = LIMIT,
): Promise<void> {
  const whole = await run(gpu, values, variant);
  const limits = { maxStorageBufferBindingSize: limit };
  const parts = await withLimits(gpu, limits, (limited) => run(limited, values, variant));
  expect(parts.dispatches).toBeGreaterThan(whole.dispatches);
  whole.results.forEach((bytes, index) => {
    const found = parts.results[index] ?? new Uint8Array();
    expect([found.length, bytes.findIndex((byte, at) => byte !== found[at])]).toEqual([bytes.length, -1]);
  });
}

/** [999, 50] and [999, 64]: about 3 times what is bound at once, rows not where a binding may begin, and rows that are. */
const TABLES = [input("odd", "f32", [999, 50]), input("even", "f32", [999, 64])] as const;
const INDICES = input("indices", "u32", [37]);

describe("tensors above the binding limit", () => {
  gpuTest("MP-02 rows are taken part by part, and what is outside of the axis is NaN", async (gpu) => {
    for (const table of TABLES) await expectSameInParts(gpu, [embedding(table, INDICES)]);
    await expectSameInParts(gpu, [take(input("wide", "f32", [50, 999]), INDICES, { axis: 1 })]);
    const each = input("each", "u32", [40, 50]);
    await expectSameInParts(gpu, [takeAlongAxis(TABLES[0], each)]);
  });

  gpuTest("MP-02 gradients of rows are added up part by part", async (gpu) => {
    for (const table of TABLES) {
      const rows = embedding(table, INDICES);
      const weight = input("weight", "f32", rows.shape);
      const [gradient] = gradients(sum(mul(rows, weight)), [table]);
      if (gradient === undefined) throw new Error("There is no gradient");
      await expectSameInParts(gpu, [gradient]);
    }
    // More than 256 updates of a row, which several invocations add up.
    const updates = input("updates", "f32", [300, 50]);
    const few = input("few", "u32", [300]);
    await expectSameInParts(gpu, [scatter(TABLES[0], few, updates, { reduce: "sum" })]);
    await expectSameInParts(gpu, [scatter(TABLES[0], few, updates)]);
  });

  gpuTest("MP-02 elementwise ops compute some rows at a time, whatever they read", async (gpu) => {
    const [odd, even] = TABLES;
    const row = input("row", "f32", [64]);
    const column = input("column", "f32", [999, 1]);
    await expectSameInParts(gpu, [tanh(add(mul(even, row), column))]);
    await expectSameInParts(gpu, [add(odd, input("other", "f32", [999, 50]))]);
    const half = narrow(mul(odd, 3), "bf16");
    await expectSameInParts(gpu, [half, add(widen(half), 1)]);
    await expectSameInParts(gpu, [mul(slice(even, { start: 5, end: 980 }), 2)]);
    await expectSameInParts(gpu, [mul(flip(odd, { axes: [0] }), 2)]);
    await expectSameInParts(gpu, [mul(pad(odd, [[3, 400], [1, 2]]), 2)]);
    // A small result of a large tensor.
    await expectSameInParts(gpu, [mul(slice(even, { start: 700, end: 703 }), 2), add(even, 1)]);
  });

  gpuTest("MP-02 random numbers are those of their places in the whole tensor", async (gpu) => {
    await expectSameInParts(gpu, [randomNormal([999, 50], { stream: 3 })]);
    await expectSameInParts(gpu, [randomNormal([999, 49], { stream: 3, perExample: true })]);
  });

  gpuTest("MP-02 inputs of a program are kept as they are", async (gpu) => {
    await expectSameInParts(gpu, [TABLES[0], add(TABLES[0], 1)]);
  });

  for (const variant of ["packed", "register", "workgroup", "thinPacked", "thinWorkgroup"]) {
    gpuTest(`MP-02 products have the same bits, by the variant ${variant}`, async (gpu) => {
      const large = input("large", "f32", [700, 300]);
      const other = input("other", "f32", [300, 500]);
      const few = input("few rows", "f32", [3, 300]);
      const products = [
        // Both factors and the result are large: lines of every axis are cut.
        matmul(large, other),
        matmul(other, large, { transposeA: true, transposeB: true }),
        tanh(add(matmul(few, large, { transposeB: true }), 1)),
      ];
      for (const product of products) await expectSameInParts(gpu, [product], variant, MATRIX_LIMIT);
    });
  }

  gpuTest(
    "MP-02 what binds a tensor as a whole is refused by its name, with what takes parts",
    async (gpu) => {
      await withLimits(gpu, { maxStorageBufferBindingSize: LIMIT }, async (limited) => {
        const program = { inputs: [TABLES[0]], outputs: { y: softmax(TABLES[0]) }, parameters: noParameters };
        const error = await failureOf(() => Executable.compile(limited, program));
        expectFailure(error, "limit_exceeded", "softmax f32 [999, 50]");
        expectFailure(
          error,
          "limit_exceeded",
          `binds 199800 bytes of %0 input "odd" f32 [999, 50] at once, and the adapter "${limited.adapterName}" ` +
            `allows ${LIMIT} (maxStorageBufferBindingSize); embeddings, matrix products`,
        );
      });
    },
  );
});
