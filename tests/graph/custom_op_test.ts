import { describe, expect } from "bun:test";
import { CairnError } from "../../src/base/errors.ts";
import { gradients } from "../../src/graph/autodiff.ts";
import { mul } from "../../src/graph/ops/arithmetic.ts";
import { customOp, type CustomOpOptions } from "../../src/graph/ops/custom.ts";
import { sum } from "../../src/graph/ops/sum.ts";
import { tanh } from "../../src/graph/ops/transcendental.ts";
import { input } from "../../src/graph/ops/sources.ts";
import type { Value } from "../../src/graph/value.ts";
import { STEP_SCALARS_WGSL } from "../../src/kernels/step_scalars.ts";
import { gpuTest } from "../helpers/gpu.ts";
import { interpret } from "../helpers/interpreter.ts";
import { expectNear, runValues, SCALARS } from "./run_values.ts";

const SWISH_WGSL = `override count: u32;
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> out: array<f32>;
@compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  if (id.x < count) {
    out[id.x] = x[id.x] / (1.0 + exp(-x[id.x]));
  }
}`;

const SWISH_GRADIENT_WGSL = `override count: u32;
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> out_grad: array<f32>;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;
@compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  if (id.x < count) {
    let s = 1.0 / (1.0 + exp(-x[id.x]));
    out[id.x] = out_grad[id.x] * (s + x[id.x] * s * (1.0 - s));
  }
}`;

/** x σ(x), with kernels of the user's own in both directions. */
function swish(x: Value): Value {
  const count = x.shape.reduce((product, size) => product * size, 1);
  const common = {
    outputShape: x.shape,
    constants: { count },
    workgroups: [Math.ceil(count / 64), 1, 1],
  } satisfies Partial<CustomOpOptions>;
  return customOp({
    ...common,
    name: "swish",
    inputs: [x],
    wgsl: SWISH_WGSL,
    gradient: (outGrad) => [
      customOp({ ...common, name: "swishGradient", inputs: [x, outGrad], wgsl: SWISH_GRADIENT_WGSL }),
    ],
  });
}

const sigmoidOf = (x: number): number => 1 / (1 + Math.exp(-x));
const custom = {
  swish: ([x]: readonly Float64Array[]) => (x ?? []).map((e) => e * sigmoidOf(e)),
  swishGradient: ([x, outGrad]: readonly Float64Array[]) =>
    (x ?? []).map((e, i) => (outGrad?.[i] ?? NaN) * (sigmoidOf(e) + e * sigmoidOf(e) * (1 - sigmoidOf(e)))),
};

describe("a user's own kernel as an op", () => {
  gpuTest("is part of a model and of its gradient", async (gpu) => {
    const x = input("x", "f32", [5, 30]);
    const loss = sum(mul(swish(tanh(x)), x));
    const values = [loss, ...gradients(loss, [x])];
    const elements = { x: Array.from({ length: 150 }, (_, index) => Math.fround(Math.sin(index))) };
    const found = await runValues(gpu, values, elements);
    const expected = interpret(values, { inputs: elements, custom });
    values.forEach((_, index) => expectNear(found[index]?.toArray() ?? [], expected[index] ?? [], 2e-5));
  });

  gpuTest("may bind the step's scalars and give integers", async (gpu) => {
    const wgsl = `${STEP_SCALARS_WGSL}
      @group(0) @binding(0) var<storage, read_write> out: array<u32>;
      @group(0) @binding(1) var<uniform> scalars: StepScalars;
      @compute @workgroup_size(1) fn main() {
        out[0] = scalars.step;
        out[1] = scalars.seed_low;
      }`;
    const value = customOp({
      name: "stepAndSeed",
      inputs: [],
      outputShape: [2],
      dtype: "u32",
      wgsl,
      workgroups: [1, 1, 1],
      usesScalars: true,
    });
    const [found] = await runValues(gpu, [value], {});
    expectNear(found?.toArray() ?? [], [SCALARS.step, SCALARS.seed], 0);
  });

  gpuTest("that does not compile is reported by its name, and leaves nothing behind", async (gpu) => {
    const x = input("x", "f32", [4]);
    const wgsl = "@compute @workgroup_size(1) fn main() { this is no WGSL }";
    const broken = customOp({ name: "broken", inputs: [x], outputShape: [4], wgsl, workgroups: [1, 1, 1] });
    const before = gpu.counters.buffers;
    const failure = await runValues(gpu, [broken], { x: [1, 2, 3, 4] }).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(CairnError);
    expect((failure as CairnError).code).toBe("gpu_validation");
    expect((failure as CairnError).message).toContain('Cannot compile kernel "broken"');
    expect(gpu.counters.buffers).toBe(before);
  });

  gpuTest("whose bindings are not those of its inputs is reported by its name", async (gpu) => {
    const x = input("x", "f32", [4]);
    const wgsl = `@group(0) @binding(0) var<storage, read_write> out: array<f32>;
      @compute @workgroup_size(1) fn main() { out[0] = 1.0; }`;
    const unbound = customOp({ name: "unbound", inputs: [x], outputShape: [4], wgsl, workgroups: [1, 1, 1] });
    const failure = await runValues(gpu, [unbound], { x: [1, 2, 3, 4] }).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(CairnError);
    expect((failure as CairnError).code).toBe("gpu_validation");
    expect((failure as CairnError).message).toContain("unbound");
  });
});
