import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import type { ChildEnd } from "../../helpers/child.ts";
import { type Mpi, type NodePrograms, type RankStart, runRanks } from "../../mpi/mpi_runs.ts";
import type { Campaign, RowRecorder } from "../campaign.ts";

const PROGRAM = new URL("../../mpi/rank_program.ts", import.meta.url);
/** More than any job here takes. */
const PATIENT_MS = 120_000;

/** How far ranks are tried. */
export interface EndsOptions {
  readonly programs: NodePrograms;
  /** What is tried of each MPI and runtime. */
  readonly starts: readonly RankStart[];
  /** How long ranks wait for one that hangs. */
  readonly timeoutMs: number;
  /** The ranks that misbehave, one at a time. */
  readonly odd: readonly number[];
  /** Which ways to misbehave are tried; all unless given. */
  readonly modes?: readonly string[];
}

/** One rank of a job behaves as `mode` of the program says. */
interface Trial extends RankStart {
  readonly mode: string;
  readonly odd: number;
  readonly timeoutMs: number;
}

/** How a job ended, and how many of its ranks had opened the group. */
interface TrialEnd extends ChildEnd {
  readonly opened: number;
}

/** The job has to end, with a code other than 0 unless `isGood`, and nobody may be left. */
async function tryOne(
  row: RowRecorder,
  trial: Trial,
  programs: NodePrograms,
  isGood = false,
): Promise<TrialEnd> {
  const { mode, odd, timeoutMs, mpi, runtime, ranks } = trial;
  const what = `"${mode}" of rank ${odd} of ${ranks} in ${runtime} over ${mpi}`;
  row.point();
  const directory = mkdtempSync(join(tmpdir(), "cairn-ranks-"));
  try {
    const args = [mode, String(odd), String(timeoutMs), directory];
    const end = await runRanks(trial, PROGRAM, { args, programs });
    const shown = `${end.output}${end.errors}`.slice(-2000);
    if ((end.status === 0) !== isGood) row.fail(`${what}: mpiexec ended with ${end.status}: ${shown}`);
    if (!isGood && end.output.includes("gathered")) {
      row.fail(`${what}: a call resolved without that rank: ${shown}`);
    }
    const pids = readdirSync(directory).map(Number).filter(Number.isInteger);
    for (const pid of pids) if (!await isGone(pid)) row.fail(`${what}: the process ${pid} goes on`);
    return { ...end, opened: pids.length };
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** Whether a process has ended, or does so soon. */
export async function isGone(pid: number): Promise<boolean> {
  for (let look = 0; look < 1000; look++) {
    try {
      process.kill(pid, 0);
    } catch {
      return true;
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return false;
}

/** What `mode` may be, where all ranks have opened the group before. */
const AT_ONCE = ["exit", "throw", "abort", "close and throw"] as const;
const AFTER_A_WHILE = ["stop", "busy", "end"] as const;

/** Jobs of which one rank does not do its part: all ranks end, and the code of `mpiexec` says it. */
export async function ends(
  campaign: Campaign,
  { programs, starts, timeoutMs, odd, modes: only }: EndsOptions,
): Promise<void> {
  const forAll = async (
    row: RowRecorder,
    modes: readonly string[],
    limitMs: number,
    check: (end: TrialEnd, trial: Trial) => string | undefined = () => undefined,
    isGood = false,
  ): Promise<void> => {
    for (const start of starts) {
      for (const mode of modes.filter((mode) => only?.includes(mode) ?? true)) {
        for (const rank of odd) {
          const trial = { ...start, mode, odd: rank, timeoutMs: limitMs };
          const problem = check(await tryOne(row, trial, programs, isGood), trial);
          if (problem !== undefined) row.fail(`"${mode}" in ${start.runtime} over ${start.mpi}: ${problem}`);
        }
      }
    }
  };
  const hasBegun = ({ opened }: TrialEnd, { ranks }: Trial): string | undefined =>
    opened === ranks ? undefined : `${opened} of ${ranks} ranks had opened the group when it ended`;
  await campaign.row(
    "R2",
    "a rank is killed, exits, throws, aborts: all end at once",
    (row) => forAll(row, ["kill", ...AT_ONCE], PATIENT_MS, hasBegun),
  );
  await campaign.row(
    "R3",
    "a rank is stopped, loops, waits for nothing: all end in time",
    (row) => forAll(row, AFTER_A_WHILE, timeoutMs, hasBegun),
  );
  await campaign.row(
    "R4",
    "a rank never opens the group, or exits before",
    (row) => forAll(row, ["never", "exit before"], timeoutMs),
  );
  await campaign.row(
    "R5",
    "a rank that starts late, or exits after closing, is waited for",
    (row) => forAll(row, ["late", "exit after close"], PATIENT_MS, undefined, true),
  );
  await campaign.row(
    "R6",
    "a trap of WebAssembly is a RuntimeError, twice on each rank",
    (row) =>
      forAll(row, ["trap"], PATIENT_MS, ({ output }, { ranks }) => {
        const seen = output.split("RuntimeError, RuntimeError").length - 1;
        return seen === ranks ? undefined : `${seen} of ${ranks} ranks saw it: ${output}`;
      }, true),
  );
}

const LIBRARY_OF: Readonly<Record<Mpi, string>> = { mpich: "libmpich.so.12", openmpi: "libmpi.so.40" };

/** Under the `mpiexec` of another MPI each process would be rank 0 of 1. */
export async function wrongLibrary(
  campaign: Campaign,
  { starts, programs }: Pick<EndsOptions, "starts" | "programs">,
): Promise<void> {
  if (new Set(starts.map(({ mpi }) => mpi)).size < 2) return campaign.skip("mpi: R7 needs both of them");
  await campaign.row("R7", "a library that is not that of the launcher is refused", async (row) => {
    for (const start of starts) {
      row.point();
      const library = LIBRARY_OF[start.mpi === "mpich" ? "openmpi" : "mpich"];
      const args = ["none", "-1", String(PATIENT_MS)];
      const end = await runRanks(start, PROGRAM, { args, programs, env: { CAIRN_MPI_LIBRARY: library } });
      const isSaid = end.errors.includes("it is not the library of that mpiexec");
      if (end.status === 0 || !isSaid) {
        row.fail(`${library} under ${start.mpi} in ${start.runtime} ended with ${end.status}: ${end.errors}`);
      }
    }
  });
}
