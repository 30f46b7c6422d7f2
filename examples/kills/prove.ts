// Trains an example twice: once it is killed three times, once while a save is being written, and starts again each
// time; once nothing disturbs it. Both have to end with the same bits. `prove.ts language [options of the example]`
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { getCheckpoint } from "@cairn-ml/cairn";
import { compareCheckpoints } from "./compare.ts";
import { type Fate, liveOnce } from "./one_life.ts";
import { runtimeName } from "./runtime.ts";

/** After which shares of its steps a run is killed. */
const KILLS: readonly { readonly after: number; readonly fate: Fate }[] = [
  { after: 0.3, fate: "kill" },
  { after: 0.5, fate: "kill while saving" },
  { after: 0.75, fate: "kill" },
];

const [example = "", ...options] = process.argv.slice(2);
const folder = mkdtempSync(join(tmpdir(), `cairn-${example}-`));
try {
  console.log(`${example} under ${runtimeName()}, killed ${KILLS.length} times`);
  const killed = await runUntilDone("killed", KILLS);
  console.log(`\n${example} under ${runtimeName()}, undisturbed`);
  const undisturbed = await runUntilDone("undisturbed", []);
  console.log("\nEvery tensor and the loss history of both, compared");
  const differences = await compareCheckpoints(killed, undisturbed);
  for (const difference of differences) console.log(`   differs: ${difference}`);
  console.log(`   bit-identical: ${differences.length === 0 ? "yes" : "NO"}`);
  process.exitCode = differences.length === 0 ? 0 : 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}

/** Starts the example as often as it takes, and gives the path of its last checkpoint. */
async function runUntilDone(name: string, kills: typeof KILLS): Promise<string> {
  const directory = join(folder, name);
  mkdirSync(directory);
  const left = [...kills];
  for (let life = 1;; life++) {
    const [kill] = left;
    let hasResumed = false;
    const { wasKilled, leftover } = await liveOnce({
      script: `${example}/train`,
      args: [...options, directory],
      directory,
      onLine(line) {
        console.log(`   ${line}`);
        if (line.startsWith("done")) return "done";
        hasResumed ||= line.startsWith("going on from");
        const [, step, total] = /^step (\d+) of (\d+)/.exec(line) ?? [];
        return kill !== undefined && Number(step) > kill.after * Number(total) ? kill.fate : undefined;
      },
    });
    if (hasResumed !== (life > 1)) throw new Error(`life ${life} of ${example} began at the wrong step`);
    if (wasKilled !== (kill !== undefined)) throw new Error(`life ${life} of ${example} had the wrong end`);
    if (!wasKilled) return await getCheckpoint(directory);
    console.log(`   -- killed${leftover === undefined ? "" : `, in the middle of writing ${leftover}`}`);
    // A save may have been complete just before.
    const wasTooLate = kill?.fate === "kill while saving" && leftover === undefined;
    if (!wasTooLate || life > 10) left.shift();
  }
}
