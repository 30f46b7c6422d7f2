import { describe, expect, test } from "bun:test";
import { gradients } from "../../../../src/graph/autodiff.ts";
import * as ops from "../../../../src/graph/ops.ts";
import type { Value } from "../../../../src/graph/value.ts";
import type { GpuDevice } from "../../../../src/gpu/gpu_device.ts";
import { gpuTest } from "../../../helpers/gpu.ts";
import { interpret } from "../../../helpers/interpreter.ts";
import { runValues } from "../../run_values.ts";
import { erfOf } from "./erf_twin.ts";

const { input } = ops;

async function results(gpu: GpuDevice, x: readonly number[], op: (a: Value) => Value): Promise<number[]> {
  const [found] = await runValues(gpu, [op(input("x", "f32", [x.length]))], { x });
  return Array.from(found?.toArray() ?? [], Number);
}

function slopes(x: readonly number[], op: (a: Value) => Value): number[] {
  const a = input("x", "f32", [x.length]);
  return Array.from(interpret(gradients(ops.sum(op(a)), [a]), { inputs: { x } })[0] ?? []);
}

/** The largest error of `found` as a part of what is expected. */
function relativeError(found: readonly number[], expected: readonly number[]): number {
  return Math.max(...expected.map((wanted, index) => Math.abs((found[index] ?? NaN) / wanted - 1)));
}

const SMALL = [1e-3, -1e-3, 1e-5, -1e-5, 3e-8, -3e-8, 1e-20, -1e-20].map(Math.fround);

describe("elementwise functions", () => {
  gpuTest("OP-07 expm1, log1p, erf and tanh have all their digits near 0", async (gpu) => {
    expect(relativeError(await results(gpu, SMALL, ops.expm1), SMALL.map(Math.expm1))).toBeLessThan(5e-7);
    expect(relativeError(await results(gpu, SMALL, ops.log1p), SMALL.map(Math.log1p))).toBeLessThan(5e-7);
    expect(relativeError(await results(gpu, SMALL, ops.erf), SMALL.map(erfOf))).toBeLessThan(5e-7);
    expect(relativeError(await results(gpu, SMALL, ops.tanh), SMALL.map(Math.tanh))).toBeLessThan(5e-7);
  });

  gpuTest("OP-07 log1p, erf and atan2 are exact to their bounds over a fine grid", async (gpu) => {
    const grid = Array.from({ length: 2003 }, (_, index) => Math.fround(-0.9 + index / 400));
    const x = grid.filter((value) => Math.abs(value) > 1e-3);
    expect(relativeError(await results(gpu, x, ops.log1p), x.map(Math.log1p))).toBeLessThan(12 * 2 ** -23);
    expect(relativeError(await results(gpu, x, ops.erf), x.map(erfOf))).toBeLessThan(6 * 2 ** -23);
    const angles = await results(gpu, x, (a) => ops.atan2(a, -0.7));
    expect(relativeError(angles, x.map((y) => Math.atan2(y, Math.fround(-0.7))))).toBeLessThan(8 * 2 ** -23);
  });

  gpuTest("OP-07 softplus and logSigmoid neither overflow nor round to 0 early", async (gpu) => {
    const softened = await results(gpu, [100, Infinity], ops.softplus);
    expect(softened).toEqual([100, Infinity]);
    const logarithms = await results(gpu, [-200, -Infinity], ops.logSigmoid);
    expect(logarithms).toEqual([-200, -Infinity]);
    expect(relativeError(await results(gpu, [-80], ops.softplus), [Math.exp(-80)])).toBeLessThan(3e-5);
    expect(relativeError(await results(gpu, [80], ops.logSigmoid), [-Math.exp(-80)])).toBeLessThan(3e-5);
  });

  gpuTest("OP-07 round takes the even one of two that are as near", async (gpu) => {
    const x = [0.5, 1.5, 2.5, -0.5, -1.5, -2.5, 0.49999997, 8388607.5, 1e30];
    expect((await results(gpu, x, ops.round)).map((value) => value + 0)).toEqual([
      ...[0, 2, 2, 0, -2, -2, 0, 8388608, Math.fround(1e30)],
    ]);
  });

  gpuTest(
    "OP-07 mod is exact at any size and has the sign of the divisor, as PyTorch's remainder",
    async (gpu) => {
      const [a, b] = [[7, -7, 7, -7, 1e30, 3.4e38, 1e-3, 5, NaN, Infinity, -1], [
        ...[3, 3, -3, -3, 0.7, 1.1e-3, 1e-6, 0, 1, 2, Infinity],
      ]];
      const [found] = await runValues(
        gpu,
        [ops.mod(input("a", "f32", [a.length]), input("b", "f32", [b.length]))],
        { a, b },
      );
      const [big, wide, small] = [
        Math.fround(1e30) % Math.fround(0.7),
        Math.fround(3.4e38) % Math.fround(1.1e-3),
        Math.fround(1e-3) % Math.fround(1e-6),
      ];
      expect(Array.from(found?.toArray() ?? [], Number)).toEqual([
        ...[1, 2, -2, -1, big, wide, small].map(Math.fround),
        ...[NaN, NaN, NaN, Infinity],
      ]);
    },
  );

  gpuTest("OP-07 atan2 has C's angles for zeros and infinities", async (gpu) => {
    const specials = [0, -0, 1, -1, Infinity, -Infinity, NaN, 1e38, 1e-38];
    const y = specials.flatMap((value) => specials.map(() => value));
    const x = specials.flatMap(() => specials);
    const [found] = await runValues(
      gpu,
      [ops.atan2(input("y", "f32", [y.length]), input("x", "f32", [x.length]))],
      { y, x },
    );
    Array.from(found?.toArray() ?? [], Number).forEach((angle, index) => {
      const expected = Math.atan2(y[index] ?? NaN, x[index] ?? NaN);
      if (expected === 0 || Number.isNaN(expected)) expect(Object.is(angle, expected)).toBe(true);
      else if (Math.abs(expected) > 1e-30) expect(Math.abs(angle / expected - 1)).toBeLessThan(1e-6);
    });
  });

  gpuTest("OP-07 isFinite tells numbers from infinities and NaN", async (gpu) => {
    expect(await results(gpu, [1, -0, 3e38, Infinity, -Infinity, NaN], ops.isFinite)).toEqual([
      1,
      1,
      1,
      0,
      0,
      0,
    ]);
  });

  gpuTest("OP-07 activations keep NaN, and give at infinity what PyTorch gives", async (gpu) => {
    const x = [NaN, Infinity, -Infinity];
    const expected: [(a: Value) => Value, number[]][] = [
      [ops.relu, [NaN, Infinity, 0]],
      [ops.leakyRelu, [NaN, Infinity, -Infinity]],
      [ops.elu, [NaN, Infinity, -1]],
      [ops.selu, [NaN, Infinity, Math.fround(-1.7580993408473766)]],
      [ops.silu, [NaN, Infinity, NaN]],
      [ops.mish, [NaN, Infinity, NaN]],
      [ops.hardSwish, [NaN, Infinity, NaN]],
      [ops.gelu, [NaN, Infinity, NaN]],
      [(a) => ops.clip(a, -1, 2), [NaN, 2, -1]],
    ];
    const a = input("x", "f32", [3]);
    const found = await runValues(gpu, expected.map(([op]) => op(a)), { x });
    expected.forEach(([, wanted], index) => {
      const is = Array.from(found[index]?.toArray() ?? [], Number);
      is.forEach((value, which) => {
        if (Number.isFinite(wanted[which] ?? NaN)) expect(value).toBeCloseTo(wanted[which] ?? NaN, 5);
        else expect(value).toBe(wanted[which] ?? 0);
      });
    });
  });
});

describe("gradients of elementwise functions where there are two to choose from", () => {
  test("OP-07 relu passes the gradient on where its operand is NaN, as in PyTorch, and not at 0", () => {
    expect(slopes([NaN, 0, 1, -1], ops.relu)).toEqual([1, 0, 1, 0]);
  });

  test("OP-07 clip passes the gradient at both of its limits, and not outside", () => {
    expect(slopes([-2, -1, 0, 1, 2, NaN], (a) => ops.clip(a, -1, 1))).toEqual([0, 1, 1, 1, 0, 0]);
  });

  test("OP-07 elu and selu have finite gradients where the exponential would overflow", () => {
    expect(slopes([200, 0, -200], (a) => ops.elu(a))).toEqual([1, 1, Math.exp(-200)]);
    expect(slopes([200], ops.selu)).toEqual([1.0507009873554805]);
  });

  test("OP-07 ceil, floor, round and sign are flat", () => {
    for (const op of [ops.ceil, ops.floor, ops.round, ops.sign]) {
      expect(slopes([0.3, -1.7], (a) => ops.mul(op(a), 1))).toEqual([0, 0]);
    }
  });
});

describe("mistakes with elementwise functions", () => {
  test("OP-07 a limit of NaN and an unknown approximation are refused", () => {
    const a = input("x", "f32", [2]);
    expect(() => ops.clip(a, NaN, 1)).toThrow("clip: the limits are numbers, not NaN and 1");
    expect(() => Reflect.apply(ops.gelu, undefined, [a, { approximate: "erf" }])).toThrow(
      'gelu: approximate is "none" or "tanh", not erf',
    );
  });
});
