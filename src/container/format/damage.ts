import { CairnError } from "../../base/errors.ts";

const DAMAGE_CODES: ReadonlySet<string> = new Set(["checksum_mismatch", "invalid_container", "truncated"]);

/** Whether an error says that bytes are not what was written, and not that reading them was stopped or failed. */
export function isDamage(error: unknown): error is CairnError {
  return error instanceof CairnError && DAMAGE_CODES.has(error.code);
}
