import * as z from "zod/mini";
import { problemText } from "./problem_text.ts";

/** What came of a value: `data` where the schema has it, else `error`. */
export type Parsed<T> = z.core.util.SafeParseResult<T>;

/**
 * Checks `value` by a schema. What does not fit is said in words: schemas of `zod/mini` by themselves say only that
 * something is invalid.
 */
export function safeParse<T>(schema: z.ZodMiniType<T>, value: unknown): Parsed<T> {
  return schema.safeParse(value, { error: problemText });
}

/** What does not fit first, and where: dotted, and nothing for the value as a whole. */
export function firstProblem(error: z.core.$ZodError): { readonly path?: string; readonly message: string } {
  const { path = [], message = "unknown" } = error.issues[0] ?? {};
  return path.length === 0 ? { message } : { path: path.join("."), message };
}
