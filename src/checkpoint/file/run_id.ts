/** Whether `value` can name a run: 32 lower-case hexadecimal digits. It is a part of file names. */
export function isRunId(value: unknown): value is string {
  return typeof value === "string" && /^[0-9a-f]{32}$/.test(value);
}

/** @throws TypeError for what {@link isRunId} refuses. */
export function checkRunId(runId: string): void {
  if (!isRunId(runId)) {
    throw new TypeError(`runId is ${JSON.stringify(runId)}, expected 32 hexadecimal digits`);
  }
}
