import { expect } from "bun:test";
import { CairnError, type CairnErrorCode } from "../../src/base/errors.ts";
import type { GpuDevice } from "../../src/gpu/gpu_device.ts";
import { Executable } from "../../src/graph/executable.ts";
import type { Program } from "../../src/graph/program.ts";
import { elementsOf } from "./op_case.ts";

/** Deterministic numbers from -1 to 1. */
export function numbers(count: number, seed: number): number[] {
  return elementsOf({ shape: [count], dtype: "f32", from: -1, to: 1 }, seed);
}

/** What is thrown; fails when nothing is. */
export async function failureOf(work: () => unknown): Promise<unknown> {
  try {
    await work();
  } catch (error) {
    return error;
  }
  throw new Error("Nothing was thrown");
}

/** Checks a failure: `what` is "TypeError" or the code of a `CairnError`. */
export function expectFailure(failure: unknown, what: CairnErrorCode | "TypeError", message: string): void {
  if (!(failure instanceof Error)) throw new Error("What was thrown is no error");
  expect(failure.message).toContain(message);
  expect(failure instanceof CairnError ? failure.code : failure.name).toBe(what);
}

/** Compiles `program`, lends the result to `body`, and closes it. */
export async function withExecutable(
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
