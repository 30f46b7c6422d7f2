import * as ops from "../../../src/graph/ops.ts";
import type { Value } from "../../../src/graph/value.ts";
import { HostTensor } from "../../../src/tensor/host_tensor.ts";
import type { Shape } from "../../../src/tensor/shape.ts";
import { type Enclosure, exactly, mul, rounded } from "../../helpers/enclosure.ts";
import { add } from "../../helpers/enclosure.ts";
import type { OpUse } from "../../graph/ops/element_twin.ts";
import { ELEMENT_TWINS } from "../../graph/ops/element_twins.ts";
import type { GraphMaker } from "./graph_maker.ts";

function overAxes(op: (a: Value, options: ops.ReductionOptions) => Value, takesEmpty: boolean): OpUse {
  return (maker) => {
    const { random } = maker;
    const value = takesEmpty ? maker.f32() : maker.notEmpty();
    const axes = [...value.shape.keys()].filter(() => random.chance(0.5));
    return op(value, { ...random.chance(0.7) ? { axes } : {}, keepDims: random.chance(0.3) });
  };
}

function alongAxis(op: (a: Value, axis: number) => Value): OpUse {
  return (maker) => {
    const value = maker.notEmpty();
    return op(value, maker.random.below(value.shape.length));
  };
}

function filled(op: (shape: Shape, maker: GraphMaker) => Value): OpUse {
  return (maker) => op(maker.random.chance(0.5) ? maker.f32().shape : maker.shape(), maker);
}

/** What random draws are numbered by in graph number `graph`: two draws of one program need two streams. */
function streamOf(maker: GraphMaker): number {
  return maker.random.below(2 ** 32);
}

const NUMBERS = [0, 1, -2, 0.5, 1e30, -1e-30, NaN, Infinity, -Infinity];

/** How each op of `ops` is used. A test fails when one is missing. */
export const OP_USES: Readonly<Record<string, OpUse>> = {
  ...Object.fromEntries(Object.entries(ELEMENT_TWINS).map(([name, { use }]) => [name, use])),
  argmax: alongAxis((value, axis) => ops.argmax(value, { axis })),
  broadcastTo(maker) {
    const value = maker.f32();
    return ops.broadcastTo(value, [2, ...value.shape.map((size) => size === 1 ? 3 : size)]);
  },
  cast(maker) {
    const from = maker.random.pick(["f32", "f32", "i32", "u32", "f16", "bf16", "u8", "bool"] as const);
    const value = from === "f32" || from === "i32" || from === "u32" ? maker.value(from) : maker.packed(from);
    return ops.cast(value, maker.random.pick(["f32", "i32", "u32"]));
  },
  constant: (maker) => ops.add(ops.constant(maker.random.pick(NUMBERS)), maker.f32()),
  customOp,
  dropout: (maker) =>
    ops.dropout(maker.f32(), { rate: maker.random.pick([0.25, 0.5]), stream: streamOf(maker) }),
  full: filled((shape, { random }) => {
    const dtype = random.pick(["f32", "f32", "i32", "u32"] as const);
    return ops.full(shape, random.pick(dtype === "f32" ? NUMBERS : [0, 1, 7]), dtype);
  }),
  input: (maker) => ops.neg(maker.named("input", ordinary(maker))),
  logSoftmax: alongAxis((value, axis) => ops.logSoftmax(value, { axis })),
  matmul(maker) {
    const a = maker.matrix();
    const [transposeA, transposeB] = [maker.random.chance(0.3), maker.random.chance(0.3)];
    const k = a.shape[transposeA ? 0 : 1] ?? 0;
    const n = maker.random.pick([1, 3, 4]);
    const b = maker.leaf("f32", transposeB ? [n, k] : [k, n]);
    return ops.matmul(a, b, { transposeA, transposeB });
  },
  max: overAxes(ops.max, false),
  mean: overAxes(ops.mean, true),
  min: overAxes(ops.min, false),
  ones: filled((shape) => ops.ones(shape)),
  parameter: (maker) => ops.mul(maker.named("parameter", ordinary(maker)), 0.5),
  randomNormal: filled((shape, maker) => ops.randomNormal(shape, { stream: streamOf(maker) })),
  randomUniform: filled((shape, maker) => ops.randomUniform(shape, { stream: streamOf(maker) })),
  reshape(maker) {
    const value = maker.f32(({ shape }) => !shape.includes(0));
    return ops.reshape(value, maker.random.pick([[-1], [1, -1], [...value.shape].reverse()]));
  },
  softmax: alongAxis((value, axis) => ops.softmax(value, { axis })),
  softmaxCrossEntropy(maker) {
    const logits = maker.f32(({ shape }) => shape.length === 2 && shape[1] !== 0);
    const [rows = 0, classes = 0] = logits.shape;
    const label = (): number => maker.random.below(maker.random.chance(0.05) ? classes + 1 : classes);
    const labels = HostTensor.from(Array.from({ length: rows }, label), [rows], "u32");
    return ops.softmaxCrossEntropy(logits, maker.named("input", labels));
  },
  stepScalar: (maker) => ops.mul(maker.f32(), ops.stepScalar(maker.random.below(6))),
  stopGradient: (maker) => {
    const value = maker.f32();
    return ops.mul(ops.stopGradient(value), value);
  },
  sum: overAxes(ops.sum, true),
  transpose(maker) {
    const value = maker.f32();
    const order = [...value.shape.keys()].sort(() => maker.random.next() - 0.5);
    return ops.transpose(value, order);
  },
  weighted(maker) {
    const value = maker.f32();
    const weight = maker.tensorBeside(value, "f32");
    return ops.weighted(value, maker.random.chance(0.5) ? weight : ops.relu(weight));
  },
  where(maker) {
    const a = maker.f32();
    const condition = maker.random.chance(0.7) ? ops.less(a, 1) : maker.tensorBeside(a, "u32");
    return ops.where(condition, a, maker.beside(a));
  },
  zeros: filled((shape) => ops.zeros(shape)),
};

function ordinary(maker: GraphMaker): HostTensor {
  const shape = maker.shape();
  const count = shape.reduce((product, size) => product * size, 1);
  return HostTensor.from(Array.from({ length: count }, () => maker.random.next() * 4 - 2), shape, "f32");
}

/** A kernel of the user's: `2 a + 1`. */
function customOp(maker: GraphMaker): Value {
  const a = maker.f32(({ shape }) => !shape.includes(0));
  const count = a.shape.reduce((product, size) => product * size, 1);
  return ops.customOp({
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
    gradient: (outGrad) => [ops.mul(outGrad, 2)],
  });
}

/** What the user's kernels compute, by name. */
export const CUSTOM_OPS: Readonly<
  Record<string, (inputs: readonly (readonly Enclosure[])[]) => readonly Enclosure[]>
> = {
  twiceAndOne: ([a = []]) => a.map((x) => rounded(add(mul(x, exactly(2)), exactly(1)))),
};
