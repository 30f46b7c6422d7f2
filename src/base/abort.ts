/** Throws the signal's own reason when it is aborted, as every long call of Cairn does between its steps. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw signal.reason;
}

/**
 * What `work` gives, or the signal's own reason as soon as it is aborted, whether or not `work` reacts to it. What
 * `work` gives afterwards is dropped.
 */
export async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  // Work that began with an aborted signal fails, too, and nobody waits for it.
  if (signal.aborted) work.catch(() => {});
  throwIfAborted(signal);
  let abort = (): void => {};
  const aborted = new Promise<never>((_, reject) => {
    abort = () => reject(signal.reason);
    signal.addEventListener("abort", abort);
  });
  try {
    return await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener("abort", abort);
  }
}
