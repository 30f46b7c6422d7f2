/** Throws the signal's own reason when it is aborted, as every long call of Cairn does between its steps. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw signal.reason;
}
