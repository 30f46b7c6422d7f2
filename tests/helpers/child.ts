import { spawn, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import process from "node:process";
import { fileURLToPath } from "node:url";

/** How a child process ended, and what it said. */
export interface ChildEnd {
  readonly status: number | null;
  readonly signal: string | null;
  readonly output: string;
  /** Its error stream, where that was asked for. */
  readonly errors: string;
}

/** The command that runs a script in this very runtime. */
export function runtimeCommand(script: URL): string[] {
  const path = fileURLToPath(script);
  if (process.versions.deno !== undefined) {
    return [process.execPath, "run", "-A", "--no-check", "--quiet", path];
  }
  return [process.execPath, path];
}

/** Options of {@link runChild}. */
export interface ChildOptions {
  /** Called with all the output so far whenever there is more; it may kill the child. */
  readonly onOutput?: (output: string, kill: () => void) => void;
  /** Kills the child when it says nothing for so long. Unless given, it may take its time. */
  readonly silenceMs?: number;
  /** Keep what it writes to its error stream in {@link ChildEnd.errors}, and do not show it. */
  readonly keepsErrors?: boolean;
}

/** Runs a command. What it writes to its error stream is shown unless the options say otherwise. */
export function runChild(command: readonly string[], options: ChildOptions = {}): Promise<ChildEnd> {
  const { onOutput = () => {}, silenceMs, keepsErrors = false } = options;
  const [program = "", ...args] = command;
  return new Promise((resolve) => {
    const child = spawn(program, args, { stdio: ["ignore", "pipe", keepsErrors ? "pipe" : "inherit"] });
    const kill = (): void => void child.kill("SIGKILL");
    let timer: ReturnType<typeof setTimeout> | undefined;
    const watch = (): void => {
      clearTimeout(timer);
      if (silenceMs !== undefined) timer = setTimeout(kill, silenceMs);
    };
    let output = "";
    let errors = "";
    watch();
    child.stdout?.on("data", (bytes) => {
      watch();
      output += bytes;
      onOutput(output, kill);
    });
    child.stderr?.on("data", (bytes) => errors += bytes);
    const end = (status: number | null, signal: string | null): void => {
      clearTimeout(timer);
      resolve({ status, signal, output, errors });
    };
    child.on("error", (error) => {
      output += error;
      end(127, null);
    });
    child.on("close", end);
  });
}

/** Whether the machine permits a command, such as tracing or a mount of your own. */
export function isPermitted(program: string, args: readonly string[]): boolean {
  return spawnSync(program, [...args], { stdio: "ignore" }).status === 0;
}

/** Whether there is a program in one of the usual places. */
export function hasProgram(name: string): boolean {
  return (process.env.PATH ?? "").split(":").some((folder) => existsSync(`${folder}/${name}`));
}
