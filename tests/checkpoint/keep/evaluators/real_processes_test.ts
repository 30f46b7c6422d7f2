import { afterAll, describe, expect, test } from "bun:test";
import { type ChildProcess, spawn } from "node:child_process";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { ownProcessMark } from "../../../../src/base/process_mark.ts";
import { waitForEvaluators } from "../../../../src/checkpoint/keep/evaluators/wait_for_evaluators.ts";
import { FileEngine } from "../../../../src/checkpoint/engine/file_engine.ts";
import { retain } from "../../../../src/checkpoint/keep/retention/retention.ts";
import { saveState } from "../../fixtures.ts";

const directory = fs.mkdtempSync(path.join(os.tmpdir(), "cairn-evaluators-"));
const script = fileURLToPath(new URL("evaluator_process.ts", import.meta.url));

afterAll(() => fs.rmSync(directory, { recursive: true, force: true }));

/** Another process of the runtime that these tests run in. */
function start(...args: readonly string[]): ChildProcess {
  const own = "Deno" in globalThis ? ["run", "-A", "--no-check", "--quiet", script] : [script];
  return spawn(process.execPath, [...own, ...args], { stdio: ["pipe", "pipe", "inherit"] });
}

/** What a process prints, line by line, and its end. */
function linesOf(child: ChildProcess): { lines: string[]; ended: Promise<void> } {
  const lines: string[] = [];
  let rest = "";
  child.stdout?.on("data", (chunk: Uint8Array) => {
    const parts = (rest + new TextDecoder().decode(chunk)).split("\n");
    rest = parts.pop() ?? "";
    lines.push(...parts);
  });
  return { lines, ended: new Promise((resolve) => child.on("close", () => resolve())) };
}

async function until(condition: () => boolean): Promise<void> {
  for (let turn = 0; !condition(); turn++) {
    if (turn > 30_000) throw new Error("What is waited for never happens");
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

describe("evaluators in processes of their own", () => {
  test(
    "TW-20 an evaluator follows a training process to its end, and TW-14 the training process waits for it",
    async () => {
      const run = path.join(directory, "followed");
      const child = start("evaluate", run, "3");
      const { lines, ended } = linesOf(child);
      const engine = await FileEngine.open(run);
      for (const step of [1, 2, 3]) {
        await saveState(engine, step, { step });
        const report = await waitForEvaluators(engine, ["test"], step, { pollMs: 50, timeoutMs: Infinity });
        expect([step, report.endedBy]).toEqual([step, "done"]);
        await retain(engine, String(step), { last: 1 });
      }
      await ended;
      // It lets go only after it has marked.
      await retain(engine, "3", { last: 1 });
      expect(lines).toEqual(['{"step":1}', '{"step":2}', '{"step":3}', "lastStep"]);
      expect(fs.readdirSync(path.join(run, "evaled_by"))).toEqual(["3@test_DONE"]);
      expect(await engine.list()).toEqual(["3"]);
    },
    600_000,
  );

  test("a lease of another process holds while that lives, and ends when it is killed", async () => {
    const run = path.join(directory, "held");
    const engine = await FileEngine.open(run);
    for (const step of [1, 2]) await saveState(engine, step, { step });
    const child = start("hold", run, "1");
    const { lines, ended } = linesOf(child);
    await until(() => lines.includes("held"));
    expect((await retain(engine, "2", { last: 1 })).deleted).toEqual([]);
    child.kill("SIGKILL");
    await ended;
    // Where nobody can prove that a process is gone, the lease ends by its time.
    const later = ownProcessMark() === undefined ? Date.now() + 11 * 60 * 1000 : Date.now();
    expect((await retain(engine, "2", { last: 1 }, { now: () => later })).deleted).toEqual(["1"]);
    expect(fs.readdirSync(path.join(run, "leases"))).toEqual([]);
  }, 600_000);

  test("a lease does not keep its process alive", async () => {
    const run = path.join(directory, "idle");
    await saveState(await FileEngine.open(run), 1, { n: 1 });
    const child = start("hold", run, "1");
    const { lines, ended } = linesOf(child);
    await until(() => lines.includes("held"));
    child.stdin?.end("end\n");
    await ended;
    expect(child.exitCode).toBe(0);
  }, 600_000);
});
