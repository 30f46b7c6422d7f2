import type { KernelMemory, KernelStep } from "../kernels/kernel_steps.ts";
import { type Binding, type LoweringContext, regionOf, type Step } from "./op.ts";

/** Memory of a program for the steps of a kernel. */
export function memoryOf(context: LoweringContext): KernelMemory<Binding> {
  return {
    scratch: (label, byteLength) => context.scratch(label, byteLength),
    constant: (label, words) => context.constant(label, words),
    slice(memory, offset, byteLength) {
      const region = regionOf(memory);
      if (region === undefined || region !== memory) throw new TypeError("Only a whole region has slices");
      return { region, offset, byteLength };
    },
  };
}

/** The steps of a kernel as steps of a program. */
export function stepsOf(steps: readonly KernelStep<Binding>[]): Step[] {
  return steps.map(({ dispatch, writes }) => ({
    dispatch,
    writes: writes.flatMap((written) => regionOf(written) ?? []),
  }));
}
