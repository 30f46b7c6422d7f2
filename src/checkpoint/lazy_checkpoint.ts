import { checkOptions } from "../base/options/options.ts";
import type { HostTensor } from "../tensor/host_tensor.ts";
import type { Checkpoint } from "./file/checkpoint.ts";
import type { Engine, EngineLoadOptions } from "./engine/engine.ts";
import {
  GET_CHECKPOINT_OPTIONS,
  getCheckpoint,
  type GetCheckpointOptions,
} from "./keep/newest_checkpoint.ts";
import { loadTensor } from "./engine/load_tensor.ts";
import type { EngineTarget } from "./engine/engine_target.ts";
import { openEngine } from "./engine/open_engine.ts";

/** A checkpoint that was found and of which nothing was loaded. It holds no file open. */
export class LazyCheckpoint {
  /** Full name of its file. */
  readonly path: string;
  readonly #engine: Engine;

  /**
   * @param path As the engine gave it.
   *
   * @internal
   */
  constructor(engine: Engine, path: string) {
    this.#engine = engine;
    this.path = path;
  }

  /**
   * Opens it for its manifest, its tensors and its state. The caller closes it.
   *
   * @throws CairnError `not_found` when it was deleted meanwhile, or what is wrong with the file.
   */
  async open(options: EngineLoadOptions = {}): Promise<Checkpoint> {
    return await this.#engine.load(this.path, options);
  }

  /** Reads one tensor in place; see {@link loadTensor}. */
  async loadTensor(
    name: string,
    into: HostTensor,
    options: EngineLoadOptions = {},
  ): Promise<void> {
    const checkpoint = await this.open(options);
    try {
      await loadTensor(checkpoint, name, into, options);
    } finally {
      await checkpoint.close();
    }
  }
}

/**
 * Finds the newest checkpoint, or the one of a step, and loads nothing. Follows `Snapshot.get_torch_snapshot` of
 * the-algorithm-ml.
 *
 * @returns `undefined` when there is none at all and `missingOk` is set: never a handle on nothing.
 * @throws CairnError `no_checkpoint`, as `getCheckpoint`.
 */
export async function findCheckpoint(
  target: EngineTarget,
  options: GetCheckpointOptions = {},
): Promise<LazyCheckpoint | undefined> {
  checkOptions("findCheckpoint()", options, GET_CHECKPOINT_OPTIONS, "{ step: 100 }");
  const engine = await openEngine(target);
  const path = await getCheckpoint(engine, options);
  return path === "" ? undefined : new LazyCheckpoint(engine, path);
}
