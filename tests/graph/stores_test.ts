import { describe, expect } from "bun:test";
import type { BufferRange } from "../../src/gpu/buffer_range.ts";
import { BufferUsage } from "../../src/gpu/constants.ts";
import { gradients } from "../../src/graph/autodiff.ts";
import { Executable } from "../../src/graph/executable.ts";
import { add, mul, square } from "../../src/graph/ops/arithmetic.ts";
import { sum } from "../../src/graph/ops/sum.ts";
import { exp, tanh } from "../../src/graph/ops/transcendental.ts";
import type { Program } from "../../src/graph/program.ts";
import { constant, input, parameter } from "../../src/graph/ops/sources.ts";
import { STEP_SCALARS_WGSL } from "../../src/kernels/step_scalars.ts";
import { HostTensor } from "../../src/tensor/host_tensor.ts";
import { gpuTest } from "../helpers/gpu.ts";
import { BATCH, classifier } from "./classifier.ts";
import { expectFailure, failureOf, withExecutable } from "./executable_helpers.ts";
import { expectNear, noParameters, SCALARS } from "./run_values.ts";
import { Slab } from "./slab.ts";

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
      code: `${STEP_SCALARS_WGSL}
        @group(0) @binding(0) var<storage, read_write> w: array<f32>;
        @group(0) @binding(1) var<storage, read> gradient: array<f32>;
        @group(0) @binding(2) var<uniform> scalars: StepScalars;
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
