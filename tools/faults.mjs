// `npm run faults -- container`, `-- engine`, `-- numerics`, `-- s3` and `-- ranks`: the fault campaigns, in Bun and then
// in Deno (of `ranks` also in Node). `npm run faults -- engine A1 K1` runs only these rows; `npm run faults -- mutations`
// removes one step of the protocol at a time and requires that a test turns red. The last line is one JSON object; exit
// 1 unless everything held.
import { spawn } from "node:child_process";
import { join } from "node:path";
import { installMoto } from "./moto.mjs";
import { environment, root, runtimeCommand } from "./runtimes.mjs";
import { findMpi } from "./setup.mjs";

const CAMPAIGNS = ["container", "engine", "numerics", "s3", "ranks"];
const [campaign, ...rows] = process.argv.slice(2);

/** What a campaign counts, and how it names the failures. */
const NOUNS = {
  container: "faults, % not stood",
  engine: "faults, % not stood",
  numerics: "graphs, % differences",
  s3: "faults, % not stood",
  ranks: "faults and promises, % not stood",
};

/** What has the same digest in all runtimes. */
const DIGEST_OF = { container: "codes for the same bad files", ranks: "weights for the same training" };

/**
 * Runs a script and resolves to its exit status and its last line that is JSON. Its output is shown, without that line
 * unless `isJsonShown`: of several runtimes, this program prints one line of its own.
 */
function run([program, ...before], script, args, isJsonShown = false) {
  return new Promise((resolve) => {
    const child = spawn(program, [...before, join(root, script), ...args], {
      cwd: root,
      env: environment({ NO_COLOR: "1" }),
      stdio: ["ignore", "pipe", "inherit"],
    });
    let output = "";
    child.stdout.on("data", (bytes) => {
      output += bytes;
      process.stdout.write(isJsonShown ? bytes : String(bytes).replace(/^\{"faults".*\n?/gm, ""));
    });
    child.on("close", (status) => {
      const last = output.trimEnd().split("\n").at(-1) ?? "";
      resolve({ status, result: last.startsWith("{") ? JSON.parse(last) : undefined });
    });
  });
}

if (campaign === "mutations") {
  const { status } = await run([process.execPath], join("tests", "faults", "mutations.mjs"), rows, true);
  process.exit(status ?? 1);
}
if (!CAMPAIGNS.includes(campaign)) {
  console.error(`faults: name a campaign: ${CAMPAIGNS.join(", ")} or mutations; rows may follow`);
  process.exit(2);
}
if (campaign === "ranks") findMpi();
if (campaign === "s3" && process.env.CAIRN_S3_ENDPOINT === undefined) installMoto();
const results = [];
for (const runtime of (process.env.CAIRN_FAULTS_RUNTIMES ?? "bun,deno").split(",")) {
  console.log(`\n== ${campaign} in ${runtime}`);
  const { status, result } = await run(runtimeCommand(runtime), `tests/faults/${campaign}/main.ts`, rows);
  results.push({ ...(result ?? { failures: 1 }), runtime, ended: result !== undefined, status });
}
process.exit(report(results) ? 0 : 1);

function report(results) {
  const sum = (field) => results.reduce((total, result) => total + (result[field] ?? 0), 0);
  const digests = [...new Set(results.map(({ digest }) => digest).filter((digest) => digest !== undefined))];
  const agrees = digests.length <= 1;
  const holds = results.every(({ status, ended, failures }) => status === 0 && ended && failures === 0) &&
    agrees;
  const figures = {
    container: { accepted: sum("failures"), digest: digests.join(" and ") },
    engine: { lost: sum("lost"), mixed: sum("mixed"), images: sum("images"), kills: sum("kills") },
    numerics: { differences: sum("differences") },
    s3: { lost: sum("lost"), mixed: sum("mixed") },
    ranks: {
      jobs: sum("jobs"),
      different: sum("different") + Math.max(0, digests.length - 1),
      lost: sum("lost"),
      mixed: sum("mixed"),
      crashes: sum("crashes"),
    },
  }[campaign];
  console.log(`\n== ${campaign}`);
  for (const { runtime, points, failures } of results) {
    console.log(`${runtime}: ${points} ${NOUNS[campaign]}`.replace("%", failures));
  }
  const skips = results.flatMap(({ runtime, skips }) => (skips ?? []).map((skip) => `${runtime}: ${skip}`));
  for (const skip of skips) console.log(`SKIP ${skip}`);
  if (!agrees) console.log(`The runtimes give different ${DIGEST_OF[campaign]}`);
  if (campaign === "engine") {
    console.log(`${figures.images} distinct crash images, ${figures.kills} real kills`);
    console.log(`lost commits: ${figures.lost}, mixed states: ${figures.mixed}`);
  } else if (campaign === "ranks") {
    const { jobs, different, lost, mixed, crashes } = figures;
    console.log(`${jobs} jobs of training: different hashes ${different}, lost ${lost}, mixed ${mixed}`);
    if (crashes > 0) {
      console.log(`${crashes} of them died of Deno or Node by themselves, and were begun again`);
    }
  } else if (campaign === "container") console.log(`accepted: ${figures.accepted}`);
  console.log(JSON.stringify({
    faults: campaign,
    runtimes: results.map(({ runtime }) => runtime),
    points: sum("points"),
    failures: sum("failures"),
    skipped: skips.length,
    ...figures,
    rows: results.flatMap(({ runtime, rows = [] }) =>
      rows.map(({ row, what, points, failures }) => ({ runtime, row, what, points, failures }))
    ),
    holds,
  }));
  return holds;
}
