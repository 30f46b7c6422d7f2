/** What a JSON line is made of. Fields that are `undefined` are left out. */
export type Json =
  | null
  | boolean
  | number
  | string
  | undefined
  | readonly Json[]
  | { readonly [key: string]: Json };

/** Characters that JSON may have as they are, and that a terminal should not get. */
const ESCAPED = /[\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g;

/**
 * A value as one line of JSON. NaN and the infinities, which JSON has no word for, are the texts `"NaN"`,
 * `"Infinity"` and `"-Infinity"`. It is safe in a terminal.
 */
export function jsonLine(value: Json): string {
  const text = JSON.stringify(
    value,
    (_, each: unknown) => typeof each === "number" && !Number.isFinite(each) ? String(each) : each,
  );
  return `${text.replace(ESCAPED, (found) => `\\u${found.charCodeAt(0).toString(16).padStart(4, "0")}`)}\n`;
}
