import { mul } from "../../../src/graph/ops/arithmetic.ts";
import { customOp } from "../../../src/graph/ops/custom.ts";
import type { Value } from "../../../src/graph/value.ts";
import type { GraphMaker } from "../../faults/numerics/graph_maker.ts";
import * as enclosure from "../../helpers/enclosure.ts";
import type { EnclosingEnvironment, OpTwins } from "./op_twin.ts";

/** Twins of `src/graph/ops/custom.ts`. A test that computes them says what the user's kernels compute. */
export const customTwins: OpTwins = {
  customOp: { use: twiceAndOne },
  custom: {
    evaluate: (value, inputs, { custom }) => given(custom, value)(inputs, value),
    enclose: (value, inputs, { custom }) => given(custom, value)(inputs),
  },
};

function given<T>(custom: Readonly<Record<string, T>> | undefined, value: Value): T {
  const { name } = value.attributes as { name: string };
  const computes = custom?.[name];
  if (computes === undefined) throw new Error(`The interpreter was not told what "${name}" computes`);
  return computes;
}

/** What the user's kernels compute, by name. */
export const CUSTOM_OPS: EnclosingEnvironment["custom"] = {
  twiceAndOne: ([a = []]) =>
    a.map((x) =>
      enclosure.rounded(enclosure.add(enclosure.mul(x, enclosure.exactly(2)), enclosure.exactly(1)))
    ),
};

/** A kernel of the user's: `2 a + 1`. */
function twiceAndOne(maker: GraphMaker): Value {
  const a = maker.f32(({ shape }) => !shape.includes(0));
  const count = a.shape.reduce((product, size) => product * size, 1);
  return customOp({
    name: "twiceAndOne",
    inputs: [a],
    outputShape: a.shape,
    wgsl: `override count: u32;
@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read_write> out: array<f32>;
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  if (id.x < count) {
    out[id.x] = a[id.x] * 2.0 + 1.0;
  }
}
`,
    constants: { count },
    workgroups: [Math.ceil(count / 64), 1, 1],
    gradient: (outGrad) => [mul(outGrad, 2)],
  });
}
