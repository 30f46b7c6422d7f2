import { describe, expect, test } from "bun:test";
import type { DType } from "../../../src/base/dtype.ts";
import type { GpuDevice } from "../../../src/gpu/gpu_device.ts";
import { elementwise } from "../../../src/kernels/elementwise/elementwise.ts";
import type { ComputeDType, Expression } from "../../../src/kernels/elementwise/expression.ts";
import { encodeStepScalars } from "../../../src/kernels/step_scalars.ts";
import { binary, type BinaryOp, unary, type UnaryOp } from "../../helpers/apply_op.ts";
import { gpuTest } from "../../helpers/gpu.ts";
import { type HostArray, runDispatch } from "../../helpers/run_dispatch.ts";
import { expectClose, expectSame, randomNumbers, SIZES, type Tolerance } from "../numbers.ts";
import { expressionTwin } from "../twins/expression_twin.ts";

const X: Expression = { kind: "input", index: 0 };
const Y: Expression = { kind: "input", index: 1 };

function constant(value: number, dtype: ComputeDType = "f32"): Expression {
  return { kind: "constant", value, dtype };
}

type Numbers = Float32Array | Int32Array | Uint32Array;

function dtypeOf(array: Numbers): ComputeDType {
  return array instanceof Float32Array ? "f32" : array instanceof Int32Array ? "i32" : "u32";
}

function arrayOf(dtype: ComputeDType, count: number): Numbers {
  const arrays = { f32: Float32Array, i32: Int32Array, u32: Uint32Array };
  return new arrays[dtype](count);
}

/** An expression and how close the kernel has to come; exactly when nothing is said. */
interface Case {
  readonly name: string;
  readonly expression: Expression;
  readonly tolerance?: Tolerance | undefined;
}

/** A kernel takes long to compile and has room for this many outputs beside two inputs. */
const CASES_PER_KERNEL = 6;

/** Compares with the twin for each element of contiguous inputs. */
async function compare(gpu: GpuDevice, cases: readonly Case[], inputs: readonly Numbers[]): Promise<void> {
  const count = inputs[0]?.length ?? 0;
  const elements = (index: number) =>
    inputs.map((input) => ({ value: input[index] ?? NaN, dtype: dtypeOf(input) }));
  const twins = cases.map(({ expression }) =>
    Array.from({ length: Math.max(count, 1) }, (_, index) => expressionTwin(expression, elements(index)))
  );
  const outputs = cases.map(({ expression }, which) => {
    const dtype = twins[which]?.[0]?.dtype ?? "f32";
    return { binding: arrayOf(dtype, count), dtype, expression };
  });
  const dispatch = elementwise<HostArray>({
    inputs: inputs.map((binding) => ({ binding, dtype: dtypeOf(binding), strides: [1] })),
    outputs,
    shape: [count],
  });
  const results = await runDispatch(gpu, dispatch, outputs.map(({ binding }) => binding));
  cases.forEach(({ name, tolerance }, which) => {
    const expected = (twins[which] ?? []).slice(0, count).map(({ value, dtype }) =>
      dtype === "f32" ? Math.fround(value) : value
    );
    try {
      expectClose(results[which] ?? [], expected, tolerance);
    } catch (cause) {
      throw new Error(`${name} of ${count}: ${(cause as Error).message}`, { cause });
    }
  });
}

/** Compares with 4 elements at a time and with one, several cases in a kernel. */
async function expectTwins(
  gpu: GpuDevice,
  cases: readonly Case[],
  inputs: readonly Numbers[],
): Promise<void> {
  const count = inputs[0]?.length ?? 0;
  const whole = count - count % 4;
  for (const length of [whole, whole - 1]) {
    for (let first = 0; first < cases.length; first += CASES_PER_KERNEL) {
      const some = cases.slice(first, first + CASES_PER_KERNEL);
      await compare(gpu, some, inputs.map((input) => input.subarray(0, length)));
    }
  }
}

function unaryCases(ops: readonly UnaryOp[], tolerance?: Tolerance): Case[] {
  return ops.map((op) => ({ name: op, expression: unary(op, X), tolerance }));
}

function binaryCases(ops: readonly BinaryOp[], tolerance?: Tolerance): Case[] {
  return ops.map((op) => ({ name: op, expression: binary(op, X, Y), tolerance }));
}

function castCases(dtypes: readonly ComputeDType[], tolerance?: Tolerance): Case[] {
  return dtypes.map((dtype) => ({ name: dtype, expression: { kind: "cast", a: X, dtype }, tolerance }));
}

const [N, I] = [NaN, Infinity];
const SPECIAL = Float32Array.of(
  N,
  I,
  -I,
  0,
  -0,
  1,
  -1,
  0.25,
  -0.25,
  1e-3,
  5,
  -5,
  20,
  -20,
  87,
  -87,
  3e38,
  -3e38,
  2.5,
  0.5,
);
/** Every pair of some numbers. */
const PAIRED = [N, I, -I, 0, 1, -1, 2, -2, 0.5, -3, 7];
const LEFT = Float32Array.from(PAIRED.flatMap((a) => PAIRED.map(() => a)));
const RIGHT = Float32Array.from(PAIRED.flatMap(() => PAIRED));
const SIGNED = [0, 1, -1, 7, -7, 2 ** 31 - 1, -(2 ** 31), 65_537];
const UNSIGNED = [0, 1, 2, 7, 2 ** 31, 2 ** 32 - 1, 65_537, 100];

function pairs<T extends Numbers>(numbers: readonly number[], make: (values: number[]) => T): [T, T] {
  return [make(numbers.flatMap((a) => numbers.map(() => a))), make(numbers.flatMap(() => [...numbers]))];
}

const COMPARISONS = ["equal", "notEqual", "less", "lessEqual", "greater", "greaterEqual"] as const;
const TRANSCENDENTAL: readonly Case[] = [
  ...unaryCases(["exp"], { relative: 2e-5 }),
  ...unaryCases(["tanh"], { relative: 2e-6 }),
  ...unaryCases(["sigmoid"], { relative: 2e-5, absolute: 1e-37 }),
];

describe("elementwise on f32", () => {
  gpuTest(
    "computes neg, abs, floor, sign, square, relu and isNaNValue exactly, NaN and infinity included",
    async (gpu) => {
      await expectTwins(gpu, unaryCases(["neg", "abs", "floor", "sign", "square", "relu", "isNaNValue"]), [
        SPECIAL,
      ]);
    },
  );

  gpuTest(
    "computes roots, log, reciprocal, exp, tanh and sigmoid closely, NaN and infinity included",
    async (gpu) => {
      const roots = unaryCases(["sqrt", "rsqrt", "reciprocal"], { relative: 1e-6 });
      const log = unaryCases(["log"], { absolute: 1e-6, relative: 1e-6 });
      await expectTwins(gpu, [...roots, ...log, ...TRANSCENDENTAL], [SPECIAL]);
    },
  );

  gpuTest("is as close for thousands of ordinary numbers, and for sin and cos of them", async (gpu) => {
    const numbers = randomNumbers(4096, 1).map((x) => x * 10);
    await expectTwins(gpu, [...TRANSCENDENTAL, ...unaryCases(["sin", "cos"], { absolute: 6e-4 })], [numbers]);
  });

  gpuTest(
    "computes add, sub, mul, max and min exactly, and div closely, for NaN, infinity and every pair",
    async (gpu) => {
      const exact = binaryCases(["add", "sub", "mul", "maximum", "minimum"]);
      await expectTwins(gpu, [...exact, ...binaryCases(["div"], { relative: 1e-6 })], [LEFT, RIGHT]);
    },
  );

  gpuTest("raises negative numbers to whole powers, and gives NaN for others", async (gpu) => {
    const numbers = [N, I, -I, 0, 1, 2, -2, 0.5, -0.5, -3, 3, 10, -1.5, 2.5, -1];
    const [left, right] = pairs(numbers, (values) => Float32Array.from(values));
    await expectTwins(gpu, binaryCases(["pow"], { relative: 2e-5 }), [left, right]);
  });

  gpuTest("raises to powers that are known as closely, keeping the sign of 0 and infinity", async (gpu) => {
    const powers = [1, 2, 3, -1, -2, 0.5, 0, N, I, -I].map((power) => ({
      name: `power ${power}`,
      expression: binary("pow", X, constant(power)),
      tolerance: { relative: 2e-5 },
    }));
    await expectTwins(gpu, powers, [SPECIAL.map((x) => Math.abs(x) > 1e30 ? Math.sign(x) * 1e5 : x)]);
    const odd = [1, 3, -1].map((power) => binary("pow", X, constant(power)));
    const poles = odd.map((a) => ({ name: "1 / power", expression: unary("reciprocal", a) }));
    await expectTwins(gpu, poles, [Float32Array.of(0, -0, I, -I)]);
  });

  gpuTest("compares NaN, infinity and every pair", async (gpu) => {
    await expectTwins(gpu, binaryCases(COMPARISONS), [LEFT, RIGHT]);
  });

  gpuTest("compares a NaN with itself", async (gpu) => {
    const cases = COMPARISONS.map((op) => ({ name: op, expression: binary(op, X, X) }));
    await expectTwins(gpu, cases, [SPECIAL]);
  });

  gpuTest("selects by a condition, and lets no NaN through that it does not select", async (gpu) => {
    const expression: Expression = { kind: "select", condition: binary("less", X, Y), a: X, b: Y };
    await expectTwins(gpu, [{ name: "select", expression }], [LEFT, RIGHT]);
  });

  gpuTest("casts to integers towards zero, clamped, with NaN as 0", async (gpu) => {
    const edges = [2 ** 31, -(2 ** 31), 2 ** 32, 3e9, -3e9, 2147483520, 4294967040];
    const numbers = Float32Array.of(N, I, -I, 0, 0.9, -0.9, 1.5, -1.5, 7, ...edges);
    await expectTwins(gpu, castCases(["i32", "u32", "f32"]), [numbers]);
  });
});

describe("elementwise on integers", () => {
  gpuTest("adds, multiplies, divides and compares i32 exactly, wrapping at 32 bits", async (gpu) => {
    const [left, right] = pairs(SIGNED, (values) => Int32Array.from(values));
    await expectTwins(gpu, binaryCases(["add", "sub", "mul", "div", "maximum", "minimum", "less", "equal"]), [
      left,
      right,
    ]);
    await expectTwins(gpu, unaryCases(["neg", "abs", "sign", "square", "relu"]), [
      Int32Array.from(SIGNED),
    ]);
  });

  gpuTest("adds, multiplies, divides and compares u32 exactly, wrapping at 32 bits", async (gpu) => {
    const [left, right] = pairs(UNSIGNED, (values) => Uint32Array.from(values));
    const ops = [
      "add",
      "sub",
      "mul",
      "div",
      "maximum",
      "minimum",
      "greater",
      "notEqual",
      "logicalAnd",
      "logicalOr",
    ] as const;
    await expectTwins(gpu, binaryCases(ops), [left, right]);
    await expectTwins(gpu, unaryCases(["abs", "sign", "square", "logicalNot"]), [Uint32Array.from(UNSIGNED)]);
  });

  gpuTest("divides by a constant 0, and of constants alone, as tensors are divided", async (gpu) => {
    for (const dtype of ["i32", "u32"] as const) {
      const left = dtype === "i32" ? Int32Array.from(SIGNED) : Uint32Array.from(UNSIGNED);
      const cases = (["div"] as const).flatMap((op) => [
        { name: `x ${op} 0`, expression: binary(op, X, constant(0, dtype)) },
        { name: `0 ${op} x`, expression: binary(op, constant(0, dtype), X) },
        {
          name: `5 ${op} 0`,
          expression: binary("add", X, binary(op, constant(5, dtype), constant(0, dtype))),
        },
      ]);
      const low = binary("div", constant(-(2 ** 31), "i32"), constant(-1, "i32"));
      const overflow = dtype === "i32" ? [{ name: "smallest / -1", expression: binary("add", X, low) }] : [];
      await expectTwins(gpu, [...cases, ...overflow], [left]);
    }
  });

  gpuTest("casts between integers by their bits, and to f32 rounded", async (gpu) => {
    const rounded = castCases(["f32"], { relative: 1e-7 });
    await expectTwins(gpu, [...castCases(["u32"]), ...rounded], [Int32Array.from(SIGNED)]);
    await expectTwins(gpu, [...castCases(["i32"]), ...rounded], [Uint32Array.from(UNSIGNED)]);
  });
});

describe("elementwise", () => {
  gpuTest("computes 0 to 65537 elements and nothing else", async (gpu) => {
    const expression = binary("add", binary("mul", X, constant(2)), Y);
    for (const count of SIZES) {
      const inputs = [
        randomNumbers(count, 1).map((x) => Math.floor(x * 100)),
        randomNumbers(count, 2).map(Math.floor),
      ];
      await compare(gpu, [{ name: "2x + y", expression }], inputs);
    }
  });

  gpuTest("writes constants bit for bit, also those that no literal can say", async (gpu) => {
    const floats = [N, I, -I, -0, 1e-45, 0.1, -1.5, 1e20, 1e-20, 3.4028234663852886e38, 16_777_217];
    const constants: [number, ComputeDType][] = [
      ...floats.map((value): [number, ComputeDType] => [value, "f32"]),
      [-(2 ** 31), "i32"],
      [-5, "i32"],
      [2 ** 32 - 1, "u32"],
    ];
    for (const some of [constants.slice(0, 7), constants.slice(7)]) {
      const outputs = some.map(([value, dtype]) => ({
        binding: arrayOf(dtype, 5).fill(7),
        dtype,
        expression: constant(value, dtype),
      }));
      const dispatch = elementwise<HostArray>({ inputs: [], outputs, shape: [5] });
      const results = await runDispatch(gpu, dispatch, outputs.map(({ binding }) => binding));
      some.forEach(([value, dtype], which) => {
        expect(results[which]?.[4]).toBe(dtype === "f32" ? Math.fround(value) : value);
      });
    }
  });

  gpuTest(
    "broadcasts rows, columns, single elements and transposes, in shapes of whole vectors and others",
    async (gpu) => {
      for (const [d0, d1, d2] of [[3, 5, 8], [3, 5, 7], [1, 6, 1], [4, 1, 12]] as const) {
        const strides = [[d1 * d2, d2, 1], [0, 0, 1], [0, 1, 0], [0, 0, 0], [1, d0, d0 * d1], [d2, 0, 1]];
        const inputs = strides.map((own, which) => {
          const span = 1 + own.reduce((sum, stride, axis) => sum + stride * ([d0, d1, d2][axis] ?? 1), 0);
          return {
            binding: randomNumbers(span, which + 1).map((x) => Math.floor(x * 50)),
            dtype: "f32" as const,
            strides: own,
          };
        });
        const expression = inputs.map((_, index): Expression => ({ kind: "input", index }))
          .reduce(
            (sum, input, index) => binary("add", sum, binary("mul", input, constant(index + 1))),
            constant(0),
          );
        const out = new Float32Array(d0 * d1 * d2);
        const options = {
          inputs,
          outputs: [{ binding: out, dtype: "f32" as const, expression }],
          shape: [d0, d1, d2],
        };
        const [result] = await runDispatch(gpu, elementwise<HostArray>(options), [out]);
        const expected = out.map((_, index) => {
          const at = [Math.floor(index / (d1 * d2)), Math.floor(index / d2) % d1, index % d2];
          return inputs.reduce((sum, { binding, strides }, which) => {
            const offset = at.reduce(
              (total, coordinate, axis) => total + coordinate * (strides[axis] ?? 0),
              0,
            );
            return sum + (binding[offset] ?? NaN) * (which + 1);
          }, 0);
        });
        expectSame(result, expected);
      }
    },
  );

  gpuTest("unpacks every dtype that is smaller than 32 bits", async (gpu) => {
    const cases: [DType, HostArray, number[]][] = [
      ["u8", Uint8Array.of(0, 1, 127, 128, 255, 7, 9), [0, 1, 127, 128, 255, 7, 9]],
      ["bool", Uint8Array.of(0, 1, 1, 0, 1, 0, 1), [0, 1, 1, 0, 1, 0, 1]],
      ["i8", Uint8Array.of(0, 1, 127, 128, 255, 7, 9), [0, 1, 127, -128, -1, 7, 9]],
      ["u16", Uint16Array.of(0, 1, 32_767, 32_768, 65_535, 7, 9), [0, 1, 32_767, 32_768, 65_535, 7, 9]],
      ["i16", Uint16Array.of(0, 1, 32_767, 32_768, 65_535, 7, 9), [0, 1, 32_767, -32_768, -1, 7, 9]],
      ["f16", Uint16Array.of(0, 0x3c00, 0xc000, 0x7bff, 0x7c00, 0x7e00, 0x3555), [
        0,
        1,
        -2,
        65_504,
        I,
        N,
        0.333251953125,
      ]],
      ["bf16", Uint16Array.of(0, 0x3f80, 0xc000, 0x7f80, 0x7fc0, 0x4049, 0xbf80), [
        0,
        1,
        -2,
        I,
        N,
        3.140625,
        -1,
      ]],
    ];
    for (const [dtype, binding, expected] of cases) {
      for (const count of [7, 4]) {
        const out = new Float32Array(count);
        const dispatch = elementwise<HostArray>({
          inputs: [{ binding, dtype, strides: [1] }],
          outputs: [{ binding: out, dtype: "f32", expression: { kind: "cast", a: X, dtype: "f32" } }],
          shape: [count],
        });
        expectSame((await runDispatch(gpu, dispatch, [out]))[0], expected.slice(0, count));
      }
    }
  });

  gpuTest("writes several outputs, and reads the step's scalars", async (gpu) => {
    const values = [0.5, 2, 3, 4, 5, 6];
    const scalars = encodeStepScalars({ seed: 0, step: 0, values });
    for (const count of [8, 9]) {
      const [input, scaled, whole] = [
        randomNumbers(count, 3),
        new Float32Array(count),
        new Int32Array(count),
      ];
      const product = binary("mul", X, { kind: "scalar", index: 5 });
      const dispatch = elementwise<HostArray>({
        inputs: [{ binding: input, dtype: "f32", strides: [1] }],
        outputs: [
          { binding: scaled, dtype: "f32", expression: product },
          { binding: whole, dtype: "i32", expression: { kind: "cast", a: product, dtype: "i32" } },
        ],
        shape: [count],
        scalars,
      });
      const [first, second] = await runDispatch(gpu, dispatch, [scaled, whole]);
      expectSame(first, input.map((x) => x * 6));
      expectSame(second, input.map((x) => Math.trunc(Math.fround(x * 6))));
    }
  });

  test("computes a node that is used twice once, and reads only inputs that are used", () => {
    const shared = unary("exp", X);
    const dispatch = elementwise({
      inputs: [{ binding: "x", dtype: "f32", strides: [1] }, {
        binding: "unused",
        dtype: "f64",
        strides: [1],
      }],
      outputs: [{
        binding: "out",
        dtype: "f32",
        expression: binary("add", shared, binary("mul", shared, shared)),
      }],
      shape: [10],
      scalars: "scalars",
    });
    expect(dispatch.code.split("exp(").length).toBe(2);
    expect(dispatch.bindings).toEqual(["x", "out"]);
  });

  test("has nothing to dispatch for a shape without elements", () => {
    const outputs = [{ binding: "out", dtype: "f32" as const, expression: constant(1) }];
    expect(elementwise({ inputs: [], outputs, shape: [3, 0] }).workgroups).toEqual([0, 0, 0]);
    expect(elementwise({ inputs: [], outputs, shape: [] }).workgroups).toEqual([1, 1, 1]);
  });

  test("refuses operations that do not take their operands", () => {
    const compile = (expression: Expression, dtype: ComputeDType = "f32") =>
      elementwise({
        inputs: [{ binding: "x", dtype: "f32", strides: [1] }, { binding: "y", dtype: "i64", strides: [1] }],
        outputs: [{ binding: "out", dtype, expression }],
        shape: [4],
      });
    expect(() => compile(binary("add", X, constant(1, "i32")))).toThrow(
      '"add" takes two operands of one dtype, not f32 and i32',
    );
    expect(() => compile(unary("exp", constant(1, "i32")), "i32")).toThrow('"exp" does not take i32');
    expect(() => compile(binary("logicalAnd", X, X), "u32")).toThrow('"logicalAnd" does not take f32');
    expect(() => compile({ kind: "select", condition: X, a: X, b: X })).toThrow('"select" takes a u32');
    expect(() => compile(X, "u32")).toThrow("Output 0 is u32, and its expression f32");
    expect(() => compile(Y, "i32")).toThrow("cannot compute with i64");
    expect(() => compile({ kind: "input", index: 2 })).toThrow("reads input 2 of 2");
    expect(() => compile({ kind: "scalar", index: 0 })).toThrow("bind them");
    expect(() => compile(constant(0.5, "u32"), "u32")).toThrow("whole number from 0 to 4294967295, not 0.5");
  });

  test("refuses strides that do not fit the shape, and more than 8 storage bindings", () => {
    const outputs = [{ binding: "out", dtype: "f32" as const, expression: X }];
    const input = { binding: "x", dtype: "f32" as const, strides: [1] };
    expect(() => elementwise({ inputs: [input], outputs, shape: [2, 2] })).toThrow(
      "1 strides for a shape of 2 dimensions",
    );
    expect(() => elementwise({ inputs: [{ ...input, strides: [0.5] }], outputs, shape: [2] })).toThrow(
      "input 0: strides, offset and bounds are whole numbers below 2^32, not 0.5",
    );
    const all = Array.from({ length: 8 }, (_, index): Expression => ({ kind: "input", index }));
    const sum = all.reduce((total, next) => binary("add", total, next));
    const inputs = all.map(() => input);
    expect(() =>
      elementwise({ inputs, outputs: [{ binding: "out", dtype: "f32", expression: sum }], shape: [2] })
    ).toThrow(
      "8 inputs and 1 outputs are more than 8 bindings",
    );
  });
});
