import * as z from "zod/mini";
import { CairnError } from "../../base/errors.ts";
import { safeParse } from "../../base/schema/safe_parse.ts";

/**
 * A message of another rank, which may be of another version.
 *
 * @param kind What it is to be, for the message.
 * @throws CairnError `commit_failed` for anything that no rank sends.
 */
export function checkedMessage<T>(schema: z.ZodMiniType<T>, kind: string, content: unknown): T {
  const parsed = safeParse(schema, content);
  if (parsed.success) return parsed.data;
  throw new CairnError(
    "commit_failed",
    `A rank left an invalid message "${kind}": ${
      z.prettifyError(parsed.error)
    }; use the same version everywhere`,
  );
}

/** A message without the fields that are undefined, which are as good as left out. */
export function withoutUndefined(message: unknown): unknown {
  if (Array.isArray(message)) return message.map(withoutUndefined);
  if (typeof message !== "object" || message === null) return message;
  return Object.fromEntries(
    Object.entries(message).filter(([, item]) => item !== undefined).map((
      [key, item],
    ) => [key, withoutUndefined(item)]),
  );
}
