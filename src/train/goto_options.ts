import type { OptionNames } from "../base/options/options.ts";
import { type Work, WORK_OPTIONS } from "../base/work.ts";
import type { SkippedCheckpoint } from "../checkpoint/engine/catalog.ts";

/** Options of `Trainer.goto`. Its progress is in steps that are done again. */
export interface GotoOptions extends Work {}

/** Every option of {@link GotoOptions}. */
export const GOTO_OPTIONS: OptionNames<GotoOptions> = WORK_OPTIONS;

/** What `Trainer.goto` did. */
export interface GotoReport {
  /** Steps done: where the run is now. */
  readonly step: number;
  /** From which step on they were done again; `step` where none was. */
  readonly from: number;
  /** The checkpoint that it began with; null for a state in memory, and for the weights that the seed gives. */
  readonly checkpoint: string | null;
  /** Checkpoints that would have been nearer, and are damaged or of steps that went another way, with the reason. */
  readonly skipped: readonly SkippedCheckpoint[];
}
