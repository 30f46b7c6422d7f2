import type { DescribedValue, Description } from "../../base/description.ts";

/**
 * What a loss is: its name, and the options that differ from their defaults. The others are left out, so that a new
 * option does not change what an older run says of itself.
 */
export function optionDescription(
  name: string,
  options: object,
  defaults: Readonly<Record<string, DescribedValue>> = {},
): Description {
  const said = Object.entries(options).filter(([option, value]) =>
    value !== undefined && value !== defaults[option]
  );
  return { name, ...Object.fromEntries(said.map(([option, value]) => [option, described(value)])) };
}

function described(value: unknown): DescribedValue {
  if (typeof value === "number" || typeof value === "boolean" || typeof value === "string") return value;
  return Array.from(value as ArrayLike<number>);
}
