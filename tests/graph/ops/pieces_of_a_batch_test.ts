import { describe, expect } from "bun:test";
import type { GpuDevice } from "../../../src/gpu/gpu_device.ts";
import { Executable } from "../../../src/graph/executable.ts";
import * as ops from "../../../src/graph/ops.ts";
import type { Value } from "../../../src/graph/value.ts";
import { elementCount, type Shape } from "../../../src/tensor/shape.ts";
import { gpuTest } from "../../helpers/gpu.ts";
import { randomNumbers } from "../../kernels/numbers.ts";
import { noParameters } from "../run_values.ts";

const BATCH = 7;

/** What `op` makes of `count` examples from example `first` on, of a batch of 7. */
async function resultOf(
  gpu: GpuDevice,
  shape: Shape,
  op: (x: Value) => Value,
  first: number,
  count: number,
): Promise<Float32Array> {
  const x = ops.input("x", "f32", [count, ...shape]);
  const program = { inputs: [x], outputs: { out: op(x) }, parameters: noParameters };
  const executable = await Executable.compile(gpu, program);
  try {
    const per = elementCount(shape);
    const whole = randomNumbers(BATCH * per, 3);
    const scalars = { seed: 5, step: 9, firstExample: first, values: [] };
    executable.run({ x: whole.subarray(first * per, (first + count) * per) }, scalars);
    const [out] = await executable.read("out");
    return out?.toArray() as Float32Array;
  } finally {
    executable.close();
  }
}

/** Fails unless a batch in two pieces gives the bits of the whole one. */
async function expectSameInPieces(gpu: GpuDevice, shape: Shape, op: (x: Value) => Value): Promise<void> {
  const whole = await resultOf(gpu, shape, op, 0, BATCH);
  const pieces = [await resultOf(gpu, shape, op, 0, 3), await resultOf(gpu, shape, op, 3, BATCH - 3)];
  expect(pieces.flatMap((piece) => [...piece])).toEqual([...whole]);
}

describe("random numbers of a batch in pieces", () => {
  for (const shape of [[], [4], [5], [3, 2], [2, 1, 4]]) {
    gpuTest(`OP-11 are those of the whole batch, of [${shape}] an example`, async (gpu) => {
      await expectSameInPieces(gpu, shape, (x) => ops.dropout(x, { rate: 0.5, stream: 2 }));
      const noise = (x: Value): Value =>
        ops.add(x, ops.randomNormal(x.shape, { stream: 1, perExample: true }));
      await expectSameInPieces(gpu, shape, noise);
    });
  }

  gpuTest("OP-11 are those of the whole batch in an attention that leaves weights out", async (gpu) => {
    await expectSameInPieces(gpu, [2, 5, 4], (x) => ops.attention(x, x, x, { dropout: 0.5 }));
  });

  gpuTest("OP-11 are the same for each piece where the first axis is none of examples", async (gpu) => {
    const noise = (x: Value): Value => ops.add(ops.mul(x, 0), ops.randomUniform(x.shape, { stream: 1 }));
    expect(await resultOf(gpu, [5], noise, 0, 3)).toEqual(await resultOf(gpu, [5], noise, 3, 3));
    const kept = (x: Value): Value =>
      ops.dropout(ops.add(ops.mul(x, 0), 1), { rate: 0.5, stream: 1, perExample: false });
    expect(await resultOf(gpu, [5], kept, 0, 3)).toEqual(await resultOf(gpu, [5], kept, 3, 3));
  });
});
