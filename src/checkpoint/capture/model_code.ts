/**
 * The text of a module that makes a model, as it was when a checkpoint was saved. Data to be read by people: nothing
 * runs it.
 */
export interface ModelCode {
  /** Name of the module's file, without its directory: a checkpoint holds no path. */
  readonly module: string;
  /** All of its text, imports included. */
  readonly source: string;
}

/** `value`, which a file says is code, when it is; anything else is none. */
export function asModelCode(value: unknown): ModelCode | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const { module, source } = value as Partial<Record<keyof ModelCode, unknown>>;
  return typeof module === "string" && typeof source === "string" ? { module, source } : undefined;
}
