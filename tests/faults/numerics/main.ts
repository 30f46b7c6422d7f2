import process from "node:process";
import { Campaign } from "../campaign.ts";
import { graphRows } from "./graph_rows.ts";

// Numbers that are wrong: `npm run faults -- numerics [rows]`. Random graphs on this machine's GPU against an
// interpreter in float64. `--seed=7` takes other graphs, `--graph=12` one of them, `--count=50` fewer;
// `--variants=gpu` runs the kernels that GPUs get, on whatever adapter is there.
const args = process.argv.slice(2);
const option = (name: string): number | undefined => {
  const found = args.find((arg) => arg.startsWith(`--${name}=`));
  return found === undefined ? undefined : Number(found.slice(name.length + 3));
};
const campaign = new Campaign("numerics", args.filter((arg) => !arg.startsWith("--")));
const graph = option("graph");
const seed = option("seed") ?? 1;
await graphRows(campaign, {
  seed,
  first: graph ?? 0,
  count: graph === undefined ? option("count") ?? 2000 : 1,
  hasGpuVariants: args.includes("--variants=gpu"),
});
campaign.finish({ differences: campaign.totals.failures });
