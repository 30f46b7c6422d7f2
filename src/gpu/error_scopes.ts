import { CairnError } from "../base/errors.ts";

/** Outermost first. "internal" is a driver that gave up, e.g. on a pipeline. */
const FILTERS: readonly GPUErrorFilter[] = ["out-of-memory", "internal", "validation"];

/** What came out of work done inside error scopes. */
export interface ScopedWork<T> {
  readonly value: T;
  /** Resolves with the first error of the scopes. Never rejects: on a lost device there is nothing to say. */
  readonly error: Promise<CairnError | undefined>;
}

/**
 * Runs `work` inside validation, internal and out-of-memory scopes.
 *
 * Scopes are a stack on the device, so they are closed before this returns: of an async `work` only what it does before
 * its first `await` is covered. That way overlapping calls nest and never see each other's errors.
 */
export function inErrorScopes<T>(device: GPUDevice, label: string, work: () => T): ScopedWork<T> {
  for (const filter of FILTERS) device.pushErrorScope(filter);
  try {
    const value = work();
    return { value, error: popScopes(device, label) };
  } catch (error) {
    void popScopes(device, label);
    throw error;
  }
}

async function popScopes(device: GPUDevice, label: string): Promise<CairnError | undefined> {
  const popped = FILTERS.map(() => device.popErrorScope().catch(() => null));
  // Popped innermost first: the reverse of FILTERS.
  const [validation, internal, outOfMemory] = await Promise.all(popped);
  // A buffer without memory is invalid, and so is every command with it: the first cause is what counts.
  if (outOfMemory) return gpuFailure(label, "out_of_memory", outOfMemory);
  if (validation) return gpuFailure(label, "gpu_validation", validation);
  return internal ? gpuFailure(label, "gpu_validation", internal) : undefined;
}

/** An error that WebGPU reported about `label`, as a {@link CairnError}. */
export function gpuFailure(
  label: string,
  code: "gpu_validation" | "out_of_memory",
  cause: GPUError,
): CairnError {
  const what = code === "out_of_memory" ? "ran out of GPU memory" : "is not valid for WebGPU";
  return new CairnError(code, `"${label}" ${what}: ${cause.message.trim()}`, {
    details: { op: label },
    cause,
  });
}
