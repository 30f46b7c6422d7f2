import { mkdir, mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { Lease } from "../../src/checkpoint/keep/evaluators/lease.ts";
import { keepRule } from "../../src/cli/prune/keep_rules.ts";
import { expectGolden, run } from "./captured.ts";
import { saveRun } from "./sample_files.ts";

const OTHER = "fedcba9876543210fedcba9876543210";
let directory: string;
let count = 0;

beforeAll(async () => directory = await mkdtemp(join(tmpdir(), "cairn-cli-")));
afterAll(async () => await rm(directory, { recursive: true, force: true }));

/** A run that went on from step 200, one save of a person's among them, and two checkpoints of another run. */
async function freshRun(): Promise<string> {
  const place = join(directory, `run-${++count}`);
  const loss = [3, 2, 1, 4, 5, 6];
  const steps = [100, 200, 300, 400, 500, 600].map((step, at) => ({ step, loss: loss[at] ?? 0 }));
  await saveRun(place, steps.slice(0, 3));
  await saveRun(place, [{ step: 350, loss: 9, savedBy: "user" as const }, ...steps.slice(3)], {
    from: "200",
    seed: 10,
  });
  await saveRun(place, [{ step: 1, loss: 1 }, { step: 2, loss: 1 }], { runId: OTHER, seed: 30 });
  return place;
}

async function golden(name: string, args: readonly string[]): Promise<void> {
  expectGolden(name, await run(args), { [directory]: "DIR" });
}

async function tagsIn(place: string): Promise<string[]> {
  return (await readdir(place)).filter((name) => name.endsWith(".cairn")).map((name) => name.slice(0, -6))
    .sort();
}

describe("cairn prune", () => {
  test("says what would be deleted and why, and deletes nothing", async () => {
    const place = await freshRun();
    const before = await readdir(place);
    await golden("prune_plan", ["prune", place, "--keep", "last=2", "--keep", "best=loss"]);
    await golden("prune_plan_json", ["prune", place, "--keep", "last=2,best=loss", "--json"]);
    expect(await readdir(place)).toEqual(before);
  });

  test("deletes with --yes what the plan says, and no more", async () => {
    const place = await freshRun();
    await golden("prune_yes", ["prune", place, "--keep", "last=2", "--keep", "best=loss", "--yes"]);
    expect(await tagsIn(place)).toEqual(["1", "2", "200", "300", "350", "500", "600"]);
    await golden("prune_again", ["prune", place, "--keep", "last=2", "--keep", "best=loss", "--yes"]);
  });

  test("leaves a checkpoint that is leased", async () => {
    const place = await freshRun();
    const lease = await Lease.take(place, "100", { holder: "evaluator" });
    try {
      await run(["prune", place, "--keep", "last=1", "--yes"]);
      expect((await tagsIn(place)).includes("100")).toBe(true);
    } finally {
      await lease.release();
    }
  });

  test("says what is wrong with how it is called", async () => {
    const place = await freshRun();
    await golden("prune_no_rule", ["prune", place]);
    await golden("prune_wrong_rule", ["prune", place, "--keep", "newest=3"]);
    await golden("prune_wrong_number", ["prune", place, "--keep", "last=three"]);
    await golden("prune_wrong_metric", ["prune", place, "--keep", "best=f1"]);
    await golden("prune_none", ["prune", join(directory, "none"), "--keep", "last=1"]);
    const empty = join(directory, "empty");
    await mkdir(empty);
    await golden("prune_empty", ["prune", empty, "--keep", "last=1"]);
  });
});

describe("keepRule", () => {
  const times = [0, 10, 3600, 7200].map((seconds, at) => ({
    tag: String(at),
    step: at * 50,
    timeMs: 1000 * seconds,
    metrics: { loss: 10 - at, f1: at },
  }));
  const kept = (...texts: string[]): string[] => [...keepRule(texts).keep(times).keys()].sort();

  test("is what each rule of keep is, and any of several", () => {
    expect(kept("all")).toEqual(["0", "1", "2", "3"]);
    expect(kept("every=100")).toEqual(["0", "2"]);
    expect(kept("steps=50", "last=1")).toEqual(["1", "3"]);
    expect(kept("spaced=1h")).toEqual(["0", "2", "3"]);
    expect(kept("recent=61m")).toEqual(["2", "3"]);
    expect(kept("best=f1:min")).toEqual(["0"]);
    expect(kept("best=2:loss")).toEqual(["2", "3"]);
  });
});
