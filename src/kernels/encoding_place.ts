/** What was measured on an adapter, in bytes a second. */
export interface EncodingRates {
  /** Raw bytes that the GPU encodes by itself, nothing being read back. */
  readonly gpuEncode: number;
  /** Bytes that are read back, whatever they mean. */
  readonly readBack: number;
  /** Raw bytes that the CPU encodes, on all threads that encode. */
  readonly cpuEncode: number;
  /** Stored bytes for each raw one of what the GPU encodes. */
  readonly gpuStoredPerRaw: number;
}

/**
 * Where to encode what is in GPU memory. On the GPU only where a byte of raw memory comes to the host faster that way:
 * encoding and then reading back less, one after the other, because both take the GPU's queue; against reading all of
 * it back while the CPU encodes what came before, which takes as long as the slower one. On the CPU for rates that are
 * not known.
 */
export function chooseEncodingPlace(rates: Partial<EncodingRates>): "gpu" | "cpu" {
  const { gpuEncode, readBack, cpuEncode, gpuStoredPerRaw } = rates;
  if (!isRate(gpuEncode) || !isRate(readBack) || !isRate(cpuEncode) || !isRate(gpuStoredPerRaw)) return "cpu";
  const onGpu = 1 / gpuEncode + gpuStoredPerRaw / readBack;
  const onCpu = Math.max(1 / readBack, 1 / cpuEncode);
  return onGpu < onCpu ? "gpu" : "cpu";
}

function isRate(value: number | undefined): value is number {
  return value !== undefined && Number.isFinite(value) && value > 0;
}
