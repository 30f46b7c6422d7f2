import { checkOptions, type OptionNames } from "../../base/options/options.ts";
import { CairnError } from "../../base/errors.ts";
import { MemoryStorage } from "../../storage/memory_storage.ts";
import type { Storage } from "../../storage/storage.ts";
import { DecoupledEngine, type DecoupledEngineOptions } from "./decoupled_engine.ts";
import type { Engine } from "../engine/engine.ts";
import { FileEngine, type FileEngineOptions } from "../engine/file_engine.ts";
import type { RetentionPolicy } from "../keep/retention/retention.ts";
import { TieredEngine } from "./tiered_engine.ts";

/**
 * What a configuration says about engines. The first of the fields that is set decides, in the order in which they
 * are here.
 */
export interface EngineChoice {
  /** Write in the call, or in the background. */
  readonly writer?: "file" | "decoupled" | undefined;
  /** Memory at every save, and the directory at every Nth. */
  readonly tiers?: {
    readonly every: number;
    readonly keepInMemory?: RetentionPolicy;
    readonly keepOnDisk?: RetentionPolicy;
  };
  /**
   * An engine from elsewhere, such as a package that may not be installed:
   * `async () => (await import("x")).engine()`.
   */
  readonly optional?: (() => Engine | Promise<Engine>) | undefined;
  /** Told why the optional engine is not used. */
  readonly onFallback?: ((error: unknown) => void) | undefined;
  /** Options of the engine that writes files. */
  readonly file?: FileEngineOptions | undefined;
  /** Options of the engine that writes in the background. */
  readonly decoupled?: DecoupledEngineOptions | undefined;
}

/** Every option of {@link EngineChoice}. */
export const ENGINE_CHOICE: OptionNames<EngineChoice> = {
  writer: true,
  tiers: true,
  optional: true,
  onFallback: true,
  file: true,
  decoupled: true,
};

const TIERS_CHOICE: OptionNames<NonNullable<EngineChoice["tiers"]>> = {
  every: true,
  keepInMemory: true,
  keepOnDisk: true,
};

const METHODS: readonly (keyof Engine)[] = [
  "create",
  "save",
  "commit",
  "abort",
  "load",
  "list",
  "remove",
  "pathOf",
  "continueRun",
  "isDecoupled",
  "cleanup",
];

/**
 * The engine that a configuration asks for; a {@link FileEngine} when it asks for none. When the optional one fails
 * to open or lacks a part of the interface, `onFallback` is told and a `FileEngine` takes its place. Follows
 * DeepSpeed's factory.
 */
export async function chooseEngine(
  target: string | URL | Storage,
  choice: EngineChoice = {},
): Promise<Engine> {
  const { writer, tiers, optional, onFallback = () => {}, file = {}, decoupled = {} } = checkOptions(
    "chooseEngine()",
    choice,
    ENGINE_CHOICE,
  );
  if (tiers !== undefined) checkOptions("tiers", tiers, TIERS_CHOICE, "{ every: 10 }");
  if (writer === undefined && tiers === undefined && optional !== undefined) {
    try {
      return requireEngine(await optional());
    } catch (error) {
      onFallback(error);
    }
  }
  const engine = await FileEngine.open(target, file);
  if (writer === "decoupled") return new DecoupledEngine(engine, decoupled);
  if (writer !== undefined || tiers === undefined) return engine;
  const { every, keepInMemory, keepOnDisk } = tiers;
  const memory = await FileEngine.open(new MemoryStorage(), { ...file, runId: engine.runId });
  return new TieredEngine([
    { engine: memory, keep: keepInMemory },
    { engine, every, keep: keepOnDisk },
  ]);
}

function requireEngine(engine: Engine): Engine {
  const typeOf = (name: string): string => typeof Reflect.get(Object(engine), name);
  const missing: string[] = METHODS.filter((method) => typeOf(method) !== "function");
  if (typeOf("location") !== "string") missing.push("location");
  if (!Array.isArray(Object(engine).folders)) missing.push("folders");
  if (missing.length === 0) return engine;
  throw new CairnError(
    "unsupported",
    `The optional engine lacks ${missing.join(", ")}; it has to have all of Engine`,
  );
}
