import { safeText } from "../../base/printable.ts";
import type { Json } from "../print/json.ts";
import type { Output } from "../print/output.ts";
import {
  bytesText,
  type Cell,
  type Column,
  countText,
  numberText,
  styled,
  table,
  timeText,
} from "../print/text.ts";
import { lineageOf } from "./lineage.ts";
import type { ListedCheckpoint, Listing } from "./listing.ts";

/** A listing with the directory as it was named. */
export interface LabelledListing extends Listing {
  readonly label: string;
}

const MOST_METRICS = 6;

/** What `ls` prints for people. */
export function listingText(
  { label, checkpoints, damaged, ranked }: LabelledListing,
  output: Output,
): string {
  const bytes = checkpoints.reduce((sum, each) => sum + each.bytes, 0);
  const metrics = [...new Set(checkpoints.flatMap((each) => Object.keys(each.metrics)))].slice(
    0,
    MOST_METRICS,
  );
  const columns: readonly Column[] = [
    { title: "checkpoint" },
    { title: "step", align: "right" },
    { title: "epoch", align: "right" },
    { title: "time" },
    { title: "size", align: "right" },
    ...metrics.map((name) => ({ title: safeText(name), align: "right" as const })),
    { title: "" },
  ];
  const rows = lineageOf(checkpoints).map(({ checkpoint, lead }): Cell[] => [
    { text: lead + checkpoint.tag, style: checkpoint.isNewest ? "bold" : undefined },
    checkpoint.step === undefined ? "" : String(checkpoint.step),
    checkpoint.epoch === undefined ? "" : String(checkpoint.epoch),
    timeText(checkpoint.createdAt),
    bytesText(checkpoint.bytes),
    ...metrics.map((name) => metricCell(checkpoint, name, ranked?.metric)),
    marksOf(checkpoint, ranked?.metric).join(", "),
  ]);
  const head = `${styled(output, "bold", safeText(label))}  ${countText(checkpoints.length, "checkpoint")}` +
    `${checkpoints.length === 0 ? "" : `, ${bytesText(bytes)}`}\n`;
  const lines = damaged.map(({ path, reason, isQuarantined }) =>
    `${styled(output, isQuarantined ? "yellow" : "red", "damaged")} ${safeText(path)}: ${safeText(reason)}\n`
  );
  return head + (rows.length === 0 ? "" : table(output, columns, rows)) + lines.join("");
}

/** What `ls --json` prints: a list of directories. */
export function listingsJson(listings: readonly LabelledListing[]): Json {
  return listings.map(({ label, checkpoints, damaged, ranked }) => ({
    directory: label,
    best: ranked === undefined ? undefined : { ...ranked },
    checkpoints: checkpoints.map((each) => ({
      tag: each.tag,
      path: each.path,
      fileId: each.fileId,
      step: each.step,
      epoch: each.epoch,
      createdAt: each.createdAt,
      bytes: each.bytes,
      metrics: each.metrics,
      runId: each.runId,
      order: each.order,
      parent: each.parent,
      savedBy: each.savedBy,
      isNewest: each.isNewest,
      isBest: each.isBest,
      leasedBy: each.leasedBy,
    })),
    damaged: damaged.map((each) => ({ ...each })),
  }));
}

function metricCell({ metrics, isBest }: ListedCheckpoint, name: string, ranked: string | undefined): Cell {
  const value = Object.hasOwn(metrics, name) ? metrics[name] : undefined;
  const style = isBest && name === ranked ? "green" as const : undefined;
  return { text: value === undefined ? "" : numberText(value), style };
}

function marksOf(
  { isNewest, isBest, leasedBy, savedBy }: ListedCheckpoint,
  metric: string | undefined,
): string[] {
  return [
    ...isNewest ? ["newest"] : [],
    ...isBest ? [`best ${metric}`] : [],
    ...savedBy === "user" ? ["saved by hand"] : [],
    ...leasedBy === undefined ? [] : [`leased by ${leasedBy}`],
  ];
}
