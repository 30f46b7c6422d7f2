import { type Work, WORK_OPTIONS } from "../../base/work.ts";
import { checkOptions, type OptionNames } from "../../base/options/options.ts";
import { CairnError } from "../../base/errors.ts";
import { type CheckpointSummary, readCatalog, type SkippedCheckpoint } from "../engine/catalog.ts";
import { MOST_LOOKS, skipped as skippedCheckpoint } from "../engine/summary.ts";
import type { Checkpoint } from "../file/checkpoint.ts";
import type { Engine } from "../engine/engine.ts";
import { LoadFailures } from "./load_failures.ts";
import { requireReadable } from "./unreadable.ts";
import { quarantine, type QuarantineReport } from "./quarantine.ts";

/** Options of {@link recover}. */
export interface RecoverOptions extends Work {
  /**
   * Passes over a checkpoint after this many attempts to load it that were never confirmed, as when each one crashed
   * the process. It is tried last, so that a run can resume as long as anything is sound. The caller has to
   * {@link Recovery.confirm}. Unless given, nothing is counted.
   */
  readonly maxFailures?: number | undefined;
  /**
   * Says why a checkpoint is refused although it may be sound, such as that it belongs to another run. Asked before
   * its tensors are read; what it throws about the file is damage.
   */
  readonly refuse?: (checkpoint: Checkpoint) => Promise<CairnError | undefined>;
  /** Move what is certainly damaged into the directory `damaged`. Default false: nothing is changed. */
  readonly quarantinesDamaged?: boolean | undefined;
}

/** Every option of {@link RecoverOptions}. */
export const RECOVER_OPTIONS: OptionNames<RecoverOptions> = {
  ...WORK_OPTIONS,
  maxFailures: true,
  refuse: true,
  quarantinesDamaged: true,
};

/** How checkpoints are read and judged. */
type LookOptions = Omit<RecoverOptions, "maxFailures" | "quarantinesDamaged">;

/** One look through a directory. */
interface Look {
  readonly found: { readonly summary: CheckpointSummary; readonly checkpoint: Checkpoint } | undefined;
  readonly damaged: readonly SkippedCheckpoint[];
  readonly refused: readonly SkippedCheckpoint[];
  readonly passedOver: readonly SkippedCheckpoint[];
  /** Whether something was removed meanwhile: the process that did it has saved a newer one. */
  readonly hasVanished: boolean;
}

/** What {@link recover} found. */
export interface Recovery {
  /** The newest checkpoint of which every byte is sound, open and verified. The caller closes it. */
  readonly checkpoint: Checkpoint | undefined;
  /**
   * Newer ones that are damaged, cannot be read, were refused or failed too often, and all that cannot even be
   * opened.
   */
  readonly skipped: readonly SkippedCheckpoint[];
  /** Those of them that were refused, the newest first. */
  readonly refused: readonly SkippedCheckpoint[];
  /** What was moved out of the way; `undefined` when that was not asked for. */
  readonly quarantined: QuarantineReport | undefined;
  /** Says that the checkpoint was loaded and works: its failures are forgotten. */
  confirm(): Promise<void>;
}

/**
 * The newest checkpoint that verifies. The file `latest` is ignored: a crash between a commit and its update leaves
 * it out of date. Checkpoints are tried from the one that was committed last, whatever their steps are, and each is
 * read completely before it is taken. Nothing is removed, and nothing is changed unless the options ask for it.
 *
 * @throws RangeError for a `maxFailures` below 1.
 * @throws CairnError `storage_failed` when nothing was found and something could not be read: there may be a
 * checkpoint.
 */
export async function recover(engine: Engine, options: RecoverOptions = {}): Promise<Recovery> {
  const { maxFailures, quarantinesDamaged = false, ...reading } = checkOptions(
    "recover()",
    options,
    RECOVER_OPTIONS,
  );
  if (maxFailures !== undefined && !(Number.isSafeInteger(maxFailures) && maxFailures >= 1)) {
    throw new RangeError(`maxFailures is ${maxFailures}, expected an integer from 1`);
  }
  const failures = maxFailures === undefined ? undefined : new LoadFailures(engine);
  const { found, damaged, refused, passedOver } = await lookUntilQuiet(
    engine,
    reading,
    failures,
    maxFailures ?? 1,
  );
  if (found === undefined && refused.length === 0) requireReadable(damaged);
  return {
    checkpoint: found?.checkpoint,
    skipped: [...damaged, ...refused, ...passedOver],
    refused,
    quarantined: quarantinesDamaged ? await quarantine(engine, damaged) : undefined,
    confirm: async () => {
      if (found !== undefined) await failures?.record(found.summary.tag, found.summary.fileId, 0);
    },
  };
}

async function lookUntilQuiet(
  engine: Engine,
  options: LookOptions,
  failures: LoadFailures | undefined,
  maxFailures: number,
): Promise<Look> {
  for (let looks = 1;; looks++) {
    const seen = await look(engine, options, failures, maxFailures, looks === MOST_LOOKS);
    if (!seen.hasVanished || looks === MOST_LOOKS) return seen;
  }
}

/** @param isLast Go on to older ones although something vanished. */
async function look(
  engine: Engine,
  options: LookOptions,
  failures: LoadFailures | undefined,
  maxFailures: number,
  isLast: boolean,
): Promise<Look> {
  const { checkpoints, unreadable } = await readCatalog(
    engine,
    { signal: options.signal },
  );
  const newestFirst = [...checkpoints].reverse();
  const tired = failures === undefined ? [] : await tiredOf(newestFirst, failures, maxFailures);
  const damaged: SkippedCheckpoint[] = [...unreadable];
  const refused: SkippedCheckpoint[] = [];
  for (const summary of [...newestFirst.filter((each) => !tired.includes(each)), ...tired]) {
    try {
      const checkpoint = await attempt(engine, summary, options, failures);
      if (checkpoint instanceof CairnError) {
        refused.push(skippedCheckpoint(summary.tag, summary.path, checkpoint));
        continue;
      }
      const passedOver = newerThan(summary, newestFirst, tired).map((each) =>
        passedOverFor(each, maxFailures)
      );
      return { found: { summary, checkpoint }, damaged, refused, passedOver, hasVanished: false };
    } catch (error) {
      if (!(error instanceof CairnError)) throw error;
      if (error.code !== "not_found") damaged.push(skippedCheckpoint(summary.tag, summary.path, error));
      else if (!isLast) return { found: undefined, damaged, refused, passedOver: [], hasVanished: true };
    }
  }
  return { found: undefined, damaged, refused, passedOver: [], hasVanished: false };
}

/** Those of `tired` that come before `taken`, unless it is one of them: then those before it were tried. */
function newerThan(
  taken: CheckpointSummary,
  newestFirst: readonly CheckpointSummary[],
  tired: readonly CheckpointSummary[],
): readonly CheckpointSummary[] {
  if (tired.includes(taken)) return [];
  return tired.filter((each) => newestFirst.indexOf(each) < newestFirst.indexOf(taken));
}

/**
 * Opens and verifies. The attempt is on record before it begins, as it may be the end of the process.
 *
 * @returns Why not, where it was refused.
 */
async function attempt(
  engine: Engine,
  { tag, fileId }: CheckpointSummary,
  { refuse, ...reading }: LookOptions,
  failures: LoadFailures | undefined,
): Promise<Checkpoint | CairnError> {
  const before = await failures?.count(tag, fileId) ?? 0;
  await failures?.record(tag, fileId, before + 1);
  let checkpoint: Checkpoint | undefined;
  try {
    checkpoint = await engine.load(tag, { signal: reading.signal });
    const refusal = await refuse?.(checkpoint);
    if (refusal === undefined) await checkpoint.verify(reading);
    else {
      await checkpoint.close();
      // Belonging to another run is not a failure.
      await failures?.record(tag, fileId, before);
    }
    return refusal ?? checkpoint;
  } catch (error) {
    await checkpoint?.close();
    // An abort says nothing about the checkpoint.
    if (!(error instanceof CairnError)) await failures?.record(tag, fileId, before);
    throw error;
  }
}

/** Those that failed too often, in the same order. */
async function tiredOf(
  checkpoints: readonly CheckpointSummary[],
  failures: LoadFailures,
  maxFailures: number,
): Promise<CheckpointSummary[]> {
  const tired: CheckpointSummary[] = [];
  for (const checkpoint of checkpoints) {
    if (await failures.count(checkpoint.tag, checkpoint.fileId) >= maxFailures) tired.push(checkpoint);
  }
  return tired;
}

function passedOverFor({ tag, path }: CheckpointSummary, limit: number): SkippedCheckpoint {
  const message = `Checkpoint "${tag}" (${path}) is passed over: it failed to load ${limit} times or more; ` +
    "load it by its tag to find out why";
  return skippedCheckpoint(
    tag,
    path,
    new CairnError("limit_exceeded", message, { details: { tag, path, limit } }),
  );
}
