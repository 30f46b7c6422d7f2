import type { Engine } from "./engine.ts";

/** A directory of the file system, or an engine that the caller has. */
export type EngineTarget = string | URL | Engine;

/** Whether it is a directory, and no engine. */
export function isPath(target: EngineTarget | undefined): target is string | URL {
  return typeof target === "string" || target instanceof URL;
}
