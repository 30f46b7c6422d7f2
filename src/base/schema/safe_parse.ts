import * as z from "zod/mini";
import en from "zod/v4/locales/en.js";

const { localeError } = en();

/** What came of a value: `data` where the schema has it, else `error`. */
export type Parsed<T> = z.core.util.SafeParseResult<T>;

/**
 * Checks `value` by a schema. What does not fit is said in words: schemas of `zod/mini` by themselves say only that
 * something is invalid.
 */
export function safeParse<T>(schema: z.ZodMiniType<T>, value: unknown): Parsed<T> {
  return schema.safeParse(value, { error: localeError });
}
