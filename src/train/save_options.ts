import type { OptionNames } from "../base/options/options.ts";
import type { TagAgreement } from "../checkpoint/ranks/tag_validation.ts";

/** Options of `Trainer.save`. */
export interface TrainerSaveOptions {
  /** Replace a checkpoint of that name. Default false: that is `already_exists`. */
  readonly overwrite?: boolean | undefined;
  /** Where several processes save parts of one run: compares the name with theirs before anything is written. */
  readonly tagAgreement?: TagAgreement | undefined;
  /** Stops the save, which then rejects with the signal's reason and leaves nothing behind. */
  readonly signal?: AbortSignal | undefined;
}

/** Every option of {@link TrainerSaveOptions}. */
export const TRAINER_SAVE_OPTIONS: OptionNames<TrainerSaveOptions> = {
  overwrite: true,
  tagAgreement: true,
  signal: true,
};
