import type { GpuDevice } from "../../src/gpu/gpu_device.ts";
import type { KernelMemory } from "../../src/kernels/kernel_steps.ts";
import type { Dispatch } from "../../src/gpu/dispatch.ts";
import { type HostArray, runDispatch } from "./run_dispatch.ts";

/** Runs dispatches one after the other, each twice for equal bits; what they write is in the arrays afterwards. */
export async function runSteps(
  gpu: GpuDevice,
  steps: readonly { readonly dispatch: Dispatch<HostArray>; readonly writes: readonly HostArray[] }[],
): Promise<void> {
  for (const { dispatch, writes } of steps) {
    const found = await runDispatch(gpu, dispatch, [...writes]);
    writes.forEach((array, index) => array.set(found[index] ?? array));
  }
}

/** Memory between two dispatches, filled with values that no kernel should read. */
export function scratchWords(byteLength: number): Uint32Array {
  return new Uint32Array(byteLength / 4).fill(0xdead_beef);
}

/** Memory of kernels that take several dispatches. */
export const HOST_MEMORY: KernelMemory<HostArray> = {
  bindingBytes: Infinity,
  scratch: (_, byteLength) => scratchWords(byteLength),
  constant: (_, words) => words,
  slice: ({ buffer, byteOffset }, offset, byteLength) =>
    new Uint32Array(buffer, byteOffset + offset, byteLength / 4),
  bytesOf: ({ byteLength }) => byteLength,
};

/** Memory by what it is called, for steps that are looked at and do not run. */
export const NAMED_MEMORY: KernelMemory<string> = {
  bindingBytes: Infinity,
  scratch: (label) => label,
  constant: (label) => label,
  slice: (memory, offset) => `${memory} @ ${offset}`,
  bytesOf: () => 0,
};
