import { CairnError } from "../base/errors.ts";
import { readCatalog, skipped as skippedCheckpoint, type SkippedCheckpoint } from "./catalog.ts";
import type { Checkpoint, CheckpointReadOptions } from "./checkpoint.ts";
import type { Engine } from "./engine.ts";

/** What {@link recover} found. */
export interface Recovery {
  /** The newest checkpoint of which every byte is sound, open and verified. The caller closes it. */
  readonly checkpoint: Checkpoint | undefined;
  /** Newer ones that are damaged or cannot be read, and all that cannot even be opened. */
  readonly skipped: readonly SkippedCheckpoint[];
}

/**
 * The newest checkpoint that verifies. The file `latest` is not asked: between a commit and its update, a crash leaves it
 * behind. Checkpoints are tried from the highest step down (at the same step the one saved last), and each is read
 * completely before it is believed. Nothing is changed or removed.
 */
export async function recover(engine: Engine, options: CheckpointReadOptions = {}): Promise<Recovery> {
  const { checkpoints, unreadable } = await readCatalog(engine, options);
  const skipped: SkippedCheckpoint[] = [...unreadable];
  for (const { tag, path } of [...checkpoints].reverse()) {
    let checkpoint: Checkpoint | undefined;
    try {
      checkpoint = await engine.load(tag, options);
      await checkpoint.verify(options);
      return { checkpoint, skipped };
    } catch (error) {
      await checkpoint?.close();
      if (!(error instanceof CairnError)) throw error;
      if (error.code !== "not_found") skipped.push(skippedCheckpoint(tag, path, error));
    }
  }
  return { checkpoint: undefined, skipped };
}
