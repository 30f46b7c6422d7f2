import { Executable } from "../../src/graph/executable.ts";
import type { ProgramInput } from "../../src/graph/program_inputs.ts";
import { reachable, type Value } from "../../src/graph/value.ts";
import type { GpuDevice } from "../../src/gpu/gpu_device.ts";
import { HostTensor } from "../../src/tensor/host_tensor.ts";

/** Seed, step and values that the tests run with. */
export const SCALARS = { seed: 42, step: 7, values: [0.5, -1.25, 3] } as const;

/** A program without parameters says so when one is asked for. */
export function noParameters(name: string): never {
  throw new Error(`The test has no parameter "${name}"`);
}

/** The inputs that `values` depend on. */
export function inputsOf(values: readonly Value[]): Value[] {
  return reachable(values).filter(({ op }) => op === "input");
}

/** Numbers by input name as tensors of the inputs' dtypes. */
export function tensorsFor(
  inputs: readonly Value[],
  elements: Readonly<Record<string, readonly number[]>>,
): Record<string, ProgramInput> {
  return Object.fromEntries(inputs.map((input) => {
    const { name } = input.attributes as { name: string };
    return [name, HostTensor.from(elements[name] ?? [], input.shape, input.dtype)];
  }));
}

/** Compiles, runs once, and reads `values`. */
export async function runValues(
  gpu: GpuDevice,
  values: readonly Value[],
  elements: Readonly<Record<string, readonly number[]>>,
  variants: Map<string, string> = new Map(),
): Promise<HostTensor[]> {
  const inputs = inputsOf(values);
  const outputs = Object.fromEntries(values.map((value, index) => [`${index}`, value]));
  const executable = await Executable.compile(gpu, { inputs, outputs, parameters: noParameters }, {
    variants,
    label: "test",
  });
  try {
    executable.run(tensorsFor(inputs, elements), SCALARS);
    return await executable.read(...values.map((_, index) => `${index}`));
  } finally {
    executable.close();
  }
}

/** Fails unless every element is near what is expected; NaN is near NaN, and infinities near themselves. */
export function expectNear(
  found: ArrayLike<number | bigint>,
  expected: ArrayLike<number>,
  tolerance: number,
): void {
  if (found.length !== expected.length) {
    throw new Error(`${found.length} elements, expected ${expected.length}`);
  }
  for (let index = 0; index < expected.length; index++) {
    const [is, wanted] = [Number(found[index]), expected[index] ?? NaN];
    const isNear = Object.is(is, wanted) || is === wanted ||
      Math.abs(is - wanted) <= tolerance * (1 + Math.abs(wanted));
    if (!isNear) throw new Error(`Element ${index} is ${is}, expected ${wanted}`);
  }
}
