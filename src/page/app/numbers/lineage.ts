/** What of a checkpoint says where it comes from. */
export interface Descended {
  readonly fileId: string;
  /** The checkpoint that its run went on from. */
  readonly parent?: string | undefined;
  readonly runId?: string | undefined;
  readonly step: number;
  /** When it was committed, among those of its directory. */
  readonly order: number;
  readonly directory: string;
}

/** A checkpoint in its place: right of those before it, in the lane of those that one process saved. */
export interface Placed<T extends Descended> {
  readonly checkpoint: T;
  readonly lane: number;
}

/** A line from a checkpoint to one that came of it. */
export interface Descent<T extends Descended> {
  readonly from: Placed<T>;
  readonly to: Placed<T>;
  /** Whether a run went on there, or the same process just trained on. */
  readonly isResume: boolean;
}

/** Checkpoints by where they come from. */
export interface Lineage<T extends Descended> {
  readonly placed: readonly Placed<T>[];
  readonly descents: readonly Descent<T>[];
  readonly lanes: number;
}

/**
 * Puts checkpoints into lanes. What went on from the last one of a lane stays in that lane; a second one that went on
 * from there, or from an earlier one, gets a lane of its own, as a branch does.
 */
export function lineageOf<T extends Descended>(checkpoints: readonly T[]): Lineage<T> {
  const stretches = [
    ...Map.groupBy(
      inOrder(checkpoints),
      ({ directory, runId, parent }) => JSON.stringify([directory, runId, parent]),
    ).values(),
  ];
  const placed = new Map<string, Placed<T>>();
  const descents: Descent<T>[] = [];
  const ends: Placed<T>[] = [];
  for (const stretch of stretches) {
    const [first] = stretch;
    if (first === undefined) continue;
    const from = first.parent === undefined ? undefined : placed.get(first.parent);
    const goesOn = from !== undefined && ends[from.lane] === from;
    const lane = goesOn ? from.lane : ends.length;
    let before = from;
    for (const checkpoint of stretch) {
      const place = { checkpoint, lane };
      if (before !== undefined) descents.push({ from: before, to: place, isResume: before === from });
      placed.set(checkpoint.fileId, place);
      ends[lane] = place;
      before = place;
    }
  }
  return { placed: [...placed.values()], descents, lanes: ends.length };
}

function inOrder<T extends Descended>(checkpoints: readonly T[]): T[] {
  return checkpoints.toSorted((a, b) => a.order - b.order || a.step - b.step);
}
