import type { StateInput } from "../../checkpoint/capture/state_types.ts";

/** What a checkpoint keeps of the callbacks of a run. */
export type SavedCallbacks = {
  /** Steps whose losses they were told. */
  readonly told: number;
  /** What each gave, by its name. */
  readonly states: { readonly [name: string]: StateInput };
};

/** The callbacks of a run, as far as checkpoints go. */
export interface CallbackStates {
  /** What a checkpoint of now keeps; undefined where there is nothing to keep. */
  saved(): SavedCallbacks | undefined;
  /** Goes on from a checkpoint of step `step`. Never throws: they take it later. */
  take(saved: SavedCallbacks | undefined, step: number): void;
  /** Names in `saved` that no callback has. */
  strangersIn(saved: SavedCallbacks | undefined): readonly string[];
}
