import { pickOptions } from "../base/options/options.ts";
import { BackgroundSaver, type BackgroundSaverOptions } from "./background_saver.ts";
import type { Engine } from "./engine/engine.ts";
import { FILE_ENGINE_OPTIONS, type FileEngineOptions } from "./engine/file_engine_options.ts";
import { openEngine } from "./engine/open_engine.ts";
import { type EngineTarget, isPath } from "./engine/engine_target.ts";

/** Where saves go: an engine, and what saves to it in the background. */
export class SaveTarget {
  readonly engine: Promise<Engine>;
  readonly saver: BackgroundSaver;
  /** Whether the engine was opened here, for a directory. */
  readonly #isOwnEngine: boolean;

  /** @param options Those of an engine are for a directory; an engine has its own. */
  constructor(target: EngineTarget, options: FileEngineOptions & BackgroundSaverOptions = {}) {
    this.#isOwnEngine = isPath(target);
    this.engine = openEngine(target, pickOptions<FileEngineOptions>(options, FILE_ENGINE_OPTIONS));
    this.saver = new BackgroundSaver(this.engine, options);
  }

  /** Waits for the save under way, frees its memory, and ends its own engine. @throws as `BackgroundSaver.close`. */
  async close(): Promise<void> {
    try {
      await this.saver.close();
    } finally {
      // A lock that is not given back would keep the next engine of this process out.
      if (this.#isOwnEngine) await this.engine.then((engine) => engine.cleanup(), () => {});
    }
  }
}
