import { spawn } from "node:child_process";
import { readdirSync, statSync, watch } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { runtimeName, scriptArguments } from "./runtime.ts";

/**
 * What shall happen to a process: it is killed at once, or as soon as it writes a checkpoint. When it is "done", a
 * driver that crashes while the process ends changes nothing.
 */
export type Fate = "kill" | "kill while saving" | "done" | undefined;

/** A training process, from its start to its end or its death. */
export interface OneLife {
  /** A script of `examples/`, such as "language/train". */
  readonly script: string;
  readonly args: readonly string[];
  /** Where it saves. */
  readonly directory: string;
  /** Called with each line that it prints; says what happens to it then. */
  readonly onLine: (line: string) => Fate;
}

/** How a process ended. */
export interface Ending {
  readonly wasKilled: boolean;
  /** The file that was half written when it died. */
  readonly leftover: string | undefined;
}

const TEMPORARY = /^\.tmp-/;
// Larger than the hint file `latest`, which is written in the same way after the checkpoint itself.
const CHECKPOINT_BYTES = 4096;

/** Runs a training process in this runtime. Throws when it ends with an error. */
export function liveOnce({ script, args, directory, onLine }: OneLife): Promise<Ending> {
  const child = spawn(process.execPath, [...scriptArguments(script), ...args], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const strike = () => child.kill("SIGKILL");
  let [isArmed, isDone] = [false, false];
  const watcher = watch(directory, (_, name) => {
    if (isArmed && name !== null && TEMPORARY.test(name) && isBeingWritten(join(directory, name))) strike();
  });
  createInterface({ input: child.stdout }).on("line", (line) => {
    const fate = onLine(line);
    if (fate === "kill") strike();
    isArmed ||= fate === "kill while saving";
    isDone ||= fate === "done";
  });
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code, signal) => {
      watcher.close();
      const leftover = readdirSync(directory).find((name) => TEMPORARY.test(name));
      const wasKilled = signal === "SIGKILL";
      if (wasKilled || code === 0 || (isDone && signal !== null)) return resolve({ wasKilled, leftover });
      reject(new Error(`${script} ended with ${signal ?? `exit code ${code}`} under ${runtimeName()}`));
    });
  });
}

/** Whether a checkpoint is under way at `path`; the same event comes when a file there goes away. */
function isBeingWritten(path: string): boolean {
  return (statSync(path, { throwIfNoEntry: false })?.size ?? 0) >= CHECKPOINT_BYTES;
}
