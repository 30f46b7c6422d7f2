/** Whether `value` can name a run: 32 lower-case hexadecimal digits. It is a part of file names. */
export function isRunId(value: unknown): value is string {
  return typeof value === "string" && /^[0-9a-f]{32}$/.test(value);
}
