import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { FileEngine } from "../../../src/checkpoint/engine/file_engine.ts";
import { recover } from "../../../src/checkpoint/keep/recovery.ts";
import { exitCodeOf, type InterruptSignal } from "../../../src/train/interrupts.ts";
import { type ChildEnd, runChild, runtimeCommand } from "../../helpers/child.ts";
import type { Campaign, RowRecorder } from "../campaign.ts";
import type { Outcome } from "./outcome.ts";
import { temporaryFiles } from "./runs.ts";

/** What the training does when the signal comes, and how long it may take for its last checkpoint. */
export interface SignalCase {
  /** Waiting for the caller; in a step; writing; the same, and a second signal follows; deleting. */
  readonly moment: "idle" | "step" | "save" | "twice" | "retention";
  readonly graceMs: number;
}

const MOMENTS = ["idle", "step", "save", "twice", "retention"] as const;
const GRACES = [0, 50, 60_000];

/** All 15 cases. */
export const SIGNAL_CASES: readonly SignalCase[] = MOMENTS.flatMap((moment) =>
  GRACES.map((graceMs) => ({ moment, graceMs }))
);

const CHILD = runtimeCommand(new URL("./signal_child.ts", import.meta.url));
/** Deno on lavapipe now and then dies of these by itself, a process that does nothing but open a device included. */
const DEATHS_OF_THE_RUNTIME: readonly (string | null)[] = ["SIGSEGV", "SIGABRT", "SIGBUS"];
const MOST_TRIES = 3;

/** Row A6: real processes that are told to end, at every moment and with every grace time. */
export async function signals(
  campaign: Campaign,
  outcome: Outcome,
  cases: readonly SignalCase[] = SIGNAL_CASES,
): Promise<void> {
  const probe = await runChild([...CHILD, "probe", "0", ""]);
  if (/^NO GPU$/m.test(probe.output)) {
    return campaign.skip("A6 signals while training: there is no GPU adapter");
  }
  await campaign.row("A6", "SIGTERM or SIGINT while training, and a save with a deadline", async (row) => {
    for (const each of cases) {
      const folder = mkdtempSync(join(tmpdir(), "cairn-signals-"));
      try {
        await interrupt(each, folder, row, outcome);
      } finally {
        rmSync(folder, { recursive: true, force: true });
      }
    }
  });
}

async function interrupt(
  each: SignalCase,
  folder: string,
  row: RowRecorder,
  outcome: Outcome,
): Promise<void> {
  const { moment, graceMs } = each;
  const signal: InterruptSignal = moment === "idle" ? "SIGINT" : "SIGTERM";
  const end = await run(moment, graceMs, folder, signal, row);
  row.point();
  const fail = (what: string): void =>
    row.fail(`${moment}, grace ${graceMs} ms: ${what}; it said ${JSON.stringify(end.output.slice(-200))}`);
  const committed = Number([...end.output.matchAll(/^COMMIT \S+ (\d+)$/gm)].at(-1)?.[1] ?? 0);
  const step = await newestStep(folder, fail);
  if (step < committed) {
    outcome.lost++;
    fail(`step ${step} was recovered, and ${committed} is committed`);
  }
  if (moment === "twice") {
    if (end.signal !== signal && end.status !== exitCodeOf(signal)) {
      fail(`ended with ${end.signal ?? end.status} after a second ${signal}`);
    }
    return await finish(folder, step, row, fail);
  }
  const last = Number(/^END (\d+) SIG(?:INT|TERM)$/m.exec(end.output)?.[1] ?? NaN);
  judgeExit(each, { status: end.status, expected: exitCodeOf(signal), isSaved: step === last }, fail);
  const left = await temporaryFiles((await FileEngine.open(folder)).storage);
  if (left.length > 0) fail(`${left} is left`);
}

/** The signal's own exit code exactly when the last step is durable, and which it has to be where that is certain. */
function judgeExit(
  { moment, graceMs }: SignalCase,
  { status, expected, isSaved }: { status: number | null; expected: number; isSaved: boolean },
  fail: (what: string) => void,
): void {
  if (status !== (isSaved ? expected : 1)) {
    fail(`ended with ${status}, and its last step ${isSaved ? "is" : "is not"} saved`);
  }
  if (graceMs === 0 && isSaved) fail("saved without any time for it");
  if (graceMs === 50 && moment === "save" && isSaved) {
    fail("saved although the one before took all of the time");
  }
  if (graceMs === 60_000 && !isSaved) fail("did not save, and had all the time");
}

/** A second process goes on from what the signals left, and removes what the first one could not. */
async function finish(
  folder: string,
  from: number,
  row: RowRecorder,
  fail: (what: string) => void,
): Promise<void> {
  const { status, output } = await run("finish", 0, folder, "SIGTERM", row);
  if (status !== 0 || !/^END 21 end$/m.test(output)) fail(`the next process ended with ${status}: ${output}`);
  const first = Number(/^COMMIT \S+ (\d+)$/m.exec(output)?.[1] ?? NaN);
  if (first !== from + 3) fail(`the next process saved step ${first} first, and went on from ${from}`);
  const left = await temporaryFiles((await FileEngine.open(folder)).storage);
  if (left.length > 0) fail(`${left} is left after the next process`);
}

/** Runs a child and sends it its signals. A death of the runtime itself does not count, and is noted. */
async function run(
  moment: SignalCase["moment"] | "finish",
  graceMs: number,
  folder: string,
  signal: InterruptSignal,
  row: RowRecorder,
): Promise<ChildEnd> {
  for (let attempt = 1;; attempt++) {
    const sent = new Set<string>();
    const sendOnce = (word: string, output: string): void => {
      const pid = Number(/^READY (\d+)$/m.exec(output)?.[1] ?? NaN);
      if (!new RegExp(`^${word}\\b`, "m").test(output) || Number.isNaN(pid) || sent.has(word)) return;
      sent.add(word);
      process.kill(pid, signal);
    };
    const end = await runChild([...CHILD, moment, String(graceMs), folder], {
      onOutput: (output) => {
        sendOnce("READY", output);
        if (moment === "twice") sendOnce("HEARD", output);
      },
    });
    if (!DEATHS_OF_THE_RUNTIME.includes(end.signal) || attempt === MOST_TRIES) return end;
    row.note(`${moment}, grace ${graceMs} ms: the runtime died of ${end.signal} by itself, once more`);
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The step of the newest sound checkpoint; 0 when there is none. */
async function newestStep(folder: string, fail: (what: string) => void): Promise<number> {
  const { checkpoint, skipped } = await recover(await FileEngine.open(folder));
  for (const { tag, reason } of skipped) fail(`"${tag}" is not sound: ${reason}`);
  if (checkpoint === undefined) return 0;
  try {
    const { step } = await checkpoint.state() as { step?: unknown };
    if (typeof step === "number" && step === checkpoint.provenance.step) return step;
    fail(`"${checkpoint.tag}" is of step ${checkpoint.provenance.step}, and its state of ${step}`);
    return 0;
  } finally {
    await checkpoint.close();
  }
}
