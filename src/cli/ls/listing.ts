import { CairnError } from "../../base/errors.ts";
import { readCatalog } from "../../checkpoint/engine/catalog.ts";
import { DAMAGED_DIRECTORY } from "../../checkpoint/engine/checkpoint_folder.ts";
import { FileEngine } from "../../checkpoint/engine/file_engine.ts";
import type { CheckpointSummary } from "../../checkpoint/engine/summary.ts";
import { fileIdOfPart, PARTS_DIRECTORY } from "../../checkpoint/file/parts/part_files.ts";
import { CHECKPOINT_EXTENSION } from "../../checkpoint/file/tags.ts";
import { surveyLeases } from "../../checkpoint/keep/evaluators/lease.ts";
import { bestN } from "../../checkpoint/keep/retention/by_metric.ts";
import {
  directionOf,
  type RankedMetric,
  rankedMetric,
} from "../../checkpoint/keep/retention/metric_direction.ts";
import type { Storage } from "../../storage/storage.ts";

/** What is known of a checkpoint in a list. */
export interface ListedCheckpoint extends CheckpointSummary {
  /** Of its file and its parts. */
  readonly bytes: number;
  readonly isNewest: boolean;
  /** Whether it has the best value of the metric that is looked at. */
  readonly isBest: boolean;
  /** Who keeps it from being deleted. */
  readonly leasedBy?: string | undefined;
}

/** A file that is named like a checkpoint and is none, or lies in the quarantine. */
export interface DamagedFile {
  readonly path: string;
  readonly reason: string;
  /** Whether it was moved out of the way already. */
  readonly isQuarantined: boolean;
}

/** The checkpoints of a directory. */
export interface Listing {
  /** Oldest first. */
  readonly checkpoints: readonly ListedCheckpoint[];
  readonly damaged: readonly DamagedFile[];
  /** The metric that the best is the best of. */
  readonly ranked?: Required<RankedMetric> | undefined;
}

/**
 * Reads the manifests of all checkpoints of a directory, and no tensor.
 *
 * @param metric What the best is to be the best of; else one whose name says its direction, `val_loss` before others.
 */
export async function listCheckpoints(storage: Storage, metric?: RankedMetric): Promise<Listing> {
  const engine = await FileEngine.open(storage);
  const { checkpoints, unreadable } = await readCatalog(engine);
  const { held } = await surveyLeases(engine, Date.now());
  const sizes = await sizesIn(storage);
  const ranked = metric === undefined ? guessMetric(checkpoints) : rankedMetric(metric);
  const best = ranked === undefined ? undefined : bestTag(checkpoints, ranked);
  const newest = checkpoints.at(-1)?.tag;
  const quarantined = (await storage.list(DAMAGED_DIRECTORY)).filter(({ kind }) => kind === "file");
  return {
    ranked,
    checkpoints: checkpoints.map((each) => ({
      ...each,
      bytes: sizeOf(each, sizes),
      isNewest: each.tag === newest,
      isBest: each.tag === best,
      leasedBy: held.get(each.tag),
    })),
    damaged: [
      ...unreadable.map(({ tag, error }) => ({
        path: tag + CHECKPOINT_EXTENSION,
        reason: reasonOf(error),
        isQuarantined: false,
      })),
      ...quarantined.map(({ name }) => ({
        path: `${DAMAGED_DIRECTORY}/${name}`,
        reason: "it is in the quarantine",
        isQuarantined: true,
      })),
    ],
  };
}

/** What is wrong, without the name of the file, which stands before it anyway. */
function reasonOf(error: CairnError): string {
  return error.cause instanceof CairnError ? error.cause.message : error.message;
}

/** Bytes of every checkpoint's file by its name, and of every part by its file id. */
async function sizesIn(storage: Storage): Promise<ReadonlyMap<string, number>> {
  const files = await storage.list("");
  const parts = await storage.list(PARTS_DIRECTORY);
  return new Map([
    ...files.map(({ name, byteLength }) => [name, byteLength] as const),
    ...parts.map(({ name, byteLength }) => [fileIdOfPart(name) ?? name, byteLength] as const),
  ]);
}

function sizeOf({ tag, partIds = [] }: CheckpointSummary, sizes: ReadonlyMap<string, number>): number {
  return [tag + CHECKPOINT_EXTENSION, ...partIds].reduce((sum, file) => sum + (sizes.get(file) ?? 0), 0);
}

function bestTag(checkpoints: readonly CheckpointSummary[], ranked: RankedMetric): string | undefined {
  const candidates = checkpoints.map(({ tag, step, metrics }) => ({ tag, step, metrics, timeMs: undefined }));
  return bestN(1, ranked).keep(candidates).keys().next().value;
}

function guessMetric(checkpoints: readonly CheckpointSummary[]): Required<RankedMetric> | undefined {
  const names = [...new Set(checkpoints.flatMap(({ metrics }) => Object.keys(metrics)))].sort();
  const known = names.filter((name) => directionOf(name) !== undefined);
  const metric = known.find((name) => name === "val_loss") ?? known.find((name) => name.startsWith("val_")) ??
    known[0];
  const direction = metric === undefined ? undefined : directionOf(metric);
  return metric === undefined || direction === undefined ? undefined : { metric, direction };
}
