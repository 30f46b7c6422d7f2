/** What of a checkpoint says where it stands in the tree. */
export interface Descendant {
  readonly fileId: string;
  readonly runId: string | undefined;
  /** File id of the checkpoint that its process went on from. */
  readonly parent?: string | undefined;
}

/** A checkpoint with what stands before its name, so that lines below one another show the tree. */
export interface Branch<Checkpoint> {
  readonly checkpoint: Checkpoint;
  readonly lead: string;
}

/** What one process saved, one after the other. */
interface Stretch<Checkpoint> {
  readonly checkpoints: Checkpoint[];
  readonly parent: string | undefined;
}

/**
 * Checkpoints as a tree: what was saved by a process that went on from the newest one follows it straight, and what
 * went on from an older one is a branch below that.
 *
 * @param checkpoints Oldest first.
 */
export function lineageOf<Checkpoint extends Descendant>(
  checkpoints: readonly Checkpoint[],
): Branch<Checkpoint>[] {
  const stretches = stretchesOf(checkpoints);
  const known = new Set(checkpoints.map(({ fileId }) => fileId));
  const branches: Branch<Checkpoint>[] = [];
  const seen = new Set<Stretch<Checkpoint>>();
  const walk = (start: Stretch<Checkpoint>, first: string, rest: string): void => {
    let lead = first;
    for (let stretch: Stretch<Checkpoint> | undefined = start; stretch !== undefined;) {
      seen.add(stretch);
      let straight: Stretch<Checkpoint> | undefined;
      for (const [at, checkpoint] of stretch.checkpoints.entries()) {
        branches.push({ checkpoint, lead });
        lead = rest;
        const children: Stretch<Checkpoint>[] = stretches.filter((each) =>
          each.parent === checkpoint.fileId && !seen.has(each)
        );
        if (at === stretch.checkpoints.length - 1) straight = children.pop();
        for (const child of children) walk(child, `${rest}└ `, `${rest}  `);
      }
      stretch = straight;
    }
  };
  const roots = stretches.filter(({ parent }) => parent === undefined || !known.has(parent));
  // A circle, which no writer makes, has no root; its checkpoints are listed all the same.
  for (const stretch of [...roots, ...stretches]) if (!seen.has(stretch)) walk(stretch, "", "");
  return branches;
}

function stretchesOf<Checkpoint extends Descendant>(
  checkpoints: readonly Checkpoint[],
): Stretch<Checkpoint>[] {
  const stretches = new Map<string, Stretch<Checkpoint>>();
  for (const checkpoint of checkpoints) {
    const key = `${checkpoint.runId} ${checkpoint.parent}`;
    const stretch = stretches.get(key) ?? { checkpoints: [], parent: checkpoint.parent };
    stretches.set(key, stretch);
    stretch.checkpoints.push(checkpoint);
  }
  return [...stretches.values()];
}
