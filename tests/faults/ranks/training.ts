import { cpSync } from "node:fs";
import { getCheckpoints } from "../../../src/checkpoint/keep/newest_checkpoint.ts";
import { inFolder } from "../../helpers/in_folder.ts";
import type { RankStart } from "../../mpi/mpi_runs.ts";
import type { Campaign, RowRecorder } from "../campaign.ts";
import type { Oddity, OddMode } from "./odd_rank.ts";
import type { RankPlan } from "./train_program.ts";
import {
  newestOf,
  readVerified,
  trainAsRanks,
  type TrainingContext,
  type TrainingEnd,
} from "./train_jobs.ts";

/** How far trainings are tried. */
export interface TrainingOptions extends TrainingContext {
  readonly starts: readonly Omit<RankStart, "ranks">[];
  /** How a batch is shared out, and what has to give the same bits as the first: jobs take one after the other. */
  readonly settings: readonly NonNullable<RankPlan["parallel"]>[];
  /** Numbers of ranks that have to give the same bits. */
  readonly sizes: readonly number[];
  /** Numbers of ranks that a run of two ranks goes on with. */
  readonly goOn: readonly number[];
  /** How many ranks there are where one is not as it should be, and which ones that are, one at a time. */
  readonly disturbed: { readonly ranks: number; readonly odd: readonly number[] };
  /** Which ways to misbehave are tried; all unless given. */
  readonly modes?: readonly OddMode[];
}

const [STEPS, ODD_STEP, EVERY_STEPS] = [10, 5, 2];
/** How far weights may be from those of the batch in one piece. */
const MOST_APART = 1e-6;
/** How long ranks wait for one that hangs; and where the launcher knows before that it is gone. */
const [HANGING_MS, PATIENT_MS] = [3000, 1_000_000];
/** Numbers of ranks that a disturbed run is begun again with, one after the other. */
const AGAIN = [1, 2, 4];

const KILLS: readonly OddMode[] = [
  "killed in a step",
  "killed in the reduction",
  "killed with a sum",
  "killed in a save",
  "killed before the commit",
];
const ENDS: readonly OddMode[] = ["exits with 0", "throws", "is stopped", "never starts"];

/** A run that nothing disturbs. */
interface Undisturbed {
  readonly weights: string;
  readonly losses: string;
  /** A hash of all tensors that are saved, by step. */
  readonly saved: ReadonlyMap<number, string>;
}

/** Rows of trainings on several ranks: the same bits on any number of them, whatever happened on the way. */
export async function training(campaign: Campaign, options: TrainingOptions): Promise<void> {
  await campaign.row(
    "R8",
    "a training has the same weights on any number of ranks",
    (row) => sameBits(row, options),
  );
  const rows = new DisturbedRuns(options);
  await campaign.row(
    "R9",
    "stopped on 2 ranks by a signal to one, it goes on with others",
    (row) => rows.goOn(row),
  );
  await campaign.row("R10", "a rank is killed in a step, the sum, a save", (row) => rows.end(row, KILLS));
  await campaign.row("R11", "a rank exits, throws, is stopped or never comes", (row) => rows.end(row, ENDS));
  await campaign.row("R12", "a rank comes late, or has a full disk", (row) => rows.lateOrFull(row));
}

async function sameBits(row: RowRecorder, options: TrainingOptions): Promise<void> {
  const { starts, settings, sizes, outcome } = options;
  const plan = { steps: STEPS, timeoutMs: PATIENT_MS };
  let apart = 0;
  const hashes = new Map<string, string>();
  for (const start of starts) {
    const joint = await trainAsRanks({ ...start, ranks: 1 }, { ...plan, parallel: null }, options);
    for (const [parallel, ranks] of settings.flatMap((each) => sizes.map((size) => [each, size] as const))) {
      row.point();
      const what = `${ranks} ranks in ${start.runtime} over ${start.mpi}, ${JSON.stringify(parallel)}`;
      const end = await trainAsRanks({ ...start, ranks }, { ...plan, parallel }, options);
      requireDone(row, what, end, ranks);
      for (const { weights, losses } of end.results) hashes.set(`${weights} ${losses}`, what);
      apart = Math.max(apart, farthest(end.weights, joint.weights));
    }
  }
  outcome.different += Math.max(0, hashes.size - 1);
  outcome.digest = hashes.size === 1 ? [...hashes.keys()][0] : undefined;
  if (hashes.size !== 1) {
    row.fail(
      `${hashes.size} different hashes: ${[...hashes].map((each) => each.reverse().join(": ")).join("; ")}`,
    );
  }
  if (!(apart <= MOST_APART)) row.fail(`a weight is ${apart} from that of the batch in one piece`);
  row.note(`${hashes.size} hash of weights; at most ${apart.toExponential(1)} from the batch in one piece`);
}

/** The largest difference of two numbers; infinite where there are none, or not as many. */
function farthest(a: Float32Array, b: Float32Array): number {
  if (a.length === 0 || a.length !== b.length) return Infinity;
  return a.reduce((most, value, index) => Math.max(most, Math.abs(value - (b[index] ?? NaN))), 0);
}

/** Every rank has come to its end, and the launcher says so. */
function requireDone(row: RowRecorder, what: string, end: TrainingEnd, ranks: number): void {
  const { status, results, left, shown, isCrash } = end;
  if ((status !== 0 && !isCrash) || results.length !== ranks || results.some(({ step }) => step !== STEPS)) {
    row.fail(`${what}: mpiexec ended with ${status}, ${results.length} ranks are done: ${shown}`);
  }
  if (left.length > 0) row.fail(`${what}: processes go on: ${left}`);
}

/** Jobs of which one rank is not as it should be, and what is begun again after them. */
class DisturbedRuns {
  readonly #options: TrainingOptions;
  readonly #undisturbed = new Map<string, Promise<Undisturbed>>();
  #again = 0;
  #disturbed = 0;

  constructor(options: TrainingOptions) {
    this.#options = options;
  }

  /** Stops a run of two ranks, and goes on from there with each of the other numbers. */
  async goOn(row: RowRecorder): Promise<void> {
    await this.#each(async (start) => {
      await inFolder(async (folder) => {
        const odd = { mode: "gets SIGTERM", rank: 1, step: ODD_STEP } as const;
        const what = `a signal to rank 1 of 2 in ${start.runtime} over ${start.mpi}`;
        const end = await this.#train({ ...start, ranks: 2 }, `${folder}/stopped`, odd);
        const steps = [...new Set(end.results.map(({ step }) => step))];
        const newest = await this.#requireWhole(row, what, start, `${folder}/stopped`, end);
        if (end.status === 0 || end.results.length !== 2 || steps.length !== 1 || steps[0] !== newest) {
          row.fail(`${what}: ended with ${end.status} at the steps ${steps}, saved ${newest}: ${end.shown}`);
        }
        for (const ranks of this.#options.goOn) {
          row.point();
          cpSync(`${folder}/stopped`, `${folder}/${ranks}`, { recursive: true });
          await this.#requireSameAgain(row, what, { ...start, ranks }, `${folder}/${ranks}`);
        }
      });
    });
  }

  /** One rank ends or hangs: all do, the newest checkpoint is whole, and the run goes on from there. */
  async end(row: RowRecorder, modes: readonly OddMode[]): Promise<void> {
    const { disturbed: { ranks, odd: ranksInTurn }, modes: only } = this.#options;
    await this.#each(async (start) => {
      for (const mode of modes.filter((mode) => only?.includes(mode) ?? true)) {
        for (const rank of ranksInTurn) {
          row.point();
          const odd = { mode, rank, step: ODD_STEP };
          await inFolder((folder) => this.#endAndGoOn(row, { ...start, ranks }, folder, odd));
        }
      }
    });
  }

  async lateOrFull(row: RowRecorder): Promise<void> {
    const { disturbed: { ranks, odd }, modes: only } = this.#options;
    const isTried = (mode: OddMode): boolean => only?.includes(mode) ?? true;
    await this.#each(async (start) => {
      const among = { ...start, ranks };
      for (const mode of (["starts late", "has a full disk"] as const).filter(isTried)) {
        for (const rank of odd) {
          row.point();
          const oddity = { mode, rank, step: ODD_STEP };
          await inFolder(async (folder) => {
            // Rank 0 saves, and nobody else needs a disk.
            if (mode === "has a full disk" && rank === 0) {
              return await this.#endAndGoOn(row, among, folder, oddity);
            }
            const what = whatOf(among, oddity);
            const end = await this.#train(among, folder, oddity);
            await this.#requireSame(row, what, among, folder, end);
          });
        }
      }
    });
  }

  async #each(work: (start: TrainingOptions["starts"][number]) => Promise<void>): Promise<void> {
    for (const start of this.#options.starts) await work(start);
  }

  async #endAndGoOn(row: RowRecorder, start: RankStart, folder: string, odd: Oddity): Promise<void> {
    const what = whatOf(start, odd);
    const { status, begun, left, shown, ...end } = await this.#train(start, folder, odd);
    if (status === 0 || status === 124) row.fail(`${what}: mpiexec ended with ${status}: ${shown}`);
    const expected = odd.mode === "never starts" ? 0 : start.ranks;
    if (begun !== expected) row.fail(`${what}: ${begun} ranks had opened the group: ${shown}`);
    if (left.length > 0) row.fail(`${what}: processes go on: ${left}`);
    const isDisk = odd.mode === "has a full disk";
    if (end.results.length !== (isDisk ? start.ranks : 0)) {
      row.fail(`${what}: ${end.results.length} ranks came to their end: ${shown}`);
    }
    const newest = await this.#requireWhole(row, what, start, folder, end);
    const isMoved = newest !== undefined && newest < STEPS;
    if (odd.mode !== "never starts" && !isMoved) {
      row.fail(`${what}: the newest checkpoint is of step ${newest}`);
    }
    const again = AGAIN[this.#again++ % AGAIN.length] ?? 1;
    await this.#requireSameAgain(row, what, { ...start, ranks: again }, folder);
  }

  /** Goes on, or begins, and ends as the run that nothing disturbed. */
  async #requireSameAgain(row: RowRecorder, what: string, start: RankStart, folder: string): Promise<void> {
    const again = `${what}, and again on ${start.ranks}`;
    await this.#requireSame(row, again, start, folder, await this.#train(start, folder));
  }

  async #requireSame(
    row: RowRecorder,
    what: string,
    start: RankStart,
    folder: string,
    end: TrainingEnd,
  ): Promise<void> {
    requireDone(row, what, end, start.ranks);
    const expected = await this.#undisturbedOf(start);
    const isSame = end.results.every(({ weights, losses }) =>
      weights === expected.weights && losses === expected.losses
    );
    if (!isSame) {
      this.#options.outcome.different++;
      row.fail(`${what}: other weights than the undisturbed run`);
    }
    await this.#requireWhole(row, what, start, folder, end);
  }

  /** What was saved is there, whole, and that of the undisturbed run. Gives the step of the newest. */
  async #requireWhole(
    row: RowRecorder,
    what: string,
    start: Omit<RankStart, "ranks">,
    folder: string,
    { saved }: Pick<TrainingEnd, "saved">,
  ): Promise<number | undefined> {
    const { outcome } = this.#options;
    const newest = await newestOf(folder).catch((error: unknown) => {
      outcome.mixed++;
      row.fail(`${what}: the newest checkpoint is damaged: ${error}`);
      return undefined;
    });
    const announced = Math.max(0, ...saved);
    if ((newest?.step ?? 0) < announced) {
      outcome.lost++;
      row.fail(`${what}: step ${announced} was saved, and the newest checkpoint is ${newest?.step}`);
    }
    if (newest === undefined) return undefined;
    if ((await this.#undisturbedOf(start)).saved.get(newest.step) !== newest.tensors) {
      outcome.mixed++;
      row.fail(`${what}: step ${newest.step} is not saved as the undisturbed run saved it`);
    }
    return newest.step;
  }

  /** One rank, which saves every step. */
  #undisturbedOf({ runtime, mpi }: Omit<RankStart, "ranks">): Promise<Undisturbed> {
    const known = this.#undisturbed.get(runtime);
    if (known !== undefined) return known;
    const made = inFolder(async (folder): Promise<Undisturbed> => {
      const plan = {
        checkpoints: folder,
        everySteps: 1,
        parallel: this.#first,
        timeoutMs: PATIENT_MS,
        steps: STEPS,
      };
      const { results: [result], shown } = await trainAsRanks(
        { runtime, mpi, ranks: 1 },
        plan,
        this.#options,
      );
      if (result === undefined) throw new Error(`The undisturbed run failed: ${shown}`);
      const saved = new Map<number, string>();
      for (const path of await getCheckpoints(folder)) {
        const { step, tensors } = await readVerified(path);
        saved.set(step, tensors);
      }
      return { ...result, saved };
    });
    this.#undisturbed.set(runtime, made);
    return made;
  }

  /** A job that saves now and then. Its setting is no part of what the run is: it goes on with another one. */
  #train(start: RankStart, checkpoints: string, odd?: Oddity): Promise<TrainingEnd> {
    const { settings } = this.#options;
    const turn = odd === undefined ? this.#disturbed : this.#disturbed++;
    const parallel = settings[turn % settings.length] ?? this.#first;
    const hangs = odd?.mode === "is stopped" || odd?.mode === "never starts";
    const timeoutMs = hangs ? HANGING_MS : PATIENT_MS;
    const plan = { checkpoints, everySteps: EVERY_STEPS, parallel, odd, timeoutMs, steps: STEPS };
    return trainAsRanks(start, plan, this.#options);
  }

  get #first(): NonNullable<RankPlan["parallel"]> {
    return this.#options.settings[0] ?? { shards: 8 };
  }
}

function whatOf({ ranks, runtime, mpi }: RankStart, { mode, rank }: Oddity): string {
  return `rank ${rank} of ${ranks} in ${runtime} over ${mpi} ${mode}`;
}
