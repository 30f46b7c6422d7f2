import { fileURLToPath } from "node:url";

/** The runtime that this process runs in. */
export function runtimeName(): "bun" | "deno" | "node" {
  if ("Deno" in globalThis) return "deno";
  return "Bun" in globalThis ? "bun" : "node";
}

/** The arguments before its own with which this runtime runs a script beside this file. */
export function scriptArguments(name: string): string[] {
  const extension = import.meta.url.endsWith(".ts") ? ".ts" : ".js";
  const script = fileURLToPath(new URL(name + extension, import.meta.url));
  return runtimeName() === "deno" ? ["run", "-A", "--no-check", "--quiet", script] : [script];
}
