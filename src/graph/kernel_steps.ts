import type { KernelMemory, KernelStep } from "../kernels/kernel_steps.ts";
import { type Binding, type LoweringContext, regionOf, type Step } from "./op.ts";

/** Memory of a program for the steps of a kernel. */
export function memoryOf(context: LoweringContext): KernelMemory<Binding> {
  return {
    bindingBytes: context.bindingBytes,
    scratch: (label, byteLength) => context.scratch(label, byteLength),
    constant: (label, words) => context.constant(label, words),
    slice(memory, offset, byteLength) {
      if (memory === "scalars") throw new TypeError("The step's scalars have no slices");
      return "region" in memory
        ? { region: memory.region, offset: memory.offset + offset, byteLength }
        : { region: memory, offset, byteLength };
    },
    bytesOf: (memory) => memory === "scalars" ? 0 : memory.byteLength,
  };
}

/** The steps of a kernel as steps of a program. */
export function stepsOf(steps: readonly KernelStep<Binding>[]): Step[] {
  return steps.map(({ dispatch, writes }) => ({
    dispatch,
    writes: writes.flatMap((written) => regionOf(written) ?? []),
  }));
}
