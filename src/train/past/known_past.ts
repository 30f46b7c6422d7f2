import type { Checkpoint } from "../../checkpoint/file/checkpoint.ts";
import type { EpochRecord } from "../loop/history.ts";
import { ownState } from "../loop/own_checkpoint.ts";
import type { RateScale } from "../loop/rate_scales.ts";
import { type RestoredLosses, restoredLosses } from "../loop/restored_losses.ts";
import type { Run } from "../loop/run.ts";
import { knownOf } from "./run_moment.ts";

/** What is known of a run without its tensors: enough to tell whether steps that are done again are the same. */
export interface KnownPast extends RestoredLosses {
  readonly epochs: readonly EpochRecord[];
  readonly validations: readonly EpochRecord[];
  readonly rateScales: readonly RateScale[];
}

/** What a run itself knows. Its losses have been read. */
export function pastOfRun(run: Run): KnownPast {
  const { step, history, rateScales } = run;
  const { epochs, validations } = history;
  return { ...knownOf(run, step), epochs: [...epochs], validations: [...validations], rateScales };
}

/** What a checkpoint knows. @throws CairnError `state_mismatch` for one of another run; what is wrong with the file. */
export async function pastOfCheckpoint(
  run: Run,
  checkpoint: Checkpoint,
  signal: AbortSignal | undefined,
): Promise<KnownPast> {
  const { state } = await ownState(run, checkpoint, () => false);
  const { history: { epochs, validations = [] }, rateScales = [] } = state;
  return { ...await restoredLosses(run, checkpoint, state, { signal }), epochs, validations, rateScales };
}

/** The first step from `from` on whose losses have other bits, as far as both are known. */
export function firstDifferentLoss(a: Float32Array, b: Float32Array, from = 0): number | undefined {
  const [bitsOfA, bitsOfB] = [bitsOf(a), bitsOf(b)];
  const end = Math.min(a.length, b.length);
  for (let step = from; step < end; step++) if (bitsOfA[step] !== bitsOfB[step]) return step;
  return undefined;
}

/** Those of a NaN differ between processors and mean the same: a batch that was skipped. */
function bitsOf(losses: Float32Array): Uint32Array {
  const canonical = losses.map((loss) => Number.isNaN(loss) ? NaN : loss);
  return new Uint32Array(canonical.buffer);
}
