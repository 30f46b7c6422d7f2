import type { Kill, Run } from "./kill_and_resume.ts";

/** The last line of the demo. */
export interface Summary {
  demo: "digits";
  runtime: string;
  adapter: string;
  accuracy: number;
  kills: number;
  resumes: number;
  bitIdentical: boolean;
  stepMs: number;
  stallMs: number;
  saveMBps: number;
  loadMBps: number;
  ratio: number;
}

export function summarise(
  { runtime, killed, undisturbed, bitIdentical }: {
    runtime: string;
    killed: Run;
    undisturbed: Run;
    bitIdentical: boolean;
  },
): Summary {
  const { adapter, accuracy, stepMs, stallMs, saveMBps, loadMBps, ratio } = undisturbed;
  return {
    demo: "digits",
    runtime,
    adapter,
    accuracy: Math.min(accuracy, killed.accuracy),
    kills: killed.kills,
    resumes: killed.resumes,
    bitIdentical,
    stepMs: rounded(stepMs),
    stallMs: rounded(stallMs),
    saveMBps: rounded(saveMBps),
    loadMBps: rounded(loadMBps),
    ratio: rounded(ratio),
  };
}

/** What the demo promises and this run did not show. */
export function failures(summary: Summary, killed: Run, kills: readonly Kill[]): string[] {
  const whileSaving = kills.filter(({ when }) => when === "saving").length;
  const promises: [string, boolean][] = [
    ["bit-identical to the undisturbed run", summary.bitIdentical],
    ["at least 95 % accuracy", summary.accuracy >= 0.95],
    [`killed ${kills.length} times`, summary.kills === kills.length],
    [`${whileSaving} of the kills while a save was being written`, killed.killsWhileSaving === whileSaving],
    ["resumed after each kill", summary.resumes === kills.length],
  ];
  return promises.filter(([, holds]) => !holds).map(([promise]) => promise);
}

export function printTable(summary: Summary, run: Run): void {
  const rows: [string, string][] = [
    ["runtime", summary.runtime],
    ["adapter", summary.adapter],
    ["accuracy on 2,000 held-out digits", `${(summary.accuracy * 100).toFixed(2)} %`],
    ["kills, resumes", `${summary.kills}, ${summary.resumes}`],
    ["bit-identical to the undisturbed run", summary.bitIdentical ? "yes" : "NO"],
    ["training step", `${summary.stepMs} ms (median)`],
    ["training stalled by a save", `${summary.stallMs} ms (median)`],
    ["save, GPU to durable file", `${summary.saveMBps} MB/s`],
    ["load, file to GPU", `${summary.loadMBps} MB/s`],
    ["compression", `${summary.ratio}x`],
    ...run.files.map((
      { name, byteLength },
    ): [string, string] => [name, `${(byteLength / 1e6).toFixed(2)} MB`]),
  ];
  const width = Math.max(...rows.map(([label]) => label.length));
  console.log("");
  for (const [label, value] of rows) console.log(`   ${label.padEnd(width)}  ${value}`);
  console.log("");
}

function rounded(value: number): number {
  return Math.round(value * 1000) / 1000;
}
