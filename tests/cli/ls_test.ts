import { mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { Lease } from "../../src/checkpoint/keep/evaluators/lease.ts";
import { lineageOf } from "../../src/cli/ls/lineage.ts";
import { expectGolden, run } from "./captured.ts";
import { saveRun } from "./sample_files.ts";

let directory: string;
let runs: string;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "cairn-cli-"));
  runs = join(directory, "runs");
  const steps = (...list: number[]) => list.map((step) => ({ step, loss: 1 / (step % 1000) }));
  await saveRun(join(runs, "a"), steps(100, 200, 300));
  await saveRun(join(runs, "a"), steps(400, 500), { from: "300", seed: 10 });
  await saveRun(join(runs, "a"), steps(1300, 1400), { from: "200", seed: 20 });
  await saveRun(join(runs, "b"), [{ step: 10, loss: 2, savedBy: "user" }]);
});
afterAll(async () => await rm(directory, { recursive: true, force: true }));

async function golden(name: string, args: readonly string[]): Promise<void> {
  expectGolden(name, await run(args), { [directory]: "DIR" });
}

describe("cairn ls", () => {
  test("lists a run with its branches, the newest and the best", async () => {
    await golden("ls", ["ls", join(runs, "a")]);
    await golden("ls_json", ["ls", join(runs, "a"), "--json"]);
    await golden("ls_best", ["ls", join(runs, "a"), "--best", "loss:max"]);
  });

  test("lists each run of a directory of runs", async () => {
    await golden("ls_runs", ["ls", runs]);
  });

  test("says who leases a checkpoint, what is damaged and what is in the quarantine", async () => {
    const place = join(directory, "troubled");
    await saveRun(place, [{ step: 1, loss: 1 }, { step: 2, loss: 0.5 }]);
    await writeFile(join(place, "3.cairn"), "too short");
    await mkdir(join(place, "damaged"));
    await writeFile(join(place, "damaged", "0.cairn"), "");
    const lease = await Lease.take(place, "1", { holder: "evaluator test-split" });
    try {
      await golden("ls_troubled", ["ls", place]);
    } finally {
      await lease.release();
    }
  });

  test("says so where there is nothing, and where there is no directory", async () => {
    const empty = join(directory, "empty");
    await mkdir(empty);
    await golden("ls_empty", ["ls", empty]);
    await golden("ls_none", ["ls", join(directory, "none")]);
    await golden("ls_file", ["ls", join(runs, "b", "10.cairn")]);
    await golden("ls_address", ["ls", "http://127.0.0.1:1/runs"]);
  });

  test("changes nothing in the directory", async () => {
    const before = await readdir(join(runs, "a"));
    await run(["ls", join(runs, "a")]);
    expect(await readdir(join(runs, "a"))).toEqual(before);
  });

  test("with --watch it lists again when a checkpoint comes", async () => {
    const place = join(directory, "watched");
    await saveRun(place, [{ step: 1, loss: 1 }]);
    const stop = new AbortController();
    const seen: number[] = [];
    let saving: Promise<void> | undefined;
    const write = (text: string): void => {
      const [{ checkpoints }] = JSON.parse(text) as [{ checkpoints: unknown[] }];
      seen.push(checkpoints.length);
      if (seen.length === 1) saving = saveRun(place, [{ step: 2, loss: 1 }], { seed: 5 });
      else stop.abort();
    };
    expect((await run(["ls", place, "--watch", "--json"], { write, signal: stop.signal })).code).toBe(0);
    expect([seen[0], seen.at(-1)]).toEqual([1, 2]);
    // It is seen as soon as it is committed, when the save has something left to do.
    await saving;
  });
});

describe("lineageOf", () => {
  const checkpoint = (fileId: string, parent?: string) => ({ fileId, runId: "r", parent });
  const shown = (list: readonly { fileId: string; runId: string; parent: string | undefined }[]): string[] =>
    lineageOf(list).map(({ checkpoint: { fileId }, lead }) => lead + fileId);

  test("goes on straight where a process went on from the newest, and branches elsewhere", () => {
    const list = [
      checkpoint("a"),
      checkpoint("b"),
      checkpoint("c", "b"),
      checkpoint("d", "a"),
      checkpoint("e", "d"),
    ];
    expect(shown(list)).toEqual(["a", "└ d", "  e", "b", "c"]);
  });

  test("lists every checkpoint once, also those of a circle, and of a parent that is gone", () => {
    expect(shown([checkpoint("a", "b"), checkpoint("b", "a"), checkpoint("c", "gone")]).sort()).toEqual([
      "a",
      "b",
      "c",
    ]);
  });
});
