import { describe } from "bun:test";
import { gradients } from "../../src/graph/autodiff.ts";
import { mul } from "../../src/graph/ops/arithmetic.ts";
import { sum } from "../../src/graph/ops/sum.ts";
import { constant } from "../../src/graph/ops/sources.ts";
import { sizeOf, type Value } from "../../src/graph/value.ts";
import { HostTensor } from "../../src/tensor/host_tensor.ts";
import { gpuTest } from "../helpers/gpu.ts";
import { interpret } from "../helpers/interpreter.ts";
import { normalTwin, uniformTwin } from "../kernels/twins/philox_twin.ts";
import { elementsOf, operandElements, operandValues } from "./op_case.ts";
import { OP_CASES } from "./op_cases.ts";
import { expectNear, runValues, SCALARS } from "./run_values.ts";

function random(op: string, stream: number, count: number): ArrayLike<number> {
  const draw = { seed: SCALARS.seed, step: SCALARS.step, stream };
  return op === "randomUniform" ? uniformTwin(count, draw) : normalTwin(count, draw);
}

function weighted(value: Value): Value {
  const weights = elementsOf({ shape: [sizeOf(value)], dtype: "f32", from: 0.5, to: 1.5 }, 99);
  return sum(mul(value, constant(HostTensor.from(weights, value.shape))));
}

describe("ops and their gradients on the GPU against the interpreter", () => {
  for (const opCase of OP_CASES) {
    gpuTest(opCase.name, async (gpu) => {
      const operands = operandValues(opCase);
      const result = opCase.build(operands);
      const floats = operands.filter(({ dtype }) => dtype === "f32");
      const values = [result, ...gradients(weighted(result), floats)];
      const elements = operandElements(opCase);
      const found = await runValues(gpu, values, elements);
      const expected = interpret(values, { inputs: elements, scalars: SCALARS.values, random });
      values.forEach((_, index) => expectNear(found[index]?.toArray() ?? [], expected[index] ?? [], 2e-5));
    });
  }
});
