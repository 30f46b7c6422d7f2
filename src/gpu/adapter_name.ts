/** Software adapters, by what runtimes call them. WARP is the one of Windows. */
const CPU_ADAPTER = /llvmpipe|lavapipe|swiftshader|software|\bwarp\b|basic render|\bcpu\b/i;

/**
 * A name for people and for the record of a run, e.g. "llvmpipe (LLVM 15.0.6, 256 bits)".
 * Runtimes fill different fields: some only the description, a browser only vendor and architecture.
 */
export function adapterNameOf(adapter: GPUAdapterInfo | undefined): string {
  if (adapter === undefined) return "unknown adapter";
  if (adapter.description !== "") return adapter.description;
  const parts = [adapter.vendor, adapter.architecture, adapter.device].filter((part) => part !== "");
  return parts.length === 0 ? "unknown adapter" : parts.join(" ");
}

/**
 * Whether the adapter runs on the CPU (lavapipe, SwiftShader, WARP).
 * Kernels ask, because there workgroup memory and barriers cost instead of helping.
 */
export function isCpuAdapter(adapter: GPUAdapterInfo | undefined): boolean {
  if (adapter === undefined) return false;
  if (adapter.isFallbackAdapter === true) return true;
  const { vendor, architecture, device, description } = adapter;
  return CPU_ADAPTER.test([vendor, architecture, device, description].join(" "));
}
