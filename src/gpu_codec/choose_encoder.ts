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

/** The file of a save that may also leave chunks raw. */
export interface RawIsFine {
  /** Stored bytes that are durable in a second, beside what is encoded; `undefined` while that is not known. */
  readonly write: number | undefined;
}

/**
 * Where to encode what is in GPU memory. On the GPU only where a byte of raw memory comes to the host faster that
 * way: encoding and then reading back less, one after the other, because both take the GPU's queue; against reading
 * all of it back while the CPU encodes what came before, which takes as long as the slower one. On the CPU for rates
 * that are not known.
 *
 * @param rawIsFine Given where the CPU need not encode. Then what counts is how long it takes until a byte is in the
 * file, and as long as the rate of that is not known, nothing that is slower than reading everything back is worth
 * it.
 */
export function chooseEncoder(rates: Partial<EncodingRates>, rawIsFine?: RawIsFine): "gpu" | "cpu" {
  const { gpuEncode, readBack, cpuEncode, gpuStoredPerRaw: share } = rates;
  if (!isRate(gpuEncode) || !isRate(readBack) || !isRate(cpuEncode) || !isRate(share)) return "cpu";
  const write = rawIsFine === undefined || !isRate(rawIsFine.write) ? 0 : 1 / rawIsFine.write;
  const encodedOnCpu = Math.max(1 / cpuEncode, share * write);
  const onCpu = Math.max(
    1 / readBack,
    rawIsFine === undefined ? encodedOnCpu : Math.min(write, encodedOnCpu),
  );
  const onGpu = Math.max(1 / gpuEncode + share / readBack, share * write);
  return onGpu < onCpu ? "gpu" : "cpu";
}

function isRate(value: number | undefined): value is number {
  return value !== undefined && Number.isFinite(value) && value > 0;
}
