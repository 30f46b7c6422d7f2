import { checkOptions, type OptionNames } from "../../../base/options/options.ts";
import { throwIfAborted } from "../../../base/abort.ts";
import { type Clock, systemClock } from "../../../base/clock.ts";
import { CairnError } from "../../../base/errors.ts";
import { type CheckpointSummary, readCatalog } from "../../engine/catalog.ts";
import type { Engine } from "../../engine/engine.ts";
import type { EngineTarget } from "../../engine/engine_target.ts";
import { openEngine } from "../../engine/open_engine.ts";
import { CHECKPOINT_EXTENSION } from "../../file/tags.ts";
import { DirectoryWatch } from "./directory_watch.ts";

/** Options of {@link checkpointsIterator}. */
export interface CheckpointsIteratorOptions {
  /**
   * `latest` gives the newest whenever that is another one than the one given last: those saved in between are
   * skipped, and when the newest is deleted the one before comes again. `every` gives each one once, oldest first, as
   * long as it is there when its turn comes. Default `latest`.
   */
  readonly mode?: "latest" | "every" | undefined;
  /** How long to wait between two looks, where a change of the directory does not end the wait. Default 30 000. */
  readonly pollMs?: number | undefined;
  /**
   * How long to wait for a checkpoint, counted anew for each one. It ends when another wait would go beyond that.
   * Default 1 800 000, half an hour; `Infinity` waits for ever.
   */
  readonly timeoutMs?: number | undefined;
  /** Asked when the time is over: `true` ends the iteration, `false` waits once more for as long. */
  readonly timeoutFn?: (() => boolean | Promise<boolean>) | undefined;
  /** Ends the iteration by throwing its reason. */
  readonly signal?: AbortSignal | undefined;
  /** The clock that waits; that of the system unless given. */
  readonly clock?: Clock | undefined;
}

/** Every option of {@link CheckpointsIteratorOptions}. */
export const CHECKPOINTS_ITERATOR_OPTIONS: OptionNames<CheckpointsIteratorOptions> = {
  mode: true,
  pollMs: true,
  timeoutMs: true,
  timeoutFn: true,
  signal: true,
  clock: true,
};

/**
 * Paths of checkpoints, as a training process saves them: for an evaluator beside it. It looks when the next one is
 * asked for, and simply ends when none comes in time. Only complete checkpoints are given. One that was
 * overwritten is a new one.
 *
 * @param target Directory of the checkpoints, which need not exist yet, or an engine.
 * @throws CairnError `storage_failed` when the time is over and the directory could not be read at the end.
 *
 * @example
 * ```ts
 * for await (const path of checkpointsIterator("runs/digits", { mode: "every", timeoutMs: 600_000 })) {
 *   await evaluate(path);
 *   await markDoneEval(path, "test");
 * }
 * ```
 */
export function checkpointsIterator(
  target: EngineTarget,
  options: CheckpointsIteratorOptions = {},
): AsyncGenerator<string, void, undefined> {
  return pathsOf(watchCheckpoints(target, options));
}

async function* pathsOf(
  checkpoints: AsyncIterable<CheckpointSummary>,
): AsyncGenerator<string, void, undefined> {
  for await (const { path } of checkpoints) yield path;
}

/** As {@link checkpointsIterator}, with what is known of each checkpoint without reading its data. */
export function watchCheckpoints(
  target: EngineTarget,
  options: CheckpointsIteratorOptions = {},
): AsyncGenerator<CheckpointSummary, void, undefined> {
  // Here and not in the generator, which does nothing before it is asked for the first one.
  const { mode = "latest" } = checkOptions("checkpointsIterator()", options, CHECKPOINTS_ITERATOR_OPTIONS);
  if (mode !== "latest" && mode !== "every") {
    throw new RangeError(`mode is "latest" or "every", found ${JSON.stringify(mode)}`);
  }
  checkTimes(options);
  return summaries(target, options);
}

async function* summaries(
  target: EngineTarget,
  options: CheckpointsIteratorOptions,
): AsyncGenerator<CheckpointSummary, void, undefined> {
  const { mode = "latest", timeoutFn } = options;
  const engine = await openEngine(target);
  const given = new Set<string>();
  let last: string | undefined;
  const isNew = (checkpoint: CheckpointSummary): boolean =>
    mode === "latest" ? identity(checkpoint) !== last : !given.has(identity(checkpoint));
  const choose = (checkpoints: readonly CheckpointSummary[]): CheckpointSummary | undefined =>
    (mode === "latest" ? checkpoints.slice(-1) : checkpoints).find(isNew);
  const watch = new DirectoryWatch(engine.folders[0], (name) => name.endsWith(CHECKPOINT_EXTENSION));
  try {
    for (;;) {
      const next = await waitForOne(engine, watch, choose, options);
      if (next !== undefined) {
        last = identity(next);
        if (mode === "every") given.add(last);
        yield next;
      } else if (timeoutFn === undefined || await timeoutFn()) return;
    }
  } finally {
    watch.close();
  }
}

/** The checkpoint that `choose` takes, or `undefined` when the time is over. */
async function waitForOne(
  engine: Engine,
  watch: DirectoryWatch,
  choose: (checkpoints: readonly CheckpointSummary[]) => CheckpointSummary | undefined,
  { pollMs = 30_000, timeoutMs = 1_800_000, signal, clock = systemClock }: CheckpointsIteratorOptions,
): Promise<CheckpointSummary | undefined> {
  const deadline = clock.now() + timeoutMs;
  for (;;) {
    throwIfAborted(signal);
    watch.arm();
    let failure: CairnError | undefined;
    try {
      const { checkpoints } = await readCatalog(engine, { signal });
      const found = choose(checkpoints);
      if (found !== undefined) return found;
    } catch (error) {
      // A disk of a network may be away for a while.
      if (!(error instanceof CairnError)) throw error;
      failure = error;
    }
    if (clock.now() + pollMs > deadline) {
      if (failure !== undefined) throw failure;
      return undefined;
    }
    await watch.wait(clock, pollMs, signal);
  }
}

/** @throws RangeError for an invalid time. */
function checkTimes({ pollMs = 1, timeoutMs = 1 }: CheckpointsIteratorOptions): void {
  if (!(Number.isFinite(pollMs) && pollMs > 0)) {
    throw new RangeError(`pollMs is ${pollMs}, expected a number of milliseconds above 0`);
  }
  if (!(timeoutMs >= 0)) {
    throw new RangeError(`timeoutMs is ${timeoutMs}, expected a number of milliseconds from 0`);
  }
}

function identity({ path, fileId }: CheckpointSummary): string {
  return `${fileId} ${path}`;
}
