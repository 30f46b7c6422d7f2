import { startThroughput, type Throughput, type Work, WORK_OPTIONS } from "../../base/work.ts";
import { checkOptions, type OptionNames } from "../../base/options/options.ts";
import { CommitInfo } from "../engine/commit_info.ts";
import type { CommitReport, Engine } from "../engine/engine.ts";
import {
  type CheckpointState,
  FrozenCheckpoint,
  requireCheckpointState,
} from "../capture/frozen_checkpoint.ts";
import type { StateInput } from "../capture/state_types.ts";
import { CairnError } from "../../base/errors.ts";
import { FileEngine } from "../engine/file_engine.ts";
import { openEngine } from "../engine/open_engine.ts";
import { type EngineTarget, isPath } from "../engine/engine_target.ts";
import type { Components } from "../file/parts/components.ts";
import { RANK_SAVE_OPTIONS, type RankSaveOptions } from "../ranks/rank_options.ts";
import { saveByRanks } from "../ranks/save_by_ranks.ts";

/** Options of {@link saveCheckpoint}, named as DeepSpeed names them. */
export interface SaveCheckpointOptions extends Work {
  /** Name of the checkpoint. Default `global_step<N>`, with the step of the state's provenance. */
  readonly tag?: string | number | undefined;
  /** What `loadCheckpoint` gives back beside the state. */
  readonly clientState?: StateInput | undefined;
  /** Whether the hint file `latest` names this checkpoint afterwards. Default true. */
  readonly saveLatest?: boolean | undefined;
  /** Leave the tensors in `frozenParameters` out. Default false. */
  readonly excludeFrozenParameters?: boolean | undefined;
  /** Full names of the store's tensors that are not trained. */
  readonly frozenParameters?: Iterable<string> | undefined;
  /**
   * Components of the store that get a file of their own, all of them or some; see `FileEngineOptions.components`.
   * For a directory; an engine has the option itself.
   */
  readonly components?: Components | undefined;
  /**
   * Saves one checkpoint together with other ranks that call this with their own rank; for a directory or a
   * `FileEngine`.
   */
  readonly ranks?: RankSaveOptions | undefined;
  /** Replace a checkpoint that has the tag already. */
  readonly overwrite?: boolean | undefined;
}

/** Every option of {@link SaveCheckpointOptions}. */
export const SAVE_CHECKPOINT_OPTIONS: OptionNames<SaveCheckpointOptions> = {
  tag: true,
  clientState: true,
  saveLatest: true,
  excludeFrozenParameters: true,
  frozenParameters: true,
  components: true,
  ranks: true,
  overwrite: true,
  ...WORK_OPTIONS,
};

/**
 * Saves a checkpoint and resolves when it is durable. The state is the one at the call. The hint `latest` moves only
 * after the commit, and by the same durable protocol. The report's seconds are those of the whole call, its bytes
 * those of the tensors before compression.
 *
 * @throws CairnError `invalid_tag` before anything is touched; `already_exists`; `commit_failed` when another rank is
 * missing, `state_mismatch` when the ranks' states contradict each other; the error of another rank; errors of the
 * storage or the GPU.
 * @throws TypeError for an empty directory, a missing tag, or a state that cannot be saved.
 */
export async function saveCheckpoint(
  saveDir: EngineTarget,
  state: CheckpointState,
  options: SaveCheckpointOptions = {},
): Promise<CommitReport & Throughput> {
  const {
    clientState,
    saveLatest,
    excludeFrozenParameters = false,
    frozenParameters,
    overwrite,
    signal,
    onProgress,
  } = checkOptions("saveCheckpoint()", options, SAVE_CHECKPOINT_OPTIONS, '{ tag: "100" }');
  if (options.ranks !== undefined) checkOptions("ranks", options.ranks, RANK_SAVE_OPTIONS);
  requireCheckpointState(state);
  if (options.ranks !== undefined && state.tensors !== undefined) {
    throw new TypeError(
      "Ranks save together what is in their stores; a state with tensors is one process's own",
    );
  }
  if (saveDir === "") throw new TypeError("The directory to save to must not be empty");
  const tag = options.tag ?? defaultTag(state);
  const info = CommitInfo.of({ tag, saveLatest });
  signal?.throwIfAborted();
  const throughputOf = startThroughput();
  const frozen = FrozenCheckpoint.of({
    ...state,
    // Whatever is in it, as when it is that of a checkpoint that was loaded: no retention deletes this one.
    provenance: { ...state.provenance, savedBy: "user" },
    clientState,
    excludedTensors: excludeFrozenParameters ? frozenParameters : undefined,
  });
  try {
    const engine = await openFor(saveDir, options);
    if (options.ranks !== undefined) {
      const report = await saveByRanks({
        engine: requireFileEngine(engine),
        info,
        overwrite: overwrite ?? false,
        frozen,
        ranks: options.ranks,
        signal,
        onProgress,
      });
      return { ...report, ...throughputOf(report.written.rawBytes) };
    }
    await engine.create(info, { overwrite });
    await engine.save(frozen, undefined, { signal, onProgress });
    const report = await engine.commit(info, { signal });
    return { ...report, ...throughputOf(report.written.rawBytes) };
  } finally {
    frozen.release();
  }
}

async function openFor(saveDir: EngineTarget, { components, ranks }: SaveCheckpointOptions): Promise<Engine> {
  if (components === undefined) return await openEngine(saveDir);
  if (ranks !== undefined) {
    throw new TypeError("A checkpoint is split by components or by ranks; pass one of the two");
  }
  if (isPath(saveDir)) return await openEngine(saveDir, { components });
  throw new TypeError("components is an option of the engine; open it with that");
}

function requireFileEngine(engine: Engine): FileEngine {
  if (engine instanceof FileEngine) return engine;
  throw new CairnError(
    "unsupported",
    `Ranks cannot save together with the engine "${engine.name}"; pass a directory that all of them see, or a FileEngine`,
  );
}

function defaultTag(state: CheckpointState): string {
  const step = state.provenance?.step;
  if (step === undefined) {
    throw new TypeError("saveCheckpoint needs a tag, or a step in the state's provenance to make one of");
  }
  return `global_step${step}`;
}
