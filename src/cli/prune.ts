import { safeText } from "../base/printable.ts";
import { openFolder } from "./open/folder.ts";
import { jsonLine } from "./print/json.ts";
import type { Output } from "./print/output.ts";
import { bytesText, type Cell, countText, styled, table } from "./print/text.ts";
import { KEEP_RULES, keepRule } from "./prune/keep_rules.ts";
import { retainRuns, type RunPlan } from "./prune/retain_runs.ts";
import { defineVerb, JSON_ARG, listOf, type Verb } from "./verb.ts";

/** `cairn prune DIR --keep …`. */
export const prune: Verb = defineVerb({
  name: "prune",
  description: "Says which checkpoints retention would delete, and why; deletes them with --yes",
  args: {
    dir: { type: "positional", required: true, description: "The directory of a run, or s3://bucket/prefix" },
    keep: {
      type: "string",
      valueHint: "rule",
      description: "What stays; may be repeated, and each rule keeps its own",
    },
    yes: { type: "boolean", description: "Delete what the plan says" },
    json: JSON_ARG,
  },
  lists: ["keep"],
  notes: [
    "Rules of --keep:",
    ...KEEP_RULES.map((line) => `  ${line}`),
    "",
    "Without --yes nothing is deleted. Exits with 1 where a deletion failed.",
    "",
  ],
  async run({ dir, keep, yes, json }, output) {
    const rule = keepRule(listOf(keep) ?? []);
    const { storage } = await openFolder(dir);
    const plans = await retainRuns(storage, rule, yes === true);
    if (json) output.write(jsonLine(plans.map((plan) => planJson(plan, yes === true))));
    else if (plans.length === 0) output.write(`${safeText(dir)}  no checkpoints of a run\n`);
    else output.write(plans.map((plan) => planText(plan, yes === true, output)).join("\n"));
    return plans.some(({ warnings }) => warnings.some(({ code }) => code !== "unsupported")) ? 1 : 0;
  },
});

function planText(
  { runId, decisions, deleted, warnings, bytes }: RunPlan,
  deletes: boolean,
  output: Output,
): string {
  const rows = decisions.map(({ tag, keeps, reason }): Cell[] => [
    keeps
      ? { text: "keep", style: "green" }
      : { text: !deletes ? "delete" : deleted.includes(tag) ? "deleted" : "failed", style: "red" },
    tag,
    bytesText(bytes.get(tag) ?? 0),
    reason,
  ]);
  const goes = deletes ? deleted : decisions.filter(({ keeps }) => !keeps).map(({ tag }) => tag);
  const freed = goes.reduce((sum, tag) => sum + (bytes.get(tag) ?? 0), 0);
  const columns = [{ title: "plan" }, { title: "checkpoint" }, { title: "size", align: "right" as const }, {
    title: "why",
  }];
  return [
    `run ${styled(output, "bold", safeText(runId))}\n`,
    table(output, columns, rows),
    ...warnings.map(({ message }) => `${styled(output, "yellow", "warning")} ${safeText(message)}\n`),
    deletes
      ? `${countText(goes.length, "checkpoint")} deleted, ${bytesText(freed)}\n`
      : goes.length === 0
      ? "nothing to delete\n"
      : `${countText(goes.length, "checkpoint")}, ${bytesText(freed)}, would be deleted with --yes\n`,
  ].join("");
}

function planJson({ runId, decisions, deleted, warnings }: RunPlan, deletes: boolean) {
  return {
    runId,
    isPlan: !deletes,
    decisions: decisions.map((each) => ({ ...each })),
    deleted,
    warnings: warnings.map(({ code, message }) => ({ code, message })),
  };
}
