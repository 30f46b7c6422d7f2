import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { environment, runtimeCommand } from "../../tools/runtimes.mjs";

/** What the line adds to each request. */
export const DELAY_MS = 50;
/** Both ways together. */
export const LINE_BYTES_PER_SECOND = 50_000_000;

/** The clock of `/proc/<pid>/stat`. */
const TICKS_PER_MS = 0.1;

/** A store behind a slow line, in a process of its own. */
export interface SlowStore {
  readonly endpoint: string;
  /** Milliseconds of CPU time that its process has used; 0 where that is not to be had. */
  cpuMs(): number;
  stop(): void;
}

/** Starts it, in Bun whoever measures. */
export async function startSlowStore(): Promise<SlowStore> {
  const [program = "", ...before] = runtimeCommand("bun");
  const script = fileURLToPath(new URL("slow_store.ts", import.meta.url));
  const child = spawn(program, [...before, script], {
    env: environment(),
    stdio: ["pipe", "pipe", "inherit"],
  });
  const port = await new Promise<string>((resolve, reject) => {
    createInterface({ input: child.stdout }).once("line", resolve);
    child.once("exit", () => reject(new Error("The store of the bench did not start")));
  });
  return {
    endpoint: `http://127.0.0.1:${port}`,
    cpuMs: () => cpuMsOf(child.pid ?? 0),
    stop: () => void child.kill(),
  };
}

function cpuMsOf(pid: number): number {
  try {
    // Behind the name, which may hold spaces, the 12th and the 13th field are those of user and system.
    const fields = readFileSync(`/proc/${pid}/stat`, "utf8").replace(/^.*\) /, "").split(" ");
    return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_MS;
  } catch {
    return 0;
  }
}
