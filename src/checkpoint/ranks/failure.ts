import * as z from "zod/mini";
import { CairnError, type CairnErrorCode } from "../../base/errors.ts";

/** Why a rank could not go on, as it is told to the others. */
export interface Failure {
  readonly code: CairnErrorCode;
  readonly message: string;
}

/** What to tell the other ranks of an error. What is no CairnError has the code `commit_failed`. */
export function failureOf(error: unknown): Failure {
  const code = error instanceof CairnError ? error.code : "commit_failed";
  return { code, message: error instanceof Error ? error.message : String(error) };
}

/** The fields of a failure in a message. */
export function failureFields(): { code: z.ZodMiniType<CairnErrorCode>; message: z.ZodMiniType<string> } {
  return { code: z.custom<CairnErrorCode>((value) => typeof value === "string"), message: z.string() };
}
