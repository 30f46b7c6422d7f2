import { CommitInfo } from "./commit_info.ts";
import type { CommitReport } from "./engine.ts";
import { type CheckpointState, FrozenCheckpoint } from "./frozen_checkpoint.ts";
import type { StateInput } from "./host_state.ts";
import { type EngineTarget, openEngine } from "./open_engine.ts";

/** Options of {@link saveCheckpoint}, named as DeepSpeed names them. */
export interface SaveCheckpointOptions {
  /** Name of the checkpoint. Default `global_step<N>`, with the step of the state's provenance. */
  readonly tag?: string | number;
  /** What `loadCheckpoint` gives back beside the state. */
  readonly clientState?: StateInput;
  /** Whether the hint file `latest` names this checkpoint afterwards. Default true. */
  readonly saveLatest?: boolean;
  /** Leave the tensors in `frozenParameters` out. Default false. */
  readonly excludeFrozenParameters?: boolean;
  /** Full names of the store's tensors that are not trained. */
  readonly frozenParameters?: Iterable<string>;
  /** Replace a checkpoint that has the tag already. */
  readonly overwrite?: boolean;
  readonly signal?: AbortSignal;
  /** Called after each chunk with raw bytes. */
  readonly onProgress?: (progress: { done: number; total: number }) => void;
}

/**
 * Saves a checkpoint and resolves when it is durable. The state is the one at the call. The hint `latest` moves only after
 * the commit, and by the same durable protocol.
 *
 * @throws CairnError `invalid_tag` before anything is touched; `already_exists`; of the storage or the GPU.
 * @throws TypeError for an empty directory, a missing tag, or a state that cannot be saved.
 */
export async function saveCheckpoint(
  saveDir: EngineTarget,
  state: CheckpointState,
  options: SaveCheckpointOptions = {},
): Promise<CommitReport> {
  const {
    clientState,
    saveLatest,
    excludeFrozenParameters = false,
    frozenParameters,
    overwrite,
    signal,
    onProgress,
  } = options;
  if (saveDir === "") throw new TypeError("The directory to save to must not be empty");
  const tag = options.tag ?? defaultTag(state);
  const info = CommitInfo.of(saveLatest === undefined ? { tag } : { tag, saveLatest });
  signal?.throwIfAborted();
  const frozen = FrozenCheckpoint.of({
    ...state,
    ...clientState === undefined ? {} : { clientState },
    ...excludeFrozenParameters && frozenParameters !== undefined ? { excludedTensors: frozenParameters } : {},
  });
  try {
    const engine = await openEngine(saveDir);
    await engine.create(info, overwrite === undefined ? {} : { overwrite });
    const aborting = signal === undefined ? {} : { signal };
    await engine.save(frozen, undefined, { ...aborting, ...onProgress === undefined ? {} : { onProgress } });
    return await engine.commit(info, aborting);
  } finally {
    frozen.release();
  }
}

function defaultTag(state: CheckpointState): string {
  const step = state.provenance?.step;
  if (step === undefined) {
    throw new TypeError("saveCheckpoint needs a tag, or a step in the state's provenance to make one of");
  }
  return `global_step${step}`;
}
