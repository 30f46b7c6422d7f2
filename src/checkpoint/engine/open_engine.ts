import { requireAwaited } from "../../base/options/kind_of.ts";
import type { Engine } from "./engine.ts";
import { FileEngine } from "./file_engine.ts";
import type { FileEngineOptions } from "./file_engine_options.ts";

/** A directory of the file system, or an engine that the caller has. */
export type EngineTarget = string | URL | Engine;

/** The engine that is meant. @param options For a directory; an engine has its own. */
export function openEngine(target: EngineTarget, options: FileEngineOptions = {}): Promise<Engine> {
  requireAwaited("The engine", target, "FileEngine.open(…)");
  return isPath(target) ? FileEngine.open(target, options) : Promise.resolve(target);
}

/** Whether it is a directory, and no engine. */
export function isPath(target: EngineTarget | undefined): target is string | URL {
  return typeof target === "string" || target instanceof URL;
}
