import { describe, expect, test } from "bun:test";
import { foundMpis, NodePrograms } from "../mpi/mpi_runs.ts";
import { Campaign, runtimeName } from "./campaign.ts";
import { truncation } from "./container/truncation.ts";
import { bombs } from "./container/bombs.ts";
import { aborts } from "./engine/aborts.ts";
import { branches } from "./engine/branches.ts";
import { changes } from "./engine/changes.ts";
import { crashes } from "./engine/crashes.ts";
import { devices } from "./engine/devices.ts";
import { hostErrors } from "./engine/host_errors.ts";
import { ioErrors } from "./engine/io_errors.ts";
import { knownBad } from "./engine/known_bad.ts";
import { loads } from "./engine/loads.ts";
import { locks } from "./engine/locks.ts";
import { nonFinite } from "./engine/non_finite.ts";
import { Outcome } from "./engine/outcome.ts";
import { partErrors } from "./engine/part_errors.ts";
import { paths } from "./engine/paths.ts";
import { signals } from "./engine/signals.ts";
import { silentFaults } from "./engine/silent_faults.ts";
import { ends } from "./ranks/ends.ts";
import { TrainingOutcome } from "./ranks/train_jobs.ts";
import { training } from "./ranks/training.ts";
import { answers } from "./s3/answers.ts";
import { cuts } from "./s3/cuts.ts";
import { S3Outcome } from "./s3/outcome.ts";
import { proxied } from "./s3/proxied.ts";
import { stores } from "./s3/stores.ts";
import { writers } from "./s3/writers.ts";

// The short tier of `npm run faults`: the rows that take no more than a second, and a part of some others.

async function failuresOf(work: (campaign: Campaign) => Promise<void>, rows: string[]): Promise<string[]> {
  const campaign = new Campaign("short", rows);
  await work(campaign);
  if (campaign.skips.length > 0 && campaign.rows.length === 0) return [];
  expect(campaign.rows.length).toBeGreaterThan(0);
  expect(campaign.totals.points).toBeGreaterThan(0);
  return campaign.rows.flatMap(({ failures }) => failures);
}

describe("the fault campaigns", () => {
  test("find what is wrong with five known-bad protocols, and nothing in ours (A0)", async () => {
    expect(await failuresOf(knownBad, ["A0"])).toEqual([]);
  }, 600_000);

  test("lose and mix nothing at a power cut anywhere in a first save (A1)", async () => {
    const outcome = new Outcome();
    expect(await failuresOf((campaign) => crashes(campaign, outcome), ["A1"])).toEqual([]);
    expect(outcome.images.size).toBeGreaterThan(200);
    expect([outcome.lost, outcome.mixed]).toEqual([0, 0]);
  }, 600_000);

  test("lose and mix nothing at a power cut between the pieces of a file that is synced (A8)", async () => {
    const outcome = new Outcome();
    expect(await failuresOf((campaign) => crashes(campaign, outcome), ["A8"])).toEqual([]);
    expect(outcome.images.size).toBeGreaterThan(200);
    expect([outcome.lost, outcome.mixed]).toEqual([0, 0]);
  }, 600_000);

  test("go on from the one committed last where steps, runs and clocks say another thing (A7)", async () => {
    const outcome = new Outcome();
    expect(await failuresOf((campaign) => branches(campaign, outcome, 4), ["A7"])).toEqual([]);
    expect(outcome.images.size).toBeGreaterThan(100);
    expect([outcome.lost, outcome.mixed]).toEqual([0, 0]);
  }, 600_000);

  test("stand short writes, failed syncs and bad reads (B2, B3, B5)", async () => {
    expect(await failuresOf((campaign) => ioErrors(campaign, new Outcome()), ["B2", "B3", "B5"])).toEqual([]);
  }, 600_000);

  test("lose no checkpoint to two errors in one save, in one file or more (B1)", async () => {
    const outcome = new Outcome();
    expect(await failuresOf((campaign) => partErrors(campaign, outcome, [3], 13), ["B1"])).toEqual([]);
    expect([outcome.lost, outcome.mixed]).toEqual([0, 0]);
  }, 600_000);

  test("stand an abort at every operation (K1)", async () => {
    expect(await failuresOf(aborts, ["K1"])).toEqual([]);
  }, 600_000);

  test("save what they can when they are told to end, and a second signal spoils nothing (A6)", async () => {
    const cases = [{ moment: "save", graceMs: 60_000 }, { moment: "twice", graceMs: 50 }] as const;
    expect(await failuresOf((campaign) => signals(campaign, new Outcome(), cases), ["A6"])).toEqual([]);
  }, 600_000);

  test("save what was there at the call, whatever changes meanwhile (C3)", async () => {
    expect(await failuresOf((campaign) => changes(campaign, new Outcome(), 9), ["C3"])).toEqual([]);
  }, 600_000);

  test("take a lock over from the dead, and from nobody else (C4)", async () => {
    const isTried = (name: string): boolean => /nobody has asked|was stopped|started again/.test(name);
    expect(await failuresOf((campaign) => locks(campaign, new Outcome(), isTried), ["C4"])).toEqual([]);
  }, 600_000);

  test(
    "commit nothing wrong when the device is lost, is out of memory or refuses a command (J1, J2)",
    async () => {
      const outcome = new Outcome();
      expect(await failuresOf((campaign) => devices(campaign, outcome, 19), ["J1", "J2"])).toEqual([]);
      expect([outcome.lost, outcome.mixed]).toEqual([0, 0]);
    },
    600_000,
  );

  test("save nothing of a run that a step that is not finite stopped (N1)", async () => {
    const outcome = new Outcome();
    expect(await failuresOf((campaign) => nonFinite(campaign, outcome, 5), ["N1"])).toEqual([]);
    expect([outcome.lost, outcome.mixed]).toEqual([0, 0]);
  }, 600_000);

  test("find out that a device gives other bytes than were copied (J3)", async () => {
    expect(await failuresOf((campaign) => silentFaults(campaign, new Outcome()), ["J3"])).toEqual([]);
  }, 600_000);

  test("stand a real EIO of a sync (B4)", async () => {
    const sync = ["fsync,fdatasync"];
    expect(await failuresOf((campaign) => hostErrors(campaign, new Outcome(), sync), ["B4"])).toEqual([]);
  }, 600_000);

  test("refuse hostile tags, links, pipes and devices (D1, D2)", async () => {
    expect(await failuresOf(paths, ["D1", "D2"])).toEqual([]);
  }, 600_000);

  test("refuse every truncation, extension, polyglot and bomb of every codec (F1, I1)", async () => {
    expect(await failuresOf(truncation, ["F1"])).toEqual([]);
    expect(await failuresOf(bombs, ["I1"])).toEqual([]);
  }, 600_000);

  test("leave everything as it was when a load fails at some of its awaits (K3)", async () => {
    expect(await failuresOf((campaign) => loads(campaign, 11), ["K3"])).toEqual([]);
  }, 600_000);

  test(
    "lose no checkpoint in a bucket to a process that ends or an answer that is wrong (S1, S2)",
    async () => {
      const outcome = new S3Outcome();
      expect(await failuresOf((campaign) => cuts(campaign, outcome, 5), ["S1"])).toEqual([]);
      expect(await failuresOf((campaign) => answers(campaign, outcome, 29), ["S2"])).toEqual([]);
      expect([outcome.lost, outcome.mixed]).toEqual([0, 0]);
    },
    600_000,
  );

  test("lose none there to other writers, and tell no secret (S3, S4, S5, S6)", async () => {
    const outcome = new S3Outcome();
    expect(await failuresOf((campaign) => writers(campaign, outcome, 5), ["S3", "S4"])).toEqual([]);
    expect(await failuresOf(stores, ["S5", "S6"])).toEqual([]);
    expect([outcome.lost, outcome.mixed]).toEqual([0, 0]);
  }, 600_000);

  test(
    "end all ranks of MPI when one of them is killed, exits, is stopped or never comes (R2 to R6)",
    async () => {
      const runtime = runtimeName() === "deno" ? "deno" : "bun";
      const rows = ["R2", "R3", "R4", "R5", "R6"];
      const modes = ["kill", "exit", "stop", "never", "late", "exit after close", "trap"];
      const failures = await failuresOf(async (campaign) => {
        const [mpi] = foundMpis((what) => campaign.skip(what), "ends of ranks");
        if (mpi === undefined) return;
        const starts = [{ mpi, runtime, ranks: 2 }] as const;
        await ends(campaign, { programs: new NodePrograms(), starts, timeoutMs: 2000, odd: [1], modes });
      }, rows);
      expect(failures).toEqual([]);
    },
    600_000,
  );

  test(
    "train to the same bits on ranks of MPI, also where one is killed, throws or has a full disk (R8 to R12)",
    async () => {
      const runtime = runtimeName() === "deno" ? "deno" : "bun";
      const outcome = new TrainingOutcome();
      const failures = await failuresOf(async (campaign) => {
        const mpi = foundMpis((what) => campaign.skip(what), "trainings").at(-1);
        if (mpi === undefined) return;
        await training(campaign, {
          programs: new NodePrograms(),
          outcome,
          starts: [{ mpi, runtime }],
          settings: [{ shards: 8 }, { shards: 8, optimizerSharding: true }],
          sizes: [2],
          goOn: [1],
          disturbed: { ranks: 2, odd: [0] },
          modes: ["killed in the reduction", "throws", "has a full disk"],
        });
      }, ["R8", "R9", "R10", "R11", "R12"]);
      expect(failures).toEqual([]);
      expect([outcome.different, outcome.lost, outcome.mixed]).toEqual([0, 0, 0]);
    },
    600_000,
  );

  test("lose and mix nothing on a real server to connections that end (S8, S9, S10)", async () => {
    const outcome = new S3Outcome();
    const strides = { cuts: 45, answers: 251, sleeps: 29 };
    const rows = ["S8", "S9", "S10"];
    expect(await failuresOf((campaign) => proxied(campaign, outcome, strides), rows)).toEqual([]);
    expect([outcome.lost, outcome.mixed]).toEqual([0, 0]);
  }, 600_000);

  test("count a row that injects nothing, and one that throws, as failed", async () => {
    const campaign = new Campaign("itself");
    await campaign.row("X1", "nothing", () => Promise.resolve());
    await campaign.row("X2", "throws", () => Promise.reject(new Error("broken")));
    await campaign.row("X3", "fails", (row) => {
      row.point();
      row.fail("this");
      return Promise.resolve();
    });
    expect(campaign.totals).toEqual({ points: 1, failures: 3 });
  });
});
