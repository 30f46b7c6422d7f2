import { mkdirSync } from "node:fs";
import { type Fate, liveOnce } from "../kills/one_life.ts";

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
    const life = await liveThrough(directory, seed, kill);
    if (life.resumedFrom !== null) tally.resumes++;
    if (life.result !== undefined) return { ...life.result, adapter: life.adapter, ...tally };
    tally.kills++;
    const { leftover } = life;
    if (kill?.when === "saving" && leftover !== undefined) tally.killsWhileSaving++;
    console.log(
      `   killed at step ${life.lastStep}${
        leftover === undefined ? "" : `, in the middle of writing ${leftover}`
      }`,
    );
  }
  throw new Error("the last run was killed by somebody else");
}

interface Life {
  resumedFrom: string | null;
  adapter: string;
  lastStep: number;
  leftover?: string | undefined;
  result?: TrainingResult;
}

/** One process, from its start to its end or its death. */
async function liveThrough(directory: string, seed: number, kill: Kill | undefined): Promise<Life> {
  const life: Life = { resumedFrom: null, adapter: "", lastStep: 0 };
  const onLine = (line: string): Fate => {
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
      if (kill?.when === "training" && event.step >= kill.step) return "kill";
      if (kill?.when === "saving" && event.step >= kill.afterStep) return "kill while saving";
    } else {
      const { event: _, ...result } = event;
      life.result = result;
      return "done";
    }
    return undefined;
  };
  const args = [directory, String(seed)];
  const { leftover } = await liveOnce({ script: "digits/train_digits", args, directory, onLine });
  return { ...life, leftover };
}
