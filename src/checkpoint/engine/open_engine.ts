import { requireAwaited } from "../../base/options/kind_of.ts";
import type { Engine } from "./engine.ts";
import { type EngineTarget, isPath } from "./engine_target.ts";
import { FileEngine } from "./file_engine.ts";
import type { FileEngineOptions } from "./file_engine_options.ts";

/** The engine that is meant. @param options For a directory; an engine has its own. */
export function openEngine(target: EngineTarget, options: FileEngineOptions = {}): Promise<Engine> {
  requireAwaited("The engine", target, "FileEngine.open(…)");
  return isPath(target) ? FileEngine.open(target, options) : Promise.resolve(target);
}
