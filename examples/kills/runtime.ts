import { fileURLToPath } from "node:url";

/** The runtime that this process runs in. */
export function runtimeName(): "bun" | "deno" | "node" {
  if ("Deno" in globalThis) return "deno";
  return "Bun" in globalThis ? "bun" : "node";
}

/** The arguments before its own with which this runtime runs a script, such as "digits_cnn/train". */
export function scriptArguments(script: string): string[] {
  const extension = import.meta.url.endsWith(".ts") ? ".ts" : ".js";
  const path = fileURLToPath(new URL(`../${script}${extension}`, import.meta.url));
  return runtimeName() === "deno" ? ["run", "-A", "--no-check", "--quiet", path] : [path];
}
