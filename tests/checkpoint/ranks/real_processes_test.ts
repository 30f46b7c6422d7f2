import { describe, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { FileEngine } from "../../../src/checkpoint/engine/file_engine.ts";
import { PARTS_DIRECTORY } from "../../../src/checkpoint/file/parts/part_files.ts";
import { recover } from "../../../src/checkpoint/keep/recovery.ts";
import { type ChildEnd, runChild, runtimeCommand } from "../../helpers/child.ts";
import { RUN_ID } from "../fixtures.ts";

const SCRIPT = new URL("rank_process.ts", import.meta.url);

interface Start {
  readonly worldSize: number;
  readonly first: number;
  readonly last: number;
  readonly timeoutMs: number;
}

/** Runs all ranks, each in a process of its own. The last one is killed when it has said `killAt`. */
function runRanks(directory: string, start: Start, killAt?: string): Promise<ChildEnd[]> {
  const { worldSize, first, last, timeoutMs } = start;
  return Promise.all(Array.from({ length: worldSize }, (_, rank) =>
    runChild(
      [...runtimeCommand(SCRIPT), directory, ...[rank, worldSize, first, last, timeoutMs].map(String)],
      {
        keepsErrors: true,
        onOutput: (output, kill) => {
          if (killAt !== undefined && rank === worldSize - 1 && output.includes(killAt)) kill();
        },
      },
    )));
}

/** The step of a checkpoint of which every number of every rank is that step. */
async function stepOf(directory: string): Promise<number> {
  const { checkpoint } = await recover(await FileEngine.open(directory));
  if (checkpoint === undefined) return 0;
  const step = checkpoint.step ?? -1;
  for (const name of ["model.w", "model.table"]) {
    const numbers = new Set(new Float32Array((await checkpoint.reader.read(name)).buffer));
    expect([...numbers]).toEqual([step]);
  }
  expect(checkpoint.reader.tensor("model.table").shape).toEqual([64, 4]);
  await checkpoint.close();
  return step;
}

describe("ranks in processes of their own", () => {
  test(
    "TS-10 save together, are told of a tag that is taken, and one that is killed leaves what was committed",
    async () => {
      const directory = await mkdtemp(path.join(os.tmpdir(), "cairn-ranks-"));
      try {
        const together = await runRanks(directory, { worldSize: 3, first: 1, last: 2, timeoutMs: 60_000 });
        expect(together.map(({ output, errors }) => output + errors)).toEqual(
          Array.from({ length: 3 }, () => "COMMIT 1\nCOMMIT 2\n"),
        );
        expect(await stepOf(directory)).toBe(2);
        const taken = await runRanks(directory, { worldSize: 2, first: 2, last: 2, timeoutMs: 60_000 });
        expect(taken.map(({ status, output }) => [status, output])).toEqual([[1, ""], [1, ""]]);
        expect(taken[0]?.errors).toContain('Cannot create checkpoint "2"');
        expect(taken[1]?.errors).toContain('Rank 0 could not save: Cannot create checkpoint "2"');
        expect(taken[1]?.errors).toContain("already_exists");
        const killed = await runRanks(
          directory,
          { worldSize: 2, first: 3, last: 99, timeoutMs: 5000 },
          "COMMIT 3",
        );
        expect([killed[0]?.status, killed[1]?.signal]).toEqual([1, "SIGKILL"]);
        const committed = killed.flatMap(({ output }) =>
          [...output.matchAll(/COMMIT (\d+)/g)].map(([, step]) => Number(step))
        );
        const newest = Math.max(...committed);
        expect(await stepOf(directory)).toBe(newest);
        // What the killed rank left is gone with the next save of the run.
        const engine = await FileEngine.open(directory, { runId: RUN_ID });
        await engine.create("next");
        await engine.abort();
        const parts = await engine.storage.list(PARTS_DIRECTORY);
        expect(parts).toHaveLength(2 * 3 + (newest - 2) * 2);
      } finally {
        await rm(directory, { recursive: true, force: true });
      }
    },
    600_000,
  );
});
