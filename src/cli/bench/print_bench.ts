import { safeText } from "../../base/printable.ts";
import type { Json } from "../print/json.ts";
import type { Output } from "../print/output.ts";
import { bytesText, type Column, countText, styled, table } from "../print/text.ts";
import type { BenchContents } from "./contents.ts";
import { contentsJson } from "./contents.ts";
import { type DiskCeilings, median } from "./disk_ceilings.ts";
import type { MachineCheck } from "./machine_check.ts";
import type { SaveAndLoad } from "./save_and_load.ts";
import type { StallFigures } from "./stall.ts";

/** What was measured. */
export interface BenchResult {
  readonly directory: string;
  readonly contents: BenchContents;
  readonly rounds: number;
  readonly ceilings: DiskCeilings;
  readonly modes: readonly SaveAndLoad[];
  /** A sentence where there is no GPU. */
  readonly stall: StallFigures | string;
}

const COLUMNS: readonly Column[] = [
  { title: "mode" },
  { title: "save GB/s", align: "right" },
  { title: "by the disk", align: "right" },
  { title: "by a copy", align: "right" },
  { title: "load GB/s", align: "right" },
  { title: "by reading", align: "right" },
  { title: "ratio", align: "right" },
];

/** What `bench` prints for people. Rates are of raw bytes. */
export function benchText(result: BenchResult, output: Output): string {
  const { contents, directory, rounds, stall } = result;
  const { disk, modes } = figuresOf(result);
  const times = (value: number): string => `${value.toFixed(2)}x`;
  const rows = modes.map((mode) => [
    mode.mode,
    mode.saveGBs.toFixed(2),
    times(mode.byDisk),
    times(mode.byCopy),
    mode.loadGBs.toFixed(2),
    times(mode.byReading),
    mode.ratio.toFixed(2),
  ]);
  const stallText = typeof stall === "string"
    ? `not measured: ${safeText(stall)}`
    : `training waits ${stall.stallMs.toFixed(1)} ms for a save of ${
      bytesText(stall.byteLength)
    }, which is durable ` +
      `after ${stall.durableMs.toFixed(0)} ms (${safeText(stall.adapter)}${
        stall.isCpuAdapter ? ", on the CPU" : ""
      })`;
  return [
    `${styled(output, "bold", safeText(directory))}  ${bytesText(contents.byteLength)} of ${
      safeText(contents.what)
    }, `,
    `${countText(rounds, "round")}\n`,
    `  disk     ${disk.writeGBs.toFixed(2)} GB/s written durably, ${
      disk.copyGBs.toFixed(2)
    } copied durably, `,
    `${disk.readGBs.toFixed(2)} read back (from the system's cache, where that has it)\n`,
    `  stall    ${stallText}\n\n`,
    table(output, COLUMNS, rows),
  ].join("");
}

/** What `bench --json` prints. */
export function benchJson(result: BenchResult): Json {
  const { contents, directory, rounds, stall } = result;
  return {
    directory,
    contents: contentsJson(contents),
    rounds,
    ...figuresOf(result),
    stall: typeof stall === "string" ? { notMeasured: stall } : { ...stall },
  };
}

/** What `bench --check` prints for people. */
export function checkText({ cairn, runtime, platform, gpu, missing }: MachineCheck, output: Output): string {
  const lines = [`cairn ${cairn}, ${safeText(runtime)} on ${safeText(platform)}`];
  if (gpu !== undefined) {
    lines.push(
      `adapter  ${safeText(gpu.adapter)}${gpu.isCpuAdapter ? " (on the CPU)" : ""}, by ${gpu.provider}`,
    );
    for (const [name, value] of Object.entries(gpu.limits)) {
      lines.push(`  ${name.padEnd(34)} ${value.toLocaleString("en")}`);
    }
    lines.push(`  features  ${safeText(gpu.features.join(", "))}`);
  }
  for (const each of missing) lines.push(`${styled(output, "yellow", "missing")}  ${safeText(each)}`);
  if (missing.length === 0) lines.push(styled(output, "green", "nothing is missing"));
  return lines.map((line) => `${line}\n`).join("");
}

function figuresOf({ contents: { byteLength }, ceilings, modes }: BenchResult) {
  const rate = (seconds: readonly number[]): number => byteLength / median(seconds) / 1e9;
  const disk = { writeGBs: rate(ceilings.write), readGBs: rate(ceilings.read), copyGBs: rate(ceilings.copy) };
  return {
    disk,
    modes: modes.map(({ mode, save, load, fileBytes }) => ({
      mode,
      saveGBs: rate(save),
      loadGBs: rate(load),
      byDisk: rate(save) / disk.writeGBs,
      byCopy: rate(save) / disk.copyGBs,
      byReading: rate(load) / disk.readGBs,
      ratio: byteLength / fileBytes,
    })),
  };
}
