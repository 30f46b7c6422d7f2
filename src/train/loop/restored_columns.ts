import type { Checkpoint } from "../../checkpoint/file/checkpoint.ts";
import type { StepColumns } from "./history.ts";
import { columnsOf, type KeptTerms } from "../step/kept_terms.ts";
import { LossRing, termRing } from "./loss_ring.ts";
import type { TrainingState } from "./training_state.ts";

/**
 * What is kept of all steps beside their losses: from the history and the rings of the file, as the losses are. NaN
 * where the file does not have it, and without a file that has the same.
 *
 * @param ringOf Reads a ring of the file.
 */
export async function restoredColumns(
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
