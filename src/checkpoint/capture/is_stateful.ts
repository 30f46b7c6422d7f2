import type { Stateful } from "./state_types.ts";

/** Whether `value` can give and take its own state. */
export function isStateful(value: unknown): value is Stateful {
  const candidate = value as Partial<Stateful> | null | undefined;
  return typeof candidate === "object" && typeof candidate?.stateDict === "function" &&
    typeof candidate.loadStateDict === "function";
}
