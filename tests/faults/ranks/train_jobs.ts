import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openCheckpoint } from "../../../src/checkpoint/file/open_path.ts";
import { getCheckpoint } from "../../../src/checkpoint/keep/newest_checkpoint.ts";
import { type NodePrograms, type RankStart, runRanks } from "../../mpi/mpi_runs.ts";
import { isGone } from "./ends.ts";
import type { RankPlan, RankResult } from "./train_program.ts";

const PROGRAM = new URL("train_program.ts", import.meta.url);
/** A job that does not end by itself fails; a group that waits without end would wait for longer. */
const MOST_SECONDS = 300;

/** What rows of training count, beside their faults. */
export class TrainingOutcome {
  jobs = 0;
  /** Runs that ended with other weights or losses than the undisturbed one. */
  different = 0;
  /** Checkpoints that were said to be durable, and of which neither they nor newer ones are there. */
  lost = 0;
  /** Newest checkpoints that are damaged, or of which a tensor is not that of the undisturbed run at their step. */
  mixed = 0;
  /** Jobs of which a runtime died of its own: Deno's heap on a software GPU, rarely Node. */
  crashes = 0;
  /** Of the weights and losses, where all runs have the same. */
  digest: string | undefined;
}

/** How a job ended, and what its ranks left. */
export interface TrainingEnd {
  /** Of `mpiexec`. */
  readonly status: number | null;
  readonly shown: string;
  /** A rank died of what its runtime does now and then on a software GPU; see `docs/architecture.md`. */
  readonly isCrash: boolean;
  /** Of the ranks that came to their end, in order. */
  readonly results: readonly RankResult[];
  /** How many ranks had opened the group. */
  readonly begun: number;
  /** Processes that go on. */
  readonly left: readonly number[];
  /** Steps of which rank 0 said that they are saved. */
  readonly saved: readonly number[];
  /** Those of rank 0. */
  readonly weights: Float32Array;
}

/** What jobs need, and where they are counted. */
export interface TrainingContext {
  readonly programs: NodePrograms;
  readonly outcome: TrainingOutcome;
}

/** What such an end looks like, as launchers show it. */
const CRASH = /signal (6|11)\b|Segmentation fault|corrupted|invalid chunk size|free\(\)/;
const MOST_CRASHES = 2;

/**
 * Trains as a job of so many ranks. One that nothing disturbs is begun again after a crash of its runtime, as a
 * supervisor would do.
 */
export async function trainAsRanks(
  start: RankStart,
  plan: Omit<RankPlan, "folder">,
  context: TrainingContext,
): Promise<TrainingEnd> {
  for (let crashes = 0;; crashes++) {
    const end = await runJob(start, plan, context);
    if (end.isCrash) context.outcome.crashes++;
    const isWhole = end.results.length === start.ranks;
    if (!end.isCrash || isWhole || plan.odd !== undefined || crashes === MOST_CRASHES) return end;
  }
}

async function runJob(
  start: RankStart,
  plan: Omit<RankPlan, "folder">,
  { programs, outcome }: TrainingContext,
): Promise<TrainingEnd> {
  outcome.jobs++;
  const folder = mkdtempSync(join(tmpdir(), "cairn-training-"));
  try {
    const args = [JSON.stringify({ ...plan, folder })];
    const end = await runRanks(start, PROGRAM, { args, programs, mostSeconds: MOST_SECONDS });
    const names = readdirSync(folder).sort();
    const pids = names.filter((name) => name.startsWith("pid-")).map((name) => Number(name.slice(4)));
    const left: number[] = [];
    for (const pid of pids) if (!await isGone(pid)) left.push(pid);
    const shown = `${end.output}${end.errors}`;
    return {
      status: end.status,
      shown: shown.slice(-2000),
      isCrash: start.runtime !== "bun" && end.status !== 0 && CRASH.test(shown),
      results: names.filter((name) => name.startsWith("result-")).map((name) =>
        JSON.parse(readFileSync(join(folder, name), "utf8")) as RankResult
      ),
      begun: pids.length,
      left,
      saved: textOf(join(folder, "saved")).split("\n").filter((line) => line !== "").map(Number),
      weights: floatsOf(join(folder, "weights")),
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function textOf(path: string): string {
  return existsSync(path) ? readFileSync(path, "utf8") : "";
}

function floatsOf(path: string): Float32Array {
  return existsSync(path) ? new Float32Array(Uint8Array.from(readFileSync(path)).buffer) : new Float32Array();
}

/** A checkpoint that has been verified: its step, and a hash of all its tensors. */
export interface NewestCheckpoint {
  readonly step: number;
  readonly tensors: string;
}

/** The newest checkpoint of a directory, which has to be whole; `undefined` where there is none. */
export async function newestOf(directory: string): Promise<NewestCheckpoint | undefined> {
  const path = await getCheckpoint(directory, { missingOk: true });
  return path === "" ? undefined : await readVerified(path);
}

/** What a checkpoint is. Rejects where it is damaged. */
export async function readVerified(path: string): Promise<NewestCheckpoint> {
  const checkpoint = await openCheckpoint(path);
  try {
    await checkpoint.verify();
    const { reader } = checkpoint;
    const hash = createHash("sha256");
    for (const name of reader.tensors.map(({ name }) => name).sort()) {
      hash.update(name).update(Buffer.from(await reader.read(name)));
    }
    return { step: checkpoint.step ?? -1, tensors: hash.digest("hex") };
  } finally {
    await checkpoint.close();
  }
}
