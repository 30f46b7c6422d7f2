// Runs `train.ts` as a person would: presses Ctrl-C at step 200, starts it again, and compares the loss that it ends
// with to that of a run that nobody interrupted.
//
//   bun examples/resume/interrupt.ts
//   deno run -A examples/resume/interrupt.ts
//
// The result: the second process goes on where the first one left, and both losses have the same bits.
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { scriptArguments } from "../kills/runtime.ts";

const folder = mkdtempSync(join(tmpdir(), "cairn-resume-"));
try {
  const first = await run("interrupted", "step 200 of");
  const second = await run("interrupted");
  const undisturbed = await run("undisturbed");
  const [left, wentOn] = [/saved at step (\d+)/.exec(first)?.[1], /going on at step (\d+)/.exec(second)?.[1]];
  const isSame = lossOf(second) !== undefined && lossOf(second) === lossOf(undisturbed);
  console.log(`\nleft at step ${left}, went on at step ${wentOn}; the same loss: ${isSame ? "yes" : "NO"}`);
  process.exitCode = left !== undefined && left === wentOn && isSame ? 0 : 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}

/** What a process prints that is asked to stop, by the signal of Ctrl-C, when it has printed `stopAt`. */
function run(directory: string, stopAt?: string): Promise<string> {
  const child = spawn(process.execPath, [...scriptArguments("resume/train"), join(folder, directory)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let output = "";
  let isAsked = false;
  child.stdout.on("data", (bytes) => {
    output += bytes;
    process.stdout.write(bytes);
    if (isAsked || stopAt === undefined || !output.includes(stopAt)) return;
    isAsked = child.kill("SIGINT");
  });
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", () => resolve(output));
  });
}

function lossOf(output: string): string | undefined {
  return /done: loss (\S+)/.exec(output)?.[1];
}
