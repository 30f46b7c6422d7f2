import type { PlaneKernels } from "./plane_kernels.ts";
import { PLANES_WASM } from "./planes_wasm.ts";

const PAGE_BYTES = 65536;

/** What wasm/planes.ts exports. */
interface PlanesModule extends Record<string, unknown> {
  readonly memory: WebAssembly.Memory;
  readonly split: PlaneKernels["split"];
  readonly splitKept: PlaneKernels["splitKept"];
  readonly merge: PlaneKernels["merge"];
  readonly compact: PlaneKernels["compact"];
  readonly expand: PlaneKernels["expand"];
  readonly ones: PlaneKernels["ones"];
  readonly histogram: PlaneKernels["histogram"];
  readonly range: PlaneKernels["range"];
  readonly code: PlaneKernels["code"];
  readonly pair: PlaneKernels["pair"];
  readonly encode: PlaneKernels["encode"];
  readonly packEven: PlaneKernels["packEven"];
  readonly triple: PlaneKernels["triple"];
  readonly decode: PlaneKernels["decode"];
}

let compiled: WebAssembly.Module | undefined;

/**
 * The compiled kernels, for another thread to use: the code that an engine makes faster while it runs is then that of
 * both. `undefined` where there are none.
 */
export function kernelsModule(): WebAssembly.Module | undefined {
  try {
    // Of eleven kilobytes, which every engine compiles synchronously, also on a browser's main thread (Chrome from 115
    // on).
    compiled ??= new WebAssembly.Module(Uint8Array.from(atob(PLANES_WASM), (letter) => letter.charCodeAt(0)));
    return compiled;
  } catch {
    return undefined;
  }
}

/** Has this thread use what {@link kernelsModule} gave another, unless it has used its own already. */
export function useKernelsModule(module: WebAssembly.Module): void {
  compiled ??= module;
}

/** The kernels in WebAssembly, or `undefined` where it is missing, has no SIMD or is forbidden. */
export function wasmKernels(): PlaneKernels | undefined {
  const module = kernelsModule();
  if (module === undefined) return undefined;
  try {
    const { exports } = new WebAssembly.Instance(module);
    const { memory, ...loops } = exports as PlanesModule;
    return {
      reserve(byteLength) {
        const missing = byteLength - memory.buffer.byteLength;
        if (missing > 0) memory.grow(Math.ceil(missing / PAGE_BYTES));
      },
      heap: () => new Uint8Array(memory.buffer),
      ...loops,
    };
  } catch {
    return undefined;
  }
}
