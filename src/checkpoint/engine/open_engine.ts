import { requireAwaited } from "../../base/options/kind_of.ts";
import type { Engine } from "./engine.ts";
import { FileEngine } from "./file_engine.ts";

/** A directory of the file system, or an engine that the caller has. */
export type EngineTarget = string | URL | Engine;

/** The engine that is meant. */
export function openEngine(target: EngineTarget): Promise<Engine> {
  requireAwaited("The engine", target, "FileEngine.open(…)");
  return typeof target === "string" || target instanceof URL
    ? FileEngine.open(target)
    : Promise.resolve(target);
}
