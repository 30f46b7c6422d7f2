// Trains the digits on several ranks under mpiexec: `npm run demo -- --ranks 4`. A rank is killed twice; the run goes on
// with 2 ranks, and then with all of them again. It ends with the bits of a run by one process.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { compareCheckpoints } from "../kills/compare.ts";
import { runtimeName } from "../kills/runtime.ts";
import { type JobEnd, runJob } from "./job.ts";

const EPOCHS = 2;
const seed = Number(process.env.CAIRN_DEMO_SEED ?? 1);
const ranks = Number(process.argv[process.argv.indexOf("--ranks") + 1]);
if (!Number.isSafeInteger(ranks) || ranks < 2 || ranks > 8) {
  console.error(`--ranks is 2 to 8, found ${process.argv.slice(2).join(" ")}`);
  process.exit(2);
}
const folder = mkdtempSync(join(tmpdir(), "cairn-ranks-"));

try {
  console.log(`seed ${seed}, ${runtimeName()}, 8 shards, checkpoints in ${folder}`);
  const directory = join(folder, "killed");
  const run = { directory, seed, epochs: EPOCHS };
  console.log("\n1. A run of which a rank is killed twice");
  const lives = [
    await runJob({ ...run, ranks, kill: { rank: ranks - 1, step: 70 } }),
    await runJob({ ...run, ranks: 2, kill: { rank: 0, step: 150 } }),
    await runJob({ ...run, ranks }),
  ];
  console.log("\n2. The same run by one process, undisturbed");
  const alone = await runJob({ directory: join(folder, "alone"), seed, epochs: EPOCHS, ranks: 1 });
  console.log("\n3. Every tensor and the loss history of both, compared");
  const last = lives.at(-1);
  const differences = await compareCheckpoints(
    last?.done?.checkpoint ?? "",
    alone.done?.checkpoint ?? "",
  );
  for (const difference of differences) console.log(`   differs: ${difference}`);
  process.exitCode = summarise(lives, alone, differences.length === 0);
} finally {
  rmSync(folder, { recursive: true, force: true });
}

/** Prints what was seen; the exit code: 0 when everything that is promised was. */
function summarise(lives: readonly JobEnd[], alone: JobEnd, bitIdentical: boolean): number {
  const accuracy = alone.done?.accuracy ?? NaN;
  const promises: [string, boolean][] = [
    ["bit-identical to the run by one process", bitIdentical],
    ["at least 90 % accuracy", accuracy >= 0.9],
    [
      "both jobs with a killed rank ended with a code other than 0",
      lives.slice(0, 2).every(({ code }) => code !== 0),
    ],
    ["went on after each kill", lives.slice(1).every(({ resumedFrom }) => resumedFrom !== null)],
    ["ended with 0", lives.at(-1)?.code === 0 && alone.code === 0],
  ];
  const failures = promises.filter(([, holds]) => !holds).map(([promise]) => promise);
  for (const failure of failures) console.log(`   not so: ${failure}`);
  const codes = lives.map(({ code }) => code);
  console.log(
    JSON.stringify({ demo: "parallel", runtime: runtimeName(), ranks, accuracy, codes, bitIdentical }),
  );
  return failures.length === 0 ? 0 : 1;
}
