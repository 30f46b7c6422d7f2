import { systemClock } from "../base/clock.ts";
import { DirectoryWatch } from "../checkpoint/keep/evaluators/directory_watch.ts";
import type { RankedMetric } from "../checkpoint/keep/retention/metric_direction.ts";
import { listCheckpoints } from "./ls/listing.ts";
import { parseMetric } from "./ls/parse_metric.ts";
import { type LabelledListing, listingsJson, listingText } from "./ls/print_listing.ts";
import { type Folder, openFolder } from "./open/folder.ts";
import type { Output } from "./print/output.ts";
import { jsonLine } from "./print/json.ts";
import { defineVerb, type ExitCode, JSON_ARG, type Verb } from "./verb.ts";

/** How often a directory is looked at that cannot be watched. */
const LOOK_AGAIN_MS = 5_000;
const CLEAR = "\x1b[H\x1b[2J";

/** `cairn ls DIR`. */
export const ls: Verb = defineVerb({
  name: "ls",
  description: "Lists the checkpoints of a run: step, epoch, time, size, metrics, lineage",
  args: {
    dir: {
      type: "positional",
      default: ".",
      description: "The directory of a run, or one with several of them inside; or s3://bucket/prefix",
    },
    best: {
      type: "string",
      valueHint: "metric",
      description: "What the best is the best of, such as val_loss, or f1:max",
    },
    watch: { type: "boolean", description: "Print it again whenever a checkpoint comes or goes" },
    json: JSON_ARG,
  },
  notes: [
    "Reads the manifests, and no tensor. Exits with 1 where a checkpoint cannot be opened.",
    "A branch is what a process saved that went on from an older checkpoint.",
    "",
  ],
  async run({ dir, best, watch, json }, output) {
    const folder = await openFolder(dir);
    const metric = best === undefined ? undefined : parseMetric(best);
    const look = async (): Promise<{ text: string; code: ExitCode }> => {
      const listings = await listRuns(folder, metric);
      const hasDamage = listings.some(({ damaged }) => damaged.some(({ isQuarantined }) => !isQuarantined));
      const text = json
        ? jsonLine(listingsJson(listings))
        : listings.map((each) => listingText(each, output)).join("\n");
      return { text, code: hasDamage ? 1 : 0 };
    };
    if (watch) return await watchFolder(folder, output, look);
    const { text, code } = await look();
    output.write(text);
    return code;
  },
});

/** The directory's own checkpoints; where it has none, those of each directory inside. */
async function listRuns(folder: Folder, metric: RankedMetric | undefined): Promise<LabelledListing[]> {
  const listingOf = async ({ storage, label }: Folder): Promise<LabelledListing> => ({
    label,
    ...await listCheckpoints(storage, metric),
  });
  const isAny = ({ checkpoints, damaged }: LabelledListing): boolean =>
    checkpoints.length > 0 || damaged.length > 0;
  const own = await listingOf(folder);
  if (isAny(own)) return [own];
  const runs: LabelledListing[] = [];
  for (const each of await folder.folders()) {
    const run = await listingOf(each);
    if (isAny(run)) runs.push(run);
  }
  return runs.length === 0 ? [own] : runs;
}

/** Prints what `look` finds, and again whenever that changes, until the output ends it. */
async function watchFolder(
  { storage }: Folder,
  output: Output,
  look: () => Promise<{ text: string; code: ExitCode }>,
): Promise<ExitCode> {
  const watch = new DirectoryWatch({ storage, directory: "" }, (name) => !name.startsWith("."));
  let before: string | undefined;
  let last: ExitCode = 0;
  try {
    while (!output.signal.aborted) {
      watch.arm();
      const { text, code } = await look();
      if (text !== before) output.write(`${output.isTerminal ? CLEAR : ""}${text}`);
      before = text;
      last = code;
      await watch.wait(systemClock, LOOK_AGAIN_MS, output.signal).catch(() => {});
    }
  } finally {
    watch.close();
  }
  return last;
}
