import type { Checkpoint } from "../../checkpoint/file/checkpoint.ts";
import { readFitted } from "../../checkpoint/restore/fitted_tensor.ts";
import type { StepColumns } from "./history.ts";
import { columnsOf, type KeptTerms } from "../step/kept_terms.ts";
import { LOSS_RING, LossRing, termRing } from "./loss_ring.ts";
import type { Run } from "./run.ts";
import type { TrainingState } from "./training_state.ts";

/** What a checkpoint knows of each of its steps. */
export interface RestoredLosses {
  readonly losses: Float32Array;
  readonly columns: StepColumns;
}

/**
 * The losses of all steps of a checkpoint, from its history and its ring, and what else is kept of them.
 *
 * @param state Its own.
 * @param isOtherLoss Whether the run has another loss, of which nothing else is known then.
 */
export async function restoredLosses(
  run: Run,
  checkpoint: Checkpoint,
  state: TrainingState,
  { isOtherLoss = false, signal }: {
    readonly isOtherLoss?: boolean;
    readonly signal?: AbortSignal | undefined;
  } = {},
): Promise<RestoredLosses> {
  const { reader } = checkpoint;
  const ringOf = async (name: string): Promise<Float32Array> => {
    const bytes = await readFitted(reader, reader.tensor(name), run.store.tensor(name), signal);
    return new Float32Array(bytes.slice().buffer);
  };
  const losses = LossRing.join(state.history.loss, await ringOf(LOSS_RING), state.step);
  const columns = await restoredColumns(run.kept, isOtherLoss ? undefined : checkpoint, state, ringOf);
  return { losses, columns };
}

/**
 * What is kept of all steps beside their losses: from the history and the rings of the file, as the losses are. NaN
 * where the file does not have it, and without a file that has the same.
 *
 * @param ringOf Reads a ring of the file.
 */
async function restoredColumns(
  kept: KeptTerms,
  checkpoint: Checkpoint | undefined,
  { step, history }: TrainingState,
  ringOf: (name: string) => Promise<Float32Array>,
): Promise<StepColumns> {
  const columns: Record<string, Float32Array> = {};
  for (const name of columnsOf(kept)) {
    const known = history.columns?.[name] ?? new Float32Array();
    const isThere = known.length === history.loss.length && checkpoint?.reader.has(termRing(name)) === true;
    columns[name] = isThere
      ? LossRing.join(known, await ringOf(termRing(name)), step)
      : new Float32Array(step).fill(NaN);
  }
  return columns;
}
