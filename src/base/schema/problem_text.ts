import type * as z from "zod/mini";

/** An issue as a schema finds it, before it has a message. */
type Issue = z.core.$ZodRawIssue;

/**
 * What does not fit, in words, for the kinds of schema that are used here. `zod/mini` by itself says only that
 * something is invalid, and its own English has all kinds that there are.
 */
export function problemText(issue: Issue): string {
  switch (issue.code) {
    case "invalid_type":
      return `Invalid input: expected ${issue.expected}, received ${typeOf(issue.input)}`;
    case "invalid_value":
      return issue.values.length === 1
        ? `Invalid input: expected ${written(issue.values[0])}`
        : `Invalid option: expected one of ${issue.values.map(written).join("|")}`;
    case "too_small":
      return `Too small: expected ${ofSize(issue.origin)}${
        issue.inclusive === true ? ">=" : ">"
      }${issue.minimum}`;
    case "too_big":
      return `Too big: expected ${ofSize(issue.origin)}${
        issue.inclusive === true ? "<=" : "<"
      }${issue.maximum}`;
    case "invalid_format":
      return `Invalid ${
        issue.format === "regex" ? `string: must match pattern ${issue.pattern}` : issue.format
      }`;
    case "unrecognized_keys":
      return `Unrecognized key${issue.keys.length > 1 ? "s" : ""}: ${issue.keys.map(written).join(", ")}`;
    default:
      return "Invalid input";
  }
}

function written(value: unknown): string {
  return typeof value === "string" ? JSON.stringify(value) : String(value);
}

function ofSize(origin: string): string {
  const isCounted = origin === "string" || origin === "array" || origin === "set" || origin === "map";
  return isCounted ? `${origin} of a length ` : `${origin} to be `;
}

function typeOf(value: unknown): string {
  if (typeof value === "number" && !Number.isFinite(value)) return String(value);
  if (value === null) return "null";
  return Array.isArray(value) ? "array" : typeof value;
}
