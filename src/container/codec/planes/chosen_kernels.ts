import type { PlaneKernels } from "./plane_kernels.ts";
import { portableKernels } from "./portable_kernels.ts";
import { wasmKernels } from "./wasm_kernels.ts";

let kernels: PlaneKernels | undefined;

/** The fastest kernels that work here: WebAssembly with SIMD, or else plain TypeScript. Same bytes. */
export function planeKernels(): PlaneKernels {
  kernels ??= wasmKernels() ?? portableKernels();
  return kernels;
}

/** Runs `work` with other kernels: for tests. */
export function withKernels<T>(other: PlaneKernels, work: () => T): T {
  const before = kernels;
  kernels = other;
  try {
    return work();
  } finally {
    kernels = before;
  }
}
