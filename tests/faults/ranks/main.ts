import process from "node:process";
import { hasProgram } from "../../helpers/child.ts";
import { foundMpis, NodePrograms, type RankRuntime } from "../../mpi/mpi_runs.ts";
import { Campaign, runtimeName } from "../campaign.ts";
import { conformance } from "./conformance.ts";
import { ends, wrongLibrary } from "./ends.ts";
import { TrainingOutcome } from "./train_jobs.ts";
import { training } from "./training.ts";

const campaign = new Campaign("ranks", process.argv.slice(2));
const programs = new NodePrograms();
// Node reads no TypeScript: Bun starts its ranks, too.
const runtimes: RankRuntime[] = runtimeName() === "deno" ? ["deno"] : ["bun", "node"];
if (runtimes.includes("node") && !hasProgram("node")) campaign.skip("mpi: ranks in Node (no node)");
const mpis = foundMpis((what) => campaign.skip(what), "ranks");
const starts = mpis.flatMap((mpi) =>
  runtimes.filter((runtime) => runtime !== "node" || hasProgram("node")).map((runtime) => ({ mpi, runtime }))
);
await conformance(campaign, {
  programs,
  starts: starts.flatMap((start) => [1, 2, 3, 4].map((ranks) => ({ ...start, ranks }))),
});
await ends(campaign, {
  programs,
  starts: starts.map((start) => ({ ...start, ranks: 3 })),
  timeoutMs: 2000,
  odd: [0, 1, 2],
});
await wrongLibrary(campaign, { programs, starts: starts.map((start) => ({ ...start, ranks: 2 })) });
const outcome = new TrainingOutcome();
await training(campaign, {
  programs,
  outcome,
  starts,
  settings: [{ shards: 8 }, { shards: 8, optimizerSharding: true }],
  sizes: [1, 2, 3, 4],
  goOn: [4, 1],
  disturbed: { ranks: 3, odd: [0, 1, 2] },
});
programs.remove();
campaign.finish({ ...outcome });
