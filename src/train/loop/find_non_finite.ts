import { Executable } from "../../graph/executable.ts";
import { definitionOf, isResultOf } from "../../graph/create_value.ts";
import { storageBytes } from "../../graph/lower_program.ts";
import { inputOp, parameterOp } from "../../graph/ops/sources.ts";
import { layerOf } from "../../graph/create_value.ts";
import { labelOf, reachable, type Value } from "../../graph/value.ts";
import type { Model } from "../../nn/model.ts";
import type { HostTensor } from "../../tensor/host_tensor.ts";
import { formatShape, type Shape } from "../../tensor/shape.ts";
import type { StepPart, StepValues } from "../step/step_values.ts";

/** A result of a step that is not finite. */
export interface NonFiniteResult {
  /** The op, such as `matmul`, `input "inputs"` or `parameter "0.weight"`. */
  readonly op: string;
  /**
   * Path of the layer in which it is computed, such as `0.attention`; of a gradient, that of what it is the gradient
   * of.
   * `undefined` outside of all layers, as in the loss.
   */
  readonly layer: string | undefined;
  /** Its shape. */
  readonly shape: Shape;
  /** Whether it is on the way to the loss, or of the gradients. */
  readonly phase: "forward" | "backward";
  /** The first element that is not finite: NaN, Infinity or -Infinity. */
  readonly value: number;
  /** Where that is. */
  readonly index: readonly number[];
  /** How many elements are not finite. */
  readonly count: number;
  /** The place in the batch of the first example that it is of: 0, unless the batch is computed in pieces. */
  readonly firstExample: number;
  /** The parameter that is nearest on the way to it, which says in which layer it is. */
  readonly parameter: string | undefined;
}

/** Results that are kept at once: all of a step may be more than fits into memory. */
const MOST_BYTES = 64 * 1024 * 1024;

/**
 * Computes every result of a step, some after the other, and gives the first in order of execution that is not finite.
 * Nothing in the store changes. What depends on neither data nor parameters, such as a mask with infinities, is the
 * user's own and not checked.
 *
 * @param parts The step on the whole batch, or on each of its pieces: never more than one piece is computed at once.
 */
export async function findNonFinite(
  model: Model,
  parts: readonly StepPart[],
): Promise<NonFiniteResult | undefined> {
  for (const part of parts) {
    const found = await findInPart(model, part);
    if (found !== undefined) return found;
  }
  return undefined;
}

async function findInPart(model: Model, part: StepPart): Promise<NonFiniteResult | undefined> {
  const forward = new Set(reachable([part.values.loss]));
  for (const values of someAtOnce(resultsOf(part.values))) {
    const tensors = await compute(model, part, values);
    for (const [index, value] of values.entries()) {
      const found = tensors[index] === undefined ? undefined : firstNonFinite(tensors[index]);
      if (found === undefined) continue;
      const phase = forward.has(value) ? "forward" : "backward";
      return {
        op: labelOf(value),
        layer: layerOf(value),
        shape: value.shape,
        phase,
        ...found,
        firstExample: part.scalars.firstExample ?? 0,
        parameter: nearestParameter(value),
      };
    }
  }
  return undefined;
}

/** A result in words, for messages. */
export function describeResult(result: NonFiniteResult): string {
  const { op, layer, shape, phase, value, index, firstExample, parameter } = result;
  const inLayer = layer === undefined ? "" : `, in layer "${layer}"`;
  const near = parameter === undefined ? "" : `, near parameter "${parameter}"`;
  const from = firstExample === 0 ? "" : `, of the examples from ${firstExample} on`;
  return `${value} at ${formatShape(index)} of ${op} ${
    formatShape(shape)
  } (${phase}${inLayer}${near}${from})`;
}

/** Every float that follows from data or parameters and has memory of its own, in order of execution. */
function resultsOf({ loss, gradients }: StepValues): Value[] {
  const depending = new Set<Value>();
  return reachable([loss, ...gradients.values()]).filter((value) => {
    const isGiven = isResultOf(inputOp, value) || isResultOf(parameterOp, value);
    if (!isGiven && !value.inputs.some((input) => depending.has(input))) return false;
    depending.add(value);
    return ["f32", "f16", "bf16"].includes(value.dtype) && definitionOf(value).lowering.kind !== "view";
  });
}

function someAtOnce(values: readonly Value[]): Value[][] {
  const pieces: Value[][] = [];
  let bytes = Infinity;
  for (const value of values) {
    bytes += storageBytes(value);
    if (bytes > MOST_BYTES) {
      pieces.push([]);
      bytes = storageBytes(value);
    }
    pieces.at(-1)?.push(value);
  }
  return pieces;
}

async function compute(
  model: Model,
  { values: { inputs }, batch, scalars, parameters }: StepPart,
  values: readonly Value[],
): Promise<HostTensor[]> {
  const { gpu, variants } = model.store;
  const outputs = Object.fromEntries(values.map((value, index) => [`${index}`, value]));
  const program = { inputs, outputs, parameters };
  const executable = await Executable.compile(gpu, program, {
    variants,
    label: "search for what is not finite",
  });
  try {
    executable.run(batch, scalars);
    return await executable.read(...Object.keys(outputs));
  } finally {
    executable.close();
  }
}

function firstNonFinite(tensor: HostTensor): Pick<NonFiniteResult, "value" | "index" | "count"> | undefined {
  const elements = tensor.toArray() as Float32Array;
  let first = -1;
  let count = 0;
  for (let at = 0; at < elements.length; at++) {
    if (Number.isFinite(elements[at])) continue;
    if (count === 0) first = at;
    count += 1;
  }
  if (count === 0) return undefined;
  return { value: elements[first] ?? NaN, index: indexIn(tensor.shape, first), count };
}

/** The place of element number `at` along each axis. */
function indexIn(shape: Shape, at: number): number[] {
  let rest = at;
  return [...shape].reverse().map((size) => {
    const index = rest % size;
    rest = Math.floor(rest / size);
    return index;
  }).reverse();
}

/** Of the parameters that `value` is computed from, one with the fewest ops in between. */
function nearestParameter(value: Value): string | undefined {
  const seen = new Set<Value>();
  for (let level = [value]; level.length > 0; level = level.flatMap(({ inputs }) => inputs)) {
    level = level.filter((each) => !seen.has(each) && seen.add(each));
    const parameter = level.find(({ op }) => op === "parameter");
    if (parameter !== undefined) return String(parameter.attributes.name);
  }
  return undefined;
}
