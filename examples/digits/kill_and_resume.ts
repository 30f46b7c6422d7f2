import { spawn } from "node:child_process";
import { mkdirSync, readdirSync, statSync, watch } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { runtimeName, scriptArguments } from "./runtime.ts";

/** When to kill the training process. */
export type Kill =
  | { readonly when: "training"; readonly step: number }
  | { readonly when: "saving"; readonly afterStep: number };

/** One line that the training process prints, as JSON. */
export type TrainingEvent =
  | { event: "start"; step: number; resumedFrom: string | null; skipped: number; adapter: string }
  | { event: "step"; step: number }
  | ({ event: "done" } & TrainingResult);

/** What a finished run tells of itself. */
export interface TrainingResult {
  checkpoint: string;
  steps: number;
  accuracy: number;
  stepMs: number;
  stallMs: number;
  saveMBps: number;
  loadMBps: number;
  ratio: number;
  files: { name: string; byteLength: number }[];
}

/** A finished run with how it went there. */
export interface Run extends TrainingResult {
  adapter: string;
  kills: number;
  killsWhileSaving: number;
  resumes: number;
}

const TEMPORARY = /^\.tmp-/;
// Larger than the hint file `latest`, which is written in the same way after the checkpoint itself.
const CHECKPOINT_BYTES = 4096;

/** Three moments drawn from `seed`: in the first third, while a save is being written, and in the last third. */
export function seededKills(seed: number): Kill[] {
  const draw = (salt: number, low: number, high: number) =>
    low + (Math.imul(seed + salt, 2654435761) >>> 0) % (high - low);
  return [
    { when: "training", step: draw(1, 60, 180) },
    { when: "saving", afterStep: draw(2, 400, 550) },
    { when: "training", step: draw(3, 700, 900) },
  ];
}

/** Twenty moments over the whole run, each while a save is being written. */
export function killsWhileSaving(seed: number): Kill[] {
  return Array.from({ length: 20 }, (_, index) => ({
    when: "saving",
    afterStep: 45 + 45 * index + (Math.imul(seed + index, 2654435761) >>> 0) % 20,
  }));
}

/**
 * Starts the training process, kills it at each of `kills` in turn, starts it again each time, and waits for its end.
 */
export async function runUntilDone(
  { directory, seed, kills }: { directory: string; seed: number; kills: readonly Kill[] },
): Promise<Run> {
  mkdirSync(directory, { recursive: true });
  const tally = { kills: 0, killsWhileSaving: 0, resumes: 0 };
  for (const kill of [...kills, undefined]) {
    const life = await liveOnce(directory, seed, kill);
    if (life.resumedFrom !== null) tally.resumes++;
    if (life.result !== undefined) return { ...life.result, adapter: life.adapter, ...tally };
    tally.kills++;
    const leftover = readdirSync(directory).filter((name) => TEMPORARY.test(name));
    if (kill?.when === "saving" && leftover.length > 0) tally.killsWhileSaving++;
    console.log(
      `   killed at step ${life.lastStep}${
        leftover.length > 0 ? `, in the middle of writing ${leftover[0]}` : ""
      }`,
    );
  }
  throw new Error("the last run was killed by somebody else");
}

/** Whether a checkpoint is under way at `path`; the same event comes when a file there goes away. */
function isBeingWritten(path: string): boolean {
  return (statSync(path, { throwIfNoEntry: false })?.size ?? 0) >= CHECKPOINT_BYTES;
}

interface Life {
  resumedFrom: string | null;
  adapter: string;
  lastStep: number;
  result?: TrainingResult;
}

/** One process, from its start to its end or its death. */
function liveOnce(directory: string, seed: number, kill: Kill | undefined): Promise<Life> {
  const child = spawn(process.execPath, [...scriptArguments("train_digits"), directory, String(seed)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const life: Life = { resumedFrom: null, adapter: "", lastStep: 0 };
  const strike = () => child.kill("SIGKILL");
  let armed = false;
  const watcher = watch(directory, (_, name) => {
    if (armed && name !== null && TEMPORARY.test(name) && isBeingWritten(join(directory, name))) strike();
  });
  createInterface({ input: child.stdout }).on("line", (line) => {
    const event = JSON.parse(line) as TrainingEvent;
    if (event.event === "start") {
      life.resumedFrom = event.resumedFrom;
      life.adapter = event.adapter;
      console.log(
        event.resumedFrom === null
          ? "   started"
          : `   resumed at step ${event.step} from ${event.resumedFrom}`,
      );
    } else if (event.event === "step") {
      life.lastStep = event.step;
      if (kill?.when === "training" && event.step >= kill.step) strike();
      if (kill?.when === "saving" && event.step >= kill.afterStep) armed = true;
    } else {
      const { event: _, ...result } = event;
      life.result = result;
    }
  });
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code, signal) => {
      watcher.close();
      if (life.result !== undefined || signal === "SIGKILL") resolve(life);
      else {reject(
          new Error(
            `the training process ended with ${signal ?? `exit code ${code}`} under ${runtimeName()}`,
          ),
        );}
    });
  });
}
