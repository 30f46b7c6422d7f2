import { inspect } from "node:util";

interface Runtimes {
  readonly Deno?: { inspect(value: unknown): string };
  readonly Bun?: { inspect(value: unknown): string };
}

/** What `console.log` writes of a value. */
export function shown(value: object): string {
  const { Deno, Bun } = globalThis as Runtimes;
  return (Deno ?? Bun)?.inspect(value) ?? inspect(value);
}

/** What a Deno notebook shows of a value, by media type. */
export function displayed(value: object): Record<string, string> {
  const display: unknown = Reflect.get(value, Symbol.for("Jupyter.display"));
  if (typeof display !== "function") throw new TypeError("It shows itself in no notebook");
  return display.call(value) as Record<string, string>;
}
