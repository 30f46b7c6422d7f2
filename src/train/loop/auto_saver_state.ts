/** The best checkpoint so far, by the metric of `keep.best`. */
export type BestSave = {
  readonly metric: string;
  readonly direction: "min" | "max";
  readonly value: number;
  readonly step: number;
};

/** What is best. */
type BestBy = Pick<BestSave, "metric" | "direction">;

/**
 * What an {@link AutoSaver} writes into a checkpoint. It has no path: a checkpoint may be moved. The settings are
 * there to be read by people; only `saves` and `best` are taken back.
 */
export type AutoSaverState = {
  interval: number | null;
  everySteps: number | null;
  name: string;
  stepName: string;
  overwrite: boolean;
  saveOnLastEpoch: boolean;
  keepLast: number | null;
  lastSavedTag: string | null;
  /** Checkpoints that became durable; not in the first checkpoints. */
  saves?: number | undefined;
  best?: BestSave | null | undefined;
};

/** What an {@link AutoSaver} takes from a saved state. */
export interface TakenState {
  readonly saves?: number | undefined;
  readonly best?: BestSave | undefined;
}

/**
 * The counter and the best of a state in a file, each if valid: the best only by the metric and in the direction that
 * the settings have now. Anything else in the file is ignored.
 */
export function takenFrom(state: unknown, wanted: BestBy | undefined): TakenState {
  if (typeof state !== "object" || state === null) return {};
  const { saves, best } = state as { readonly saves?: unknown; readonly best?: unknown };
  const isBest = wanted !== undefined && isBestSave(best) && best.metric === wanted.metric &&
    best.direction === wanted.direction;
  return {
    saves: isCount(saves) ? saves : undefined,
    best: isBest ? { ...wanted, value: best.value, step: best.step } : undefined,
  };
}

/** The better one of the best so far and a checkpoint with `value`, which never is if that is no finite number. */
export function betterOf(
  best: BestSave | null,
  { metric, direction }: BestBy,
  value: number | undefined,
  step: number,
): BestSave | null {
  if (value === undefined || !Number.isFinite(value)) return best;
  const isAsGood = knownBy(best, { metric, direction })?.value === value;
  return isAsGood || isBetter(value, best, { metric, direction }) ? { metric, direction, value, step } : best;
}

/** Whether `value` is finite and better than the best so far, if there is one by that metric. */
export function isBetter(value: number | undefined, best: BestSave | null, by: BestBy): boolean {
  if (value === undefined || !Number.isFinite(value)) return false;
  const known = knownBy(best, by);
  return known === null || (by.direction === "min" ? value < known.value : value > known.value);
}

/** The best so far, if it is by that metric. */
function knownBy(best: BestSave | null, { metric, direction }: BestBy): BestSave | null {
  return best?.metric === metric && best.direction === direction ? best : null;
}

function isBestSave(value: unknown): value is BestSave {
  if (typeof value !== "object" || value === null) return false;
  const { value: measured, step } = value as Partial<BestSave>;
  return typeof measured === "number" && Number.isFinite(measured) && isCount(step);
}

function isCount(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}
