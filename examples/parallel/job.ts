import { spawn } from "node:child_process";
import { mkdirSync } from "node:fs";
import { createInterface } from "node:readline";
import { scriptArguments } from "../kills/runtime.ts";
import { launcher } from "./launcher.ts";
import type { RankEvent } from "./train_rank.ts";

/** When which rank of a job is killed. */
export interface Kill {
  readonly rank: number;
  readonly step: number;
}

/** Ranks that train together, until they are done or one of them is killed. */
export interface Job {
  readonly directory: string;
  readonly seed: number;
  readonly epochs: number;
  /** 1: one process that no launcher starts. */
  readonly ranks: number;
  readonly kill?: Kill | undefined;
}

/** How a job ended. */
export interface JobEnd {
  /** Of the launcher: 0 when all ranks are done. */
  readonly code: number;
  readonly lastStep: number;
  readonly resumedFrom: string | null;
  readonly done: Extract<RankEvent, { event: "done" }> | undefined;
}

/** Runs a job to its end. */
export async function runJob({ directory, seed, epochs, ranks, kill }: Job): Promise<JobEnd> {
  mkdirSync(directory, { recursive: true });
  const [program = "", ...args] = [
    ...ranks === 1 ? [] : launcher(ranks),
    process.execPath,
    ...scriptArguments("parallel/train_rank"),
    directory,
    String(seed),
    String(epochs),
  ];
  const child = spawn(program, args, { stdio: ["ignore", "pipe", "inherit"] });
  const ended = new Promise<number>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => resolve(code ?? 1));
  });
  const pids = new Map<number, number>();
  let lastStep = 0;
  let resumedFrom: string | null = null;
  let done: JobEnd["done"];
  let isKilled = false;
  createInterface({ input: child.stdout }).on("line", (line) => {
    const event = JSON.parse(line) as RankEvent;
    if (event.event === "open") pids.set(event.rank, event.pid);
    else if (event.event === "done") done = event;
    else {
      lastStep = event.step;
      if (event.event === "start") {
        resumedFrom = event.resumedFrom;
        console.log(
          `   ${ranks === 1 ? "one process" : `${ranks} ranks`}, ${
            resumedFrom === null ? "a fresh start" : `going on from ${resumedFrom}`
          }`,
        );
      }
      const pid = kill === undefined ? undefined : pids.get(kill.rank);
      if (kill !== undefined && pid !== undefined && !isKilled && lastStep >= kill.step) {
        isKilled = true;
        console.log(`   rank ${kill.rank} is killed at step ${lastStep}`);
        process.kill(pid, "SIGKILL");
      }
    }
  });
  return { code: await ended, lastStep, resumedFrom, done };
}
