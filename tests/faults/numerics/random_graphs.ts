import { gradients } from "../../../src/graph/autodiff.ts";
import { constant, mul, sum } from "../../../src/graph/ops.ts";
import { labelOf, reachable, sizeOf, type Value } from "../../../src/graph/value.ts";
import { HostTensor } from "../../../src/tensor/host_tensor.ts";
import { OP_TWINS } from "../../graph/ops/op_twins.ts";
import { GraphMaker } from "./graph_maker.ts";
import { Seeded } from "./seeded.ts";

/** A random graph with what it is computed from. */
export interface RandomGraph {
  readonly seed: number;
  readonly index: number;
  readonly inputs: readonly Value[];
  readonly parameters: readonly Value[];
  readonly elements: ReadonlyMap<string, HostTensor>;
  /** What follows from the op that the graph is about, and gradients of it. */
  readonly outputs: readonly Value[];
}

/** The names of the ops, in the order in which graphs are about them. */
export const OP_NAMES: readonly string[] = Object.keys(OP_TWINS).filter((op) =>
  OP_TWINS[op]?.use !== undefined
).sort();

/** Ops that run in one kernel with those around them. */
const FUSED = [
  "add",
  "sub",
  "mul",
  "div",
  "pow",
  "maximum",
  "minimum",
  "less",
  "equal",
  "where",
  "neg",
  "abs",
  "exp",
  "log",
  "sqrt",
];

/**
 * The test suite runs the first graphs too, and a compiler takes a tenth of a second for each kernel: beside the op
 * that they are about, they have ops that are fused with it.
 */
export const SMALL_GRAPHS = 400;

/** Graph number `index` of `seed`. It is about op number `index` (in turn), with a few others before and behind. */
export function randomGraph(seed: number, index: number): RandomGraph {
  const random = new Seeded(seed * 65_537 + index);
  const maker = new GraphMaker(random, `g${index}_`);
  const use = (name: string): Value => {
    const opUse = OP_TWINS[name]?.use;
    if (opUse === undefined) throw new Error(`No use of the op "${name}" is known`);
    return maker.keep(opUse(maker));
  };
  const isSmall = index < SMALL_GRAPHS;
  const useOthers = (): void => {
    for (let count = random.below(4); count > 0; count--) use(random.pick(isSmall ? FUSED : OP_NAMES));
  };
  useOthers();
  const subject = use(OP_NAMES[index % OP_NAMES.length] ?? "add");
  useOthers();
  const last = maker.values.findLast((value) => reachable([value]).includes(subject)) ?? subject;
  const outputs = new Set([last, ...gradientsOf(last, random)]);
  const used = new Set(reachable(outputs));
  return {
    seed,
    index,
    inputs: maker.inputs.filter((value) => used.has(value)),
    parameters: maker.parameters.filter((value) => used.has(value)),
    elements: maker.elements,
    outputs: [...outputs],
  };
}

/** Gradients of a weighted sum of `value` with respect to one or two leaves that it depends on. */
function gradientsOf(value: Value, random: Seeded): Value[] {
  const leaves = reachable([value]).filter(({ op, dtype }) =>
    (op === "input" || op === "parameter") && dtype === "f32"
  );
  if (value.dtype !== "f32" || leaves.length === 0 || random.chance(0.4)) return [];
  const weights = Array.from({ length: sizeOf(value) }, () => random.pick([1, 1, 0.5, -2, 0]));
  const loss = sum(mul(value, constant(HostTensor.from(weights, value.shape, "f32"))));
  // Not always the first: the gradients of the others have ops of their own.
  const first = random.below(leaves.length);
  return gradients(loss, leaves.slice(first, first + (random.chance(0.2) ? 2 : 1)));
}

/** The graph as text, an op a line. */
export function listed(roots: readonly Value[]): string {
  const values = reachable(roots);
  const numbers = new Map(values.map((value, index) => [value, index]));
  return values.map((value) => {
    const said = Object.entries(value.attributes).filter(([, is]) =>
      typeof is !== "object" && typeof is !== "function"
    )
      .map(([name, is]) => `${name} ${String(is)}`);
    const { permutation } = value.attributes;
    if (Array.isArray(permutation)) said.push(`[${permutation.join(", ")}]`);
    const operands = value.inputs.map((input) => `%${numbers.get(input)}`);
    return `%${numbers.get(value)} = ${labelOf(value)}(${
      [...operands, ...said].join(", ")
    }) ${value.dtype} [${value.shape.join(", ")}]`;
  }).join("\n");
}
