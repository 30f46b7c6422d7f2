// Trains on real handwritten digits, is killed three times (once while a save is being written), resumes by itself,
// and compares the result bit for bit with a run that was never disturbed. With `--kill saves` it is killed twenty
// times, each time while a save is being written. With `--goto 137` it trains undisturbed, goes back to that step, and
// compares it bit for bit with what was there.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { compareCheckpoints } from "../kills/compare.ts";
import { goBack } from "./go_back.ts";
import { killsWhileSaving, runUntilDone, seededKills } from "./kill_and_resume.ts";
import { failures, printTable, summarise } from "./report.ts";
import { runtimeName } from "../kills/runtime.ts";

const seed = Number(process.env.CAIRN_DEMO_SEED ?? 1);
const kills = process.argv.join(" ").includes("--kill saves") ? killsWhileSaving(seed) : seededKills(seed);
const folder = mkdtempSync(join(tmpdir(), "cairn-digits-"));
const wanted = process.argv.indexOf("--goto");

try {
  console.log(`seed ${seed}, ${runtimeName()}, checkpoints in ${folder}`);
  process.exitCode = wanted >= 0
    ? (await goBack(Number(process.argv[wanted + 1]), seed, folder)).length === 0 ? 0 : 1
    : await killAndCompare();
} finally {
  rmSync(folder, { recursive: true, force: true });
}

/** The exit code: 0 when everything that is promised was seen. */
async function killAndCompare(): Promise<number> {
  console.log(`\n1. A run that is killed ${kills.length} times`);
  const killed = await runUntilDone({ directory: join(folder, "killed"), seed, kills });
  console.log("\n2. The same run, undisturbed");
  const undisturbed = await runUntilDone({ directory: join(folder, "undisturbed"), seed, kills: [] });
  console.log("\n3. Every tensor and the loss history of both, compared");
  const differences = await compareCheckpoints(killed.checkpoint, undisturbed.checkpoint);
  for (const difference of differences) console.log(`   differs: ${difference}`);

  const summary = summarise({
    runtime: runtimeName(),
    killed,
    undisturbed,
    bitIdentical: differences.length === 0,
  });
  printTable(summary, undisturbed);
  for (const failure of failures(summary, killed, kills)) console.log(`   not so: ${failure}`);
  console.log(JSON.stringify(summary));
  return failures(summary, killed, kills).length === 0 ? 0 : 1;
}
