import { describe } from "bun:test";
import { gradients } from "../../src/graph/autodiff.ts";
import * as ops from "../../src/graph/ops.ts";
import type { Value } from "../../src/graph/value.ts";
import type { GpuDevice } from "../../src/gpu/gpu_device.ts";
import { layerNorm } from "../../src/nn/layers/layer_norm.ts";
import type { Scope } from "../../src/nn/scope.ts";
import { HostTensor } from "../../src/tensor/host_tensor.ts";
import { gpuTest } from "../helpers/gpu.ts";
import { runValues } from "./run_values.ts";

// What docs/numerics.md guarantees of NaN and infinity, also where a compiler could prove that a value is not finite.

const [N, I] = [NaN, Infinity];

/** What is computed of `x`, and what has to come out: bit for bit, but for the bits of a NaN. */
type Case = readonly [name: string, build: (x: Value) => Value, expected: readonly number[]];

async function expectExact(
  gpu: GpuDevice,
  x: readonly number[],
  cases: readonly Case[],
  dtype: "f32" | "i32" | "u32" = "f32",
): Promise<void> {
  const input = ops.input("x", dtype, [x.length]);
  const values = cases.map(([, build]) => build(input));
  const found = await runValues(gpu, values, { x });
  const wrong = cases.flatMap(([name, , expected], index) => {
    const is = Array.from(found[index]?.toArray() ?? [], Number);
    const isRight = is.length === expected.length &&
      is.every((element, at) => Object.is(element, expected[at]));
    return isRight ? [] : [`${name} is ${listed(is)}, expected ${listed(expected)}`];
  });
  if (wrong.length > 0) throw new Error(wrong.join("\n"));
}

function listed(elements: readonly number[]): string {
  return `[${elements.map((x) => Object.is(x, -0) ? "-0" : `${x}`).join(", ")}]`;
}

/** The gradient of the sum of `build(x)`. */
function derivative(build: (x: Value) => Value): (x: Value) => Value {
  return (x) => gradients(ops.sum(build(x)), [x])[0] ?? x;
}

/** Through a kernel of its own, which shows the memory that a dropped store leaves. */
function throughMatmul(value: Value): Value {
  const one = ops.constant(HostTensor.from([1], [1, 1]));
  return ops.reshape(ops.matmul(ops.reshape(value, [-1, 1]), one), [-1]);
}

const never: Scope = {
  parameter: (_name: string, shape: readonly number[]) => ops.ones(shape),
  callOf: () => never,
} as unknown as Scope;

describe("results that are not finite", () => {
  gpuTest("are written when a divisor is known to be 0", async (gpu) => {
    const quotients = [I, N, -I, I];
    await expectExact(gpu, [7, 0, -3, 2], [
      ["x / 0", (x) => ops.div(x, 0), quotients],
      ["x / 0 through a matmul", (x) => throughMatmul(ops.div(x, 0)), quotients],
      ["x / 0 + 1", (x) => ops.add(ops.div(x, 0), 1), quotients],
      ["x / zeros", (x) => ops.div(x, ops.zeros([4])), quotients],
      ["x / -0", (x) => ops.div(x, -0), [-I, N, I, -I]],
      ["x / |x * 0|", (x) => throughMatmul(ops.div(x, ops.abs(ops.mul(x, 0)))), quotients],
      ["x / (x - x)", (x) => ops.div(x, ops.sub(x, x)), quotients],
      ["0 / x", (x) => ops.div(0, x), [0, N, -0, 0]],
      ["1 / (x * 0)", (x) => ops.reciprocal(ops.mul(x, 0)), [I, I, -I, I]],
      ["log(x * 0)", (x) => ops.log(ops.mul(x, 0)), [-I, -I, -I, -I]],
      ["x / 0 where x > 1, else 5", (x) => ops.where(ops.greater(x, 1), ops.div(x, 0), 5), [I, 5, 5, I]],
      ["isNaN(x / 0)", (x) => ops.isNaNValue(ops.div(x, 0)), [0, 1, 0, 0]],
      ["x / 0 = infinity", (x) => ops.equal(ops.div(x, 0), I), [1, 0, 0, 1]],
    ]);
  });

  gpuTest("come out of constants, which no compiler refuses", async (gpu) => {
    const full = (value: number): Value => ops.full([2], value);
    await expectExact(gpu, [0], [
      ["log(0)", () => ops.log(ops.zeros([2])), [-I, -I]],
      ["log(-1)", () => ops.log(full(-1)), [N, N]],
      ["exp(100)", () => ops.exp(full(100)), [I, I]],
      ["1 / 0", () => ops.div(1, ops.zeros([2])), [I, I]],
      ["0 / 0", () => ops.div(ops.zeros([2]), ops.zeros([2])), [N, N]],
      ["1e30 * 1e30", () => ops.square(full(1e30)), [I, I]],
      ["3e38 + 3e38", () => ops.add(full(3e38), 3e38), [I, I]],
      ["-3e38 - 3e38", () => ops.sub(full(-3e38), 3e38), [-I, -I]],
      ["infinity - infinity", () => ops.sub(full(I), I), [N, N]],
      ["infinity * 0", () => ops.mul(full(I), 0), [N, N]],
      ["sqrt(-1)", () => ops.sqrt(full(-1)), [N, N]],
      ["1 / sqrt(0)", () => ops.rsqrt(full(0)), [I, I]],
      ["1 / 0 by reciprocal", () => ops.reciprocal(full(0)), [I, I]],
      ["(-8)^(1/3)", () => ops.pow(full(-8), 1 / 3), [N, N]],
      ["0^-1", () => ops.pow(full(0), -1), [I, I]],
      ["10^40", () => ops.pow(full(10), 40), [I, I]],
      ["floor(infinity)", () => ops.floor(full(I)), [I, I]],
      ["sin(infinity)", () => ops.sin(full(I)), [N, N]],
      ["mean of nothing", () => ops.mean(ops.zeros([0])), [N]],
      ["of numbers alone", (x) => ops.add(ops.mul(x, 0), ops.div(1, ops.constant(0))), [I]],
    ]);
  });

  gpuTest("are computed as IEEE 754 says from NaN, infinity and signed zeros", async (gpu) => {
    await expectExact(
      gpu,
      [N, I, -I, -3, -0, 0],
      [
        ["x * 0", (x) => ops.mul(x, 0), [N, N, N, -0, -0, 0]],
        ["0 * x", (x) => ops.mul(ops.zeros([6]), x), [N, N, N, -0, -0, 0]],
        ["x - x", (x) => ops.sub(x, x), [N, N, N, 0, 0, 0]],
        ["(x + 1) - (1 + x)", (x) => ops.sub(ops.add(x, 1), ops.add(1, x)), [N, N, N, 0, 0, 0]],
        ["x + -x", (x) => ops.add(x, ops.neg(x)), [N, N, N, 0, 0, 0]],
        ["x / x", (x) => ops.div(x, x), [N, N, N, 1, N, N]],
        ["x * (1 / x)", (x) => ops.sub(ops.mul(x, ops.reciprocal(x)), x), [N, N, N, 4, N, N]],
        ["(x + 1) - x", (x) => ops.sub(ops.add(x, 1), x), [N, N, N, 1, 1, 1]],
        ["x * 2 - x * 2", (x) => ops.sub(ops.mul(x, 2), ops.add(x, x)), [N, N, N, 0, 0, 0]],
        ["x + 0", (x) => ops.add(x, 0), [N, I, -I, -3, 0, 0]],
        ["0 - x", (x) => ops.sub(0, x), [N, -I, I, 3, 0, 0]],
        ["-x", (x) => ops.neg(x), [N, -I, I, 3, 0, -0]],
        ["(x + 1e30) - 1e30", (x) => ops.sub(ops.add(x, 1e30), 1e30), [N, I, -I, 0, 0, 0]],
        ["log(exp(x) * 1e30 * 1e30)", (x) => {
          const large = ops.mul(ops.mul(ops.exp(x), 1e30), 1e30);
          return ops.log(large);
        }, [N, I, -I, I, I, I]],
        ["max(x, 0)", (x) => ops.abs(ops.maximum(x, 0)), [N, I, 0, 0, 0, 0]],
        ["min(x, NaN)", (x) => ops.minimum(x, N), [N, N, N, N, N, N]],
        ["relu(x)", (x) => ops.abs(ops.relu(x)), [N, I, 0, 0, 0, 0]],
        ["sigmoid(x)", (x) => ops.mul(ops.sub(ops.sigmoid(x), 0.5), ops.abs(ops.sign(x))), [
          N,
          0.5,
          -0.5,
          Math.fround(-0.45257413),
          0,
          0,
        ]],
        ["where(x > 0, x, 1)", (x) => ops.where(ops.greater(x, 0), x, 1), [1, I, 1, 1, 1, 1]],
        ["where(x = x, 1, 2)", (x) => ops.where(ops.equal(x, x), ops.ones([6]), 2), [2, 1, 1, 1, 1, 1]],
        ["x < infinity", (x) => ops.less(x, I), [0, 0, 1, 1, 1, 1]],
        ["x != NaN", (x) => ops.notEqual(x, N), [1, 1, 1, 1, 1, 1]],
        ["x >= NaN", (x) => ops.greaterEqual(x, N), [0, 0, 0, 0, 0, 0]],
      ],
    );
  });

  gpuTest("become integers by clamping, NaN becoming 0, also where a constant is cast", async (gpu) => {
    const cast = (dtype: "i32" | "u32") => (x: Value): Value => ops.cast(x, dtype);
    const casts = (values: readonly number[], dtype: "i32" | "u32"): Case[] => {
      const [low, high] = dtype === "i32" ? [-(2 ** 31), 2 ** 31 - 1] : [0, 2 ** 32 - 1];
      return values.map((value) => {
        const expected = Number.isNaN(value) ? 0 : Math.min(Math.max(Math.trunc(value), low), high);
        return [`${value} as ${dtype}`, () => ops.cast(ops.constant(value), dtype), [expected + 0]];
      });
    };
    await expectExact(gpu, [N, I, -I, 3e9, -3e9, -3.5, 5e9], [
      ["x as i32", cast("i32"), [0, 2147483647, -2147483648, 2147483647, -2147483648, -3, 2147483647]],
      ["x as u32", cast("u32"), [0, 4294967295, 0, 3e9, 0, 0, 4294967295]],
      ["x / 0 as i32", (x) => ops.cast(ops.div(x, 0), "i32"), [
        0,
        2147483647,
        -2147483648,
        2147483647,
        -2147483648,
        -2147483648,
        2147483647,
      ]],
      ...casts([N, I, -I, 3e9, -3.5], "i32"),
      ...casts([N, I, -1, 5e9], "u32"),
    ]);
  });
});

describe("integers", () => {
  gpuTest("i32: x / 0 is x, and what overflows wraps, in tensors and in constants", async (gpu) => {
    const [low, high] = [-(2 ** 31), 2 ** 31 - 1];
    const full = (value: number): Value => ops.full([2], value, "i32");
    await expectExact(gpu, [7, -5, 0, low], [
      ["x / 0", (x) => ops.div(x, 0), [7, -5, 0, low]],
      ["x / (x - x)", (x) => ops.div(x, ops.sub(x, x)), [7, -5, 0, low]],
      ["x / -1", (x) => ops.div(x, -1), [-7, 5, 0, low]],
      ["5 / 0", () => ops.div(full(5), ops.zeros([2], "i32")), [5, 5]],
      ["smallest / -1", () => ops.div(full(low), full(-1)), [low, low]],
      ["largest + 1", () => ops.add(full(high), 1), [low, low]],
      ["smallest - 1", () => ops.sub(full(low), 1), [high, high]],
      ["largest * 2", () => ops.mul(full(high), 2), [-2, -2]],
      ["-smallest", () => ops.neg(full(low)), [low, low]],
      ["largest squared", () => ops.square(full(high)), [1, 1]],
      ["-1 as u32", () => ops.cast(full(-1), "u32"), [2 ** 32 - 1, 2 ** 32 - 1]],
    ], "i32");
  });

  gpuTest("u32: x / 0 is x, and what overflows wraps, in tensors and in constants", async (gpu) => {
    const high = 2 ** 32 - 1;
    const full = (value: number): Value => ops.full([2], value, "u32");
    await expectExact(gpu, [7, 0, high], [
      ["x / 0", (x) => ops.div(x, 0), [7, 0, high]],
      ["x / zeros", (x) => ops.div(x, ops.zeros([3], "u32")), [7, 0, high]],
      ["0 / x", (x) => ops.div(0, x), [0, 0, 0]],
      ["5 / 0", () => ops.div(full(5), 0), [5, 5]],
      ["0 - 1", () => ops.sub(full(0), 1), [high, high]],
      ["largest + 1", () => ops.add(full(high), 1), [0, 0]],
      ["largest as i32", () => ops.cast(full(high), "i32"), [-1, -1]],
    ], "u32");
  });
});

describe("gradients that are not finite", () => {
  gpuTest(
    "of powers follow PyTorch's rules, for bases and exponents that are constants or tensors",
    async (gpu) => {
      const ln2 = Math.fround(Math.log(2));
      await expectExact(gpu, [0.5, 2, -1, 0], [
        ["∂(-2)^x", derivative((x) => ops.pow(-2, x)), [N, N, N, N]],
        ["∂0^x", derivative((x) => ops.pow(0, x)), [0, 0, -I, 0]],
        ["∂2^x at 0", derivative((x) => ops.pow(2, ops.mul(x, 0))), [0, 0, 0, 0]],
        ["∂x^0", derivative((x) => ops.pow(x, 0)), [0, 0, 0, 0]],
        ["∂x^2", derivative((x) => ops.pow(x, 2)), [1, 4, -2, 0]],
        ["∂x^3", derivative((x) => ops.pow(x, 3)), [0.75, 12, 3, 0]],
        ["∂x^-1", derivative((x) => ops.pow(x, -1)), [-4, -0.25, -1, -I]],
        ["∂1^x", derivative((x) => ops.pow(1, x)), [0, 0, 0, 0]],
        ["∂x^zeros", derivative((x) => ops.pow(x, ops.zeros([4]))), [0, 0, 0, 0]],
        ["2^x at 0 times ln 2", () => derivative((x) => ops.pow(2, x))(ops.zeros([1])), [ln2]],
      ]);
    },
  );

  gpuTest("of quotients, roots and logarithms are infinite or NaN where they are", async (gpu) => {
    await expectExact(gpu, [8, 0, 4, -2], [
      ["∂((x - 5) / 0)", derivative((x) => ops.div(ops.sub(x, 5), 0)), [I, I, I, I]],
      ["∂(1 / (x * 0))", derivative((x) => ops.div(1, ops.mul(ops.abs(x), 0))), [N, N, N, N]],
      ["∂√x", derivative((x) => ops.mul(ops.sqrt(ops.mul(x, 0)), 1)), [N, N, N, N]],
      ["∂log(0 x)", derivative((x) => ops.log(ops.mul(x, 0))), [N, N, N, N]],
      ["∂log x at constants", () => derivative(ops.log)(ops.zeros([2])), [I, I]],
      ["∂√x at constants", () => derivative(ops.sqrt)(ops.zeros([2])), [I, I]],
      ["∂exp x at constants", () => derivative(ops.exp)(ops.full([2], 100)), [I, I]],
      ["∂where", derivative((x) => ops.where(ops.equal(x, 0), 3, ops.div(1, ops.mul(x, 1)))), [
        -1 / 64,
        N,
        -1 / 16,
        -0.25,
      ]],
    ]);
  });
});

describe("custom gradients", () => {
  gpuTest("that divide by what is known to be 0 are infinite or NaN", async (gpu) => {
    const same = (x: Value, gradient: (outGrad: Value, x: Value) => Value): Value =>
      ops.customOp({
        name: "same",
        inputs: [x],
        outputShape: x.shape,
        wgsl: `@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> out: array<f32>;
@compute @workgroup_size(4) fn main(@builtin(local_invocation_index) index: u32) { out[index] = x[index]; }`,
        workgroups: [1, 1, 1],
        gradient: (outGrad, [input = x]) => [gradient(outGrad, input)],
      });
    await expectExact(gpu, [8, 0, 4, -2], [
      ["g / 0", derivative((x) => same(x, (g) => ops.div(g, 0))), [I, I, I, I]],
      ["g / zeros", derivative((x) => same(x, (g) => ops.div(g, ops.zeros([4])))), [I, I, I, I]],
      ["g / |x * 0|", derivative((x) => same(x, (g, a) => ops.div(g, ops.abs(ops.mul(a, 0))))), [I, I, I, I]],
      ["g * log(0)", derivative((x) => same(x, (g) => ops.mul(g, ops.log(ops.zeros([4]))))), [
        -I,
        -I,
        -I,
        -I,
      ]],
      ["(g - g) / x", derivative((x) => same(x, (g, a) => ops.div(ops.sub(g, g), a))), [0, N, 0, -0]],
    ]);
  });
});

describe("what divides by a spread", () => {
  gpuTest("is NaN where the spread is 0, and infinite where only the divisor is", async (gpu) => {
    const spread = (x: Value): Value => ops.sqrt(ops.mean(ops.square(ops.sub(x, ops.mean(x)))));
    await expectExact(gpu, [3, 3, 3], [
      ["(x - mean) / std", (x) => ops.div(ops.sub(x, ops.mean(x)), spread(x)), [N, N, N]],
      ["(x - mean) * rsqrt(var)", (x) => {
        const centred = ops.sub(x, ops.mean(x));
        return ops.mul(centred, ops.rsqrt(ops.mean(ops.square(centred))));
      }, [N, N, N]],
      ["(x - 1) / std", (x) => throughMatmul(ops.div(ops.sub(x, 1), spread(x))), [I, I, I]],
      ["(x - 3) / zeros", (x) => ops.div(ops.sub(x, 3), ops.zeros([3])), [N, N, N]],
      ["layerNorm without epsilon", (x) => layerNorm(3, { epsilon: 0 })(x, never), [N, N, N]],
      ["layerNorm of a constant", () => layerNorm(3, { epsilon: 0 })(ops.full([3], 2), never), [N, N, N]],
      ["layerNorm", (x) => layerNorm(3)(x, never), [1, 1, 1]],
    ]);
  });

  gpuTest(
    "softmax and its logarithm give NaN where all inputs are -infinity, or one is infinity",
    async (gpu) => {
      await expectExact(gpu, [0, I, -I, N], [
        ["softmax", (x) => ops.softmax(x), [N, N, N, N]],
        ["softmax of -infinity", () => ops.softmax(ops.full([2], -I)), [N, N]],
        ["softmax with -infinity", (x) => ops.softmax(ops.where(ops.equal(x, 0), 1, ops.full([4], -I))), [
          1,
          0,
          0,
          0,
        ]],
        ["softmax of one class", (x) => ops.reshape(ops.softmax(ops.reshape(x, [4, 1])), [4]), [1, N, N, N]],
        ["logSoftmax of one class", (x) => ops.reshape(ops.logSoftmax(ops.reshape(x, [4, 1])), [4]), [
          0,
          N,
          N,
          N,
        ]],
      ]);
    },
  );

  gpuTest("cross-entropy gives NaN for logits that are infinite or NaN, for one class too", async (gpu) => {
    const labels = ops.zeros([4], "u32");
    const losses = (x: Value): Value => ops.softmaxCrossEntropy(ops.reshape(x, [4, 1]), labels);
    const pairs = (x: Value): Value => {
      const other = ops.reshape(ops.zeros([4]), [4, 1]);
      const first = ops.mul(ops.reshape(x, [4, 1]), ops.constant(HostTensor.from([1, 0.5], [1, 2])));
      return ops.softmaxCrossEntropy(ops.add(first, other), labels);
    };
    await expectExact(gpu, [0, I, -I, N], [
      ["loss of one class", losses, [0, N, N, N]],
      ["gradient of one class", derivative(losses), [0, N, N, N]],
      ["loss of two classes", (x) => ops.isNaNValue(pairs(x)), [0, 1, 1, 1]],
    ]);
  });
});
