import { spawn, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import process from "node:process";
import { fileURLToPath } from "node:url";

/** How a child process ended, and what it said. */
export interface ChildEnd {
  readonly status: number | null;
  readonly signal: string | null;
  readonly output: string;
}

/** The command that runs a script in this very runtime. */
export function runtimeCommand(script: URL): string[] {
  const path = fileURLToPath(script);
  if (process.versions.deno !== undefined) {
    return [process.execPath, "run", "-A", "--no-check", "--quiet", path];
  }
  return [process.execPath, path];
}

/** Runs a command; `onOutput` may kill it. What it writes to its error stream is shown. */
export function runChild(
  command: readonly string[],
  onOutput: (output: string, kill: () => void) => void = () => {},
): Promise<ChildEnd> {
  const [program = "", ...args] = command;
  return new Promise((resolve) => {
    const child = spawn(program, args, { stdio: ["ignore", "pipe", "inherit"] });
    let output = "";
    child.stdout.on("data", (bytes) => {
      output += bytes;
      onOutput(output, () => void child.kill("SIGKILL"));
    });
    child.on("error", (error) => resolve({ status: 127, signal: null, output: `${output}${error}` }));
    child.on("close", (status, signal) => resolve({ status, signal, output }));
  });
}

/** Whether the machine permits a command, such as tracing or a mount of one's own. */
export function isPermitted(program: string, args: readonly string[]): boolean {
  return spawnSync(program, [...args], { stdio: "ignore" }).status === 0;
}

/** Whether there is a program in one of the usual places. */
export function hasProgram(name: string): boolean {
  return (process.env.PATH ?? "").split(":").some((folder) => existsSync(`${folder}/${name}`));
}
