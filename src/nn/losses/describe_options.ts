import type { DescribedValue, Description } from "../../base/description.ts";

/**
 * What a loss is: its name, and the options that are not what they are by default. Those that are left out, so that
 * an option that is new makes no run another one.
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
