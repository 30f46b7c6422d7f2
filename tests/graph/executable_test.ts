import { describe, expect } from "bun:test";
import { CairnError, type CairnErrorCode } from "../../src/base/errors.ts";
import type { BufferRange } from "../../src/gpu/buffer_range.ts";
import { BufferUsage } from "../../src/gpu/constants.ts";
import type { GpuDevice } from "../../src/gpu/gpu_device.ts";
import { gradients } from "../../src/graph/autodiff.ts";
import { Executable } from "../../src/graph/executable.ts";
import { add, mul, square, sub } from "../../src/graph/ops/arithmetic.ts";
import { cast } from "../../src/graph/ops/cast.ts";
import { full } from "../../src/graph/ops/fill.ts";
import { matmul } from "../../src/graph/ops/matmul.ts";
import { relu } from "../../src/graph/ops/piecewise.ts";
import { dropout, randomNormal, randomUniform } from "../../src/graph/ops/random.ts";
import { max, mean } from "../../src/graph/ops/reduce.ts";
import { softmaxCrossEntropy } from "../../src/graph/ops/softmax_cross_entropy.ts";
import { sum } from "../../src/graph/ops/sum.ts";
import { exp, tanh } from "../../src/graph/ops/transcendental.ts";
import { reshape, stopGradient, transpose } from "../../src/graph/ops/views.ts";
import type { Program } from "../../src/graph/program.ts";
import { constant, input, parameter, stepScalar, type Value } from "../../src/graph/value.ts";
import { HostTensor } from "../../src/tensor/host_tensor.ts";
import { gpuTest } from "../helpers/gpu.ts";
import { interpret } from "../helpers/interpreter.ts";
import { elementsOf } from "./op_cases.ts";
import { expectNear, noParameters, runValues, SCALARS } from "./run_values.ts";
import { Slab } from "./slab.ts";

function numbers(count: number, seed: number): number[] {
  return elementsOf({ shape: [count], dtype: "f32", from: -1, to: 1 }, seed);
}

/** What is thrown, which has to be something. */
async function failureOf(work: () => unknown): Promise<unknown> {
  try {
    await work();
  } catch (error) {
    return error;
  }
  throw new Error("Nothing was thrown");
}

/** Checks a failure: `what` is "TypeError" or the code of a `CairnError`. */
function expectFailure(failure: unknown, what: CairnErrorCode | "TypeError", message: string): void {
  if (!(failure instanceof Error)) throw new Error("What was thrown is no error");
  expect(failure.message).toContain(message);
  expect(failure instanceof CairnError ? failure.code : failure.name).toBe(what);
}

async function withExecutable(
  gpu: GpuDevice,
  program: Program,
  body: (executable: Executable) => unknown,
  variants: Map<string, string> = new Map(),
): Promise<void> {
  const executable = await Executable.compile(gpu, program, { label: "test", variants });
  try {
    await body(executable);
  } finally {
    executable.close();
  }
}

/** A classifier with dropout: every kind of op of a training step. All sizes are 12, so that few kernels are compiled. */
function classifier(): {
  program: Program;
  parameters: Record<string, number[]>;
  loss: Value;
  grads: Value[];
} {
  const x = input("x", "f32", [12, 12]);
  const labels = input("labels", "u32", [12]);
  const weights = [
    parameter("w0", "f32", [12, 12]),
    parameter("b0", "f32", [12]),
    parameter("w1", "f32", [12, 12]),
    parameter("b1", "f32", [12]),
  ];
  const [w0, b0, w1, b1] = weights;
  if (!w0 || !b0 || !w1 || !b1) throw new Error("unreachable");
  const hidden = dropout(relu(add(matmul(x, w0, { transposeB: true }), b0)), { rate: 0.25, stream: 1 });
  const logits = add(matmul(hidden, w1, { transposeB: true }), b1);
  const loss = mean(softmaxCrossEntropy(logits, labels));
  const grads = gradients(loss, weights);
  const parameters = { w0: numbers(144, 1), b0: numbers(12, 2), w1: numbers(144, 3), b1: numbers(12, 4) };
  const outputs = { loss, ...Object.fromEntries(grads.map((grad, index) => [`grad${index}`, grad])) };
  return { program: { inputs: [x, labels], outputs, parameters: noParameters }, parameters, loss, grads };
}

const BATCH = {
  x: Float32Array.from(numbers(144, 5)),
  labels: Uint32Array.from({ length: 12 }, (_, index) => index * 5 % 12),
};

describe("Executable in its steady state", () => {
  gpuTest("50 runs create no buffer, bind group or pipeline, and submit once each", async (gpu) => {
    const { program, parameters } = classifier();
    const slab = new Slab(gpu, "parameters", parameters);
    await withExecutable(gpu, { ...program, parameters: (name) => slab.range(name) }, (executable) => {
      executable.run(BATCH, SCALARS);
      const before = gpu.counters;
      for (let step = 0; step < 50; step++) executable.run(BATCH, { ...SCALARS, step });
      expect(gpu.counters).toEqual({ ...before, submits: before.submits + 50 });
    });
    slab.close();
  });

  gpuTest("the same model traced and compiled twice has the same plan and the same bits", async (gpu) => {
    const slab = new Slab(gpu, "parameters", classifier().parameters);
    const runs: { plan: string; tensors: HostTensor[] }[] = [];
    for (let round = 0; round < 2; round++) {
      const { program } = classifier();
      await withExecutable(
        gpu,
        { ...program, parameters: (name) => slab.range(name) },
        async (executable) => {
          executable.run(BATCH, SCALARS);
          runs.push({
            plan: executable.describe(),
            tensors: await executable.read(...Object.keys(program.outputs)),
          });
        },
      );
    }
    const [first, second] = runs;
    expect(second?.plan).toBe(first?.plan);
    first?.tensors.forEach((tensor, index) => expect(second?.tensors[index]?.equals(tensor)).toBe(true));
    slab.close();
  });

  gpuTest("a run's result does not depend on the runs before it", async (gpu) => {
    const { program, parameters } = classifier();
    const slab = new Slab(gpu, "parameters", parameters);
    await withExecutable(gpu, { ...program, parameters: (name) => slab.range(name) }, async (executable) => {
      executable.run(BATCH, SCALARS);
      const before = await executable.read("loss", "grad0");
      executable.run({ ...BATCH, x: Float32Array.from(numbers(144, 77)) }, { ...SCALARS, step: 8 });
      const between = await executable.read("loss", "grad0");
      executable.run(BATCH, SCALARS);
      const after = await executable.read("loss", "grad0");
      before.forEach((tensor, index) => expect(after[index]?.equals(tensor)).toBe(true));
      before.forEach((tensor, index) => expect(between[index]?.equals(tensor)).toBe(false));
    });
    slab.close();
  });
});

describe("Executable.run and read", () => {
  const x = input("x", "f32", [2, 3]);
  const doubled: Program = { inputs: [x], outputs: { y: mul(x, 2) }, parameters: noParameters };

  gpuTest("takes tensors, typed arrays and bytes", async (gpu) => {
    const floats = Float32Array.of(1, 2, 3, 4, 5, 6);
    await withExecutable(gpu, doubled, async (executable) => {
      const forms = [
        HostTensor.from(floats, [2, 3]),
        floats,
        new Uint8Array(floats.buffer),
        new DataView(floats.buffer),
      ];
      for (const form of forms) {
        executable.run({ x: new Float32Array(6) });
        executable.run({ x: form });
        const [y] = await executable.read("y");
        expect(y?.shape).toEqual([2, 3]);
        expectNear(y?.toArray() ?? [], [2, 4, 6, 8, 10, 12], 0);
      }
    });
  });

  gpuTest(
    "an input that does not fit is refused with what was compiled, and nothing is sent",
    async (gpu) => {
      await withExecutable(gpu, doubled, async (executable) => {
        executable.run({ x: new Float32Array(6).fill(1) });
        const { submits } = gpu.counters;
        const cases: [given: HostTensor | ArrayBufferView, code: CairnErrorCode, message: string][] = [
          [
            HostTensor.from(numbers(6, 1), [3, 2]),
            "shape_mismatch",
            'Input "x" is f32 of shape [3, 2]; the program was compiled for f32 of shape [2, 3]',
          ],
          [
            HostTensor.from(Int32Array.of(1, 2, 3, 4, 5, 6), [2, 3]),
            "dtype_mismatch",
            "is i32 of shape [2, 3]",
          ],
          [
            new Float32Array(5),
            "shape_mismatch",
            'Input "x" is a Float32Array of 20 bytes; the program was compiled for f32 of shape [2, 3] (24 bytes)',
          ],
          [new Int32Array(6), "dtype_mismatch", "is a Int32Array"],
        ];
        for (const [given, code, message] of cases) {
          const error = await failureOf(() => executable.run({ x: given }));
          expectFailure(error, code, message);
        }
        expect(gpu.counters.submits).toBe(submits);
        expectNear((await executable.read("y"))[0]?.toArray() ?? [], [2, 2, 2, 2, 2, 2], 0);
      });
    },
  );

  gpuTest("names that are missing or unknown are a TypeError that lists what there is", async (gpu) => {
    await withExecutable(gpu, doubled, async (executable) => {
      const y = new Float32Array(6);
      expect(() => executable.run({})).toThrow('"test" needs the input "x", which was not given');
      expect(() => executable.run({ x: y, z: y })).toThrow('"test" has no input "z"; it has "x"');
      expect(await failureOf(() => executable.read("z"))).toBeInstanceOf(TypeError);
    });
  });

  gpuTest("a closed executable says so", async (gpu) => {
    const executable = await Executable.compile(gpu, doubled, { label: "doubling" });
    executable.close();
    executable.close();
    const error = await failureOf(() => executable.run({ x: new Float32Array(6) }));
    expectFailure(error, "closed", 'Cannot use the executable "doubling": it was closed');
  });

  gpuTest("step scalars that are missing are asked for", async (gpu) => {
    const program = { ...doubled, outputs: { y: mul(x, stepScalar(1)) } };
    await withExecutable(gpu, program, async (executable) => {
      expect(() => executable.run({ x: new Float32Array(6) })).toThrow("give run() a seed and a step");
      executable.run({ x: new Float32Array(6).fill(2) }, SCALARS);
      expectNear((await executable.read("y"))[0]?.toArray() ?? [], new Array(6).fill(-2.5), 0);
    });
  });

  gpuTest("copies put outputs where the caller wants them, such as a ring", async (gpu) => {
    const ring = new Slab(gpu, "ring", { losses: [9, 9, 9, 9] });
    await withExecutable(
      gpu,
      { ...doubled, outputs: { y: reshape(mul(x, 2), [6]), first: sum(x) } },
      async (executable) => {
        for (let step = 0; step < 3; step++) {
          const into = { buffer: ring.buffer, offset: 4 * step, size: 4 };
          executable.run({ x: new Float32Array(6).fill(step + 1) }, undefined, [{ output: "first", into }]);
        }
        expect(await ring.read("losses")).toEqual([6, 12, 18, 9]);
        const small = [{ output: "y", into: { buffer: ring.buffer, offset: 0, size: 4 } }];
        expect(() => executable.run({ x: new Float32Array(6) }, undefined, small)).toThrow(
          'Output "y" has 24 bytes and cannot be copied into 4 bytes of "ring"',
        );
      },
    );
    ring.close();
  });

  gpuTest("outputs may be inputs, constants, numbers and views of each other", async (gpu) => {
    const fixed = constant(HostTensor.from([1, 2, 3]));
    const product = mul(x, 2);
    const outputs = {
      x,
      fixed,
      three: constant(3),
      product,
      flat: reshape(product, [6]),
      stopped: stopGradient(product),
    };
    await withExecutable(gpu, { ...doubled, outputs }, async (executable) => {
      executable.run({ x: Float32Array.of(1, 2, 3, 4, 5, 6) });
      const found = await executable.read(...Object.keys(outputs));
      const twice = [2, 4, 6, 8, 10, 12];
      [[1, 2, 3, 4, 5, 6], [1, 2, 3], [3], twice, twice, twice].forEach((expected, index) =>
        expectNear(found[index]?.toArray() ?? [], expected, 0)
      );
      expect(found[4]?.shape).toEqual([6]);
      expect(executable.stats.dispatches).toBe(2);
    });
  });
});

describe("what a program is computed with", () => {
  gpuTest("half, byte and bool inputs are unpacked where they are cast, at odd sizes too", async (gpu) => {
    const inputs = (["f16", "bf16", "u8", "bool"] as const).map((dtype) => input(dtype, dtype, [3]));
    const outputs = Object.fromEntries(inputs.map((value) => [value.dtype, mul(cast(value, "f32"), 2)]));
    await withExecutable(gpu, { inputs, outputs, parameters: noParameters }, async (executable) => {
      executable.run({
        f16: HostTensor.from([1.5, -2, 65504], [3], "f16"),
        bf16: HostTensor.from([1.5, -2, 256], [3], "bf16"),
        u8: Uint8Array.of(0, 7, 255),
        bool: HostTensor.from([true, false, true]),
      });
      const found = await executable.read("f16", "bf16", "u8", "bool");
      [[3, -4, 131008], [3, -4, 512], [0, 14, 510], [2, 0, 2]].forEach((expected, index) =>
        expectNear(found[index]?.toArray() ?? [], expected, 0)
      );
    });
  });

  gpuTest("values without elements are no work and no trouble", async (gpu) => {
    const empty = input("empty", "f32", [0, 3]);
    const wide = input("wide", "f32", [3, 0]);
    const outputs = [
      mul(empty, 2),
      sum(empty, { axes: 0 }),
      matmul(wide, empty),
      transpose(empty),
      sum(empty),
    ];
    const found = await runValues(gpu, outputs, { empty: [], wide: [] });
    expect(found.map(({ shape }) => shape)).toEqual([[0, 3], [3], [3, 3], [3, 0], []]);
    expectNear(found[1]?.toArray() ?? [], [0, 0, 0], 0);
    expectNear(found[2]?.toArray() ?? [], new Array(9).fill(0), 0);
    expectNear(found[4]?.toArray() ?? [], [0], 0);
  });

  gpuTest("gradients that are taken twice are the same twice", async (gpu) => {
    const [logits, labels] = [input("logits", "f32", [3, 5]), input("labels", "u32", [3])];
    const loss = mean(softmaxCrossEntropy(logits, labels));
    const twice = [...gradients(loss, [logits]), ...gradients(loss, [logits])];
    const elements = { logits: numbers(15, 8), labels: [4, 0, 2] };
    const found = await runValues(gpu, twice, elements);
    const expected = interpret(twice, { inputs: elements });
    twice.forEach((_, index) => expectNear(found[index]?.toArray() ?? [], expected[index] ?? [], 1e-5));
  });

  gpuTest("NaN and infinity come through as in float64", async (gpu) => {
    const a = input("a", "f32", [2, 3]);
    const values = [relu(a), max(a, { axes: 1 }), sum(a, { axes: 1 }), exp(a), mul(a, 2)];
    const elements = { a: [NaN, 1, 2, Infinity, -Infinity, 3] };
    const found = await runValues(gpu, values, elements);
    const expected = interpret(values, { inputs: elements });
    values.forEach((_, index) => expectNear(found[index]?.toArray() ?? [], expected[index] ?? [], 1e-5));
  });

  gpuTest("a deep network takes the memory of its widest place, not of all its layers", async (gpu) => {
    const x = input("x", "f32", [64, 64]);
    const weight = input("weight", "f32", [64, 64]);
    const deep = Array.from({ length: 12 }).reduce<Value>((value) => tanh(matmul(value, weight)), x);
    await withExecutable(
      gpu,
      { inputs: [x, weight], outputs: { deep }, parameters: noParameters },
      (executable) => {
        expect(executable.stats.dispatches).toBe(24);
        expect(executable.stats.workspaceBytes).toBeLessThanOrEqual(5 * 64 * 64 * 4);
      },
    );
  });

  gpuTest("kernel variants are chosen once and can be pinned", async (gpu) => {
    const [a, b] = [input("a", "f32", [3, 5]), input("b", "f32", [5, 2])];
    const elements = { a: numbers(15, 1), b: numbers(10, 2) };
    const chosen = new Map<string, string>();
    await runValues(gpu, [matmul(a, b)], elements, chosen);
    expect(chosen.get("matmul")).toBe(gpu.isCpuAdapter ? "register" : "workgroup");
    const expected = interpret([matmul(a, b)], { inputs: elements })[0] ?? [];
    for (const variant of ["register", "workgroup"]) {
      const [found] = await runValues(gpu, [matmul(a, b)], elements, new Map([["matmul", variant]]));
      expectNear(found?.toArray() ?? [], expected, 1e-5);
    }
    const error = await failureOf(() =>
      runValues(gpu, [matmul(a, b)], elements, new Map([["matmul", "magic"]]))
    );
    expect((error as CairnError).code).toBe("unsupported");
    expect((error as CairnError).message).toBe(
      'There is no variant "magic" of kernel "matmul"; this version has register, workgroup',
    );
  });
});

describe("random ops in a program", () => {
  const values = [randomUniform([1000], { stream: 1 }), randomNormal([1000], { stream: 2 })];
  const program: Program = {
    inputs: [],
    outputs: { uniform: values[0] ?? constant(0), normal: values[1] ?? constant(0) },
    parameters: noParameters,
  };

  gpuTest("are a pure function of seed, step and stream", async (gpu) => {
    await withExecutable(gpu, program, async (executable) => {
      const draw = async (seed: number, step: number): Promise<HostTensor[]> => {
        executable.run({}, { seed, step, values: [] });
        return await executable.read("uniform", "normal");
      };
      const first = await draw(1, 1);
      const others = [await draw(1, 2), await draw(2, 1)];
      const again = await draw(1, 1);
      first.forEach((tensor, index) => {
        expect(again[index]?.equals(tensor)).toBe(true);
        for (const other of others) expect(other[index]?.equals(tensor)).toBe(false);
      });
    });
  });

  gpuTest("two that share a stream are refused", async (gpu) => {
    const shared = { a: randomUniform([2], { stream: 3 }), b: randomNormal([4], { stream: 3 }) };
    const error = await failureOf(() => Executable.compile(gpu, { ...program, outputs: shared }));
    expectFailure(error, "TypeError", "randomUniform [2] and randomNormal [4] both draw from stream 3");
  });
});

describe("programs that do not hold together", () => {
  const x = input("x", "f32", [2]);

  const mistakes: [name: string, program: Partial<Program>, message: string][] = [
    [
      "an input that is not listed",
      { inputs: [] },
      'The program depends on input "x", which its inputs do not list',
    ],
    [
      "two inputs of one name",
      { inputs: [x, input("x", "f32", [3])] },
      'Two inputs of the program are called "x"',
    ],
    [
      "something else under inputs",
      { inputs: [x, add(x, 1)] },
      "add is listed under inputs but is no input()",
    ],
  ];
  for (const [name, part, message] of mistakes) {
    gpuTest(`${name}: a TypeError`, async (gpu) => {
      const program = { inputs: [x], outputs: { y: mul(x, 2) }, parameters: noParameters, ...part };
      const error = await failureOf(() => Executable.compile(gpu, program));
      expectFailure(error, "TypeError", message);
    });
  }

  gpuTest("a parameter with too little memory is refused before anything is allocated", async (gpu) => {
    const slab = new Slab(gpu, "parameters", { w: [1, 2] });
    const before = gpu.counters;
    const outputs = { y: mul(parameter("w", "f32", [3]), 2) };
    const error = await failureOf(() =>
      Executable.compile(gpu, { inputs: [], outputs, parameters: () => slab.range("w") })
    );
    expectFailure(error, "TypeError", 'parameter "w": its memory has 8 bytes, f32 of shape [3] needs 12');
    expect(gpu.counters).toEqual(before);
    slab.close();
  });

  gpuTest("a tensor that the adapter cannot bind is refused with the limit", async (gpu) => {
    const elements = Math.floor(gpu.limits.maxStorageBufferBindingSize / 4) + 64;
    const outputs = { y: sub(full([elements], 1), 1) };
    const error = await failureOf(() =>
      Executable.compile(gpu, { inputs: [], outputs, parameters: noParameters })
    );
    expectFailure(error, "limit_exceeded", "(maxStorageBufferBindingSize)");
  });
});

describe("stores and updates", () => {
  const usage = BufferUsage.STORAGE | BufferUsage.COPY_SRC | BufferUsage.COPY_DST;

  gpuTest("gradients are computed straight into the caller's memory", async (gpu) => {
    const { program, parameters, grads, loss } = classifier();
    const slab = new Slab(gpu, "parameters", parameters);
    const zeros = Object.fromEntries(
      Object.entries(parameters).map(([name, list]) => [name, list.map(() => 0)]),
    );
    const gradientSlab = new Slab(gpu, "gradients", zeros);
    const names = Object.keys(parameters);
    const stores = grads.map((value, index) => ({ value, into: gradientSlab.range(names[index] ?? "") }));
    const located = { ...program, parameters: (name: string) => slab.range(name) };
    let expected: HostTensor[] = [];
    let dispatches = 0;
    await withExecutable(gpu, located, async (executable) => {
      executable.run(BATCH, SCALARS);
      expected = await executable.read("grad0", "grad1", "grad2", "grad3");
      dispatches = executable.stats.dispatches;
    });
    await withExecutable(gpu, { ...located, outputs: { loss }, stores }, async (executable) => {
      executable.run(BATCH, SCALARS);
      for (const [index, name] of names.entries()) {
        expectNear(await gradientSlab.read(name), Array.from(expected[index]?.toArray() ?? [], Number), 0);
      }
      expect(executable.stats.dispatches).toBe(dispatches);
      expect(executable.describe()).toContain("writes gradients @ 0");
    });
    slab.close();
    gradientSlab.close();
  });

  gpuTest("parameters can be swapped: everything is computed before anything is stored", async (gpu) => {
    const slab = new Slab(gpu, "slab", { a: [1, 2], b: [3, 4] });
    const [a, b] = [parameter("a", "f32", [2]), parameter("b", "f32", [2])];
    const stores = [{ value: b, into: slab.range("a") }, { value: a, into: slab.range("b") }];
    const program = {
      inputs: [],
      outputs: { a, total: add(a, b) },
      stores,
      parameters: (name: string) => slab.range(name),
    };
    await withExecutable(gpu, program, async (executable) => {
      executable.run({});
      expect(await slab.read("a")).toEqual([3, 4]);
      expect(await slab.read("b")).toEqual([1, 2]);
      const [before, total] = await executable.read("a", "total");
      expectNear(before?.toArray() ?? [], [1, 2], 0);
      expectNear(total?.toArray() ?? [], [4, 6], 0);
    });
    slab.close();
  });

  gpuTest("parameters of two slabs can be swapped", async (gpu) => {
    const slabs = { a: new Slab(gpu, "one", { a: [1, 2] }), b: new Slab(gpu, "two", { b: [3, 4] }) };
    const [a, b] = [parameter("a", "f32", [2]), parameter("b", "f32", [2])];
    const stores = [{ value: b, into: slabs.a.range("a") }, { value: a, into: slabs.b.range("b") }];
    const parameters = (name: string): BufferRange => name === "a" ? slabs.a.range("a") : slabs.b.range("b");
    await withExecutable(gpu, { inputs: [], outputs: {}, stores, parameters }, async (executable) => {
      executable.run({});
      expect(await slabs.a.read("a")).toEqual([3, 4]);
      expect(await slabs.b.read("b")).toEqual([1, 2]);
    });
    slabs.a.close();
    slabs.b.close();
  });

  gpuTest("a parameter that a store replaces is what it was for everything in the program", async (gpu) => {
    const slab = new Slab(gpu, "slab", { w: [1, 2] });
    const [w, x] = [parameter("w", "f32", [2]), input("x", "f32", [2])];
    const next = exp(x);
    const outputs = { total: sum(mul(sum(next), w)) };
    const program = {
      inputs: [x],
      outputs,
      stores: [{ value: next, into: slab.range("w") }],
      parameters: () => slab.range("w"),
    };
    await withExecutable(gpu, program, async (executable) => {
      executable.run({ x: new Float32Array(2) });
      expectNear((await executable.read("total"))[0]?.toArray() ?? [], [6], 1e-6);
      expectNear(await slab.read("w"), [1, 1], 1e-6);
    });
    slab.close();
  });

  gpuTest("a value can replace the parameter that it is computed from", async (gpu) => {
    const slab = new Slab(gpu, "slab", { average: [8, 4] });
    const [average, x] = [parameter("average", "f32", [2]), input("x", "f32", [2])];
    const stores = [{ value: add(mul(average, 0.5), mul(x, 0.5)), into: slab.range("average") }];
    const program = { inputs: [x], outputs: {}, stores, parameters: (name: string) => slab.range(name) };
    await withExecutable(gpu, program, async (executable) => {
      for (let step = 0; step < 3; step++) executable.run({ x: Float32Array.of(0, 4) });
      expect(await slab.read("average")).toEqual([1, 4]);
    });
    slab.close();
  });

  gpuTest("a value in a slab that is read for another value of the slab is copied there", async (gpu) => {
    const slab = new Slab(gpu, "slab", { y: [0, 0], z: [0, 0], again: [0, 0] });
    const x = input("x", "f32", [2, 2]);
    const y = sum(x, { axes: 0 });
    const stores = [
      { value: y, into: slab.range("y") },
      { value: mul(tanh(y), y), into: slab.range("z") },
      { value: y, into: slab.range("again") },
    ];
    await withExecutable(
      gpu,
      { inputs: [x], outputs: {}, stores, parameters: noParameters },
      async (executable) => {
        executable.run({ x: Float32Array.of(1, 2, 3, 4) });
        expect(await slab.read("y")).toEqual([4, 6]);
        expect(await slab.read("again")).toEqual([4, 6]);
        expectNear(await slab.read("z"), [4 * Math.tanh(4), 6 * Math.tanh(6)], 1e-5);
      },
    );
    slab.close();
  });

  gpuTest("inputs and constants can be stored", async (gpu) => {
    const slab = new Slab(gpu, "slab", { x: [0, 0], two: [0] });
    const x = input("x", "f32", [2]);
    const stores = [{ value: x, into: slab.range("x") }, { value: constant(2), into: slab.range("two") }];
    await withExecutable(
      gpu,
      { inputs: [x], outputs: {}, stores, parameters: noParameters },
      async (executable) => {
        executable.run({ x: Float32Array.of(5, 6) });
        expect(await slab.read("x")).toEqual([5, 6]);
        expect(await slab.read("two")).toEqual([2]);
      },
    );
    slab.close();
  });

  gpuTest("updates run last and have the step's scalars", async (gpu) => {
    const slab = new Slab(gpu, "slab", { w: [1, 2] });
    const gradient = new Slab(gpu, "gradient", { w: [0, 0] });
    const w = parameter("w", "f32", [2]);
    const descend = {
      label: "descend",
      code:
        `struct Scalars { seed_low: u32, seed_high: u32, step: u32, reserved: u32, values: array<vec4<f32>, 4> }
        @group(0) @binding(0) var<storage, read_write> w: array<f32>;
        @group(0) @binding(1) var<storage, read> gradient: array<f32>;
        @group(0) @binding(2) var<uniform> scalars: Scalars;
        @compute @workgroup_size(2) fn main(@builtin(local_invocation_index) index: u32) {
          w[index] -= scalars.values[0].x * gradient[index];
        }`,
      constants: {},
      bindings: [slab.range("w"), gradient.range("w"), "scalars" as const],
      workgroups: [1, 1, 1] as const,
    };
    const loss = sum(square(w));
    const [grad] = gradients(loss, [w]);
    const program: Program = {
      inputs: [],
      outputs: { loss },
      stores: [{ value: grad ?? w, into: gradient.range("w") }],
      updates: [descend],
      parameters: (name) => slab.range(name),
    };
    await withExecutable(gpu, program, async (executable) => {
      const losses: number[] = [];
      for (let step = 0; step < 3; step++) {
        executable.run({}, { seed: 0, step, values: [0.25] });
        losses.push((await executable.read("loss"))[0]?.item() ?? NaN);
      }
      expect(losses).toEqual([5, 1.25, 0.3125]);
      expect(await slab.read("w")).toEqual([0.125, 0.25]);
      expect(executable.describe()).toContain("update: descend");
    });
    slab.close();
    gradient.close();
  });

  gpuTest("stores that overlap are refused", async (gpu) => {
    const slab = new Slab(gpu, "slab", { y: new Array(100).fill(0) });
    const x = input("x", "f32", [65]);
    const stores = [256, 0].map((offset) => ({
      value: mul(x, 2),
      into: { buffer: slab.buffer, offset, size: 260 },
    }));
    const program = { inputs: [x], outputs: {}, stores, parameters: noParameters };
    const error = await failureOf(() => Executable.compile(gpu, program));
    expectFailure(
      error,
      "TypeError",
      'Two stores overlap at byte 256 of buffer "slab"; give each its own range',
    );
    slab.close();
  });

  gpuTest("a store that is too small or at an odd place is refused", async (gpu) => {
    const buffer = gpu.createBuffer("place", 1024, usage);
    const x = input("x", "f32", [3]);
    for (const into of [{ buffer, offset: 0, size: 8 }, { buffer, offset: 64, size: 12 }]) {
      const program = {
        inputs: [x],
        outputs: {},
        stores: [{ value: mul(x, 2), into }],
        parameters: noParameters,
      };
      const error = await failureOf(() => Executable.compile(gpu, program));
      expectFailure(error, "TypeError", "A store of f32 [3] needs 12 bytes at a multiple of 256");
    }
    gpu.destroyBuffer(buffer);
  });
});
