import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import process from "node:process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { runtimeCommand } from "../../tests/helpers/child.ts";
import type { JobSpec } from "./jobs.ts";

/** What a timed run took, in milliseconds, and what came out. */
export interface TimedRun {
  readonly ms: number;
  /** Of the processor: all threads, and all but the main one, which are those of the GPU on a CPU adapter. */
  readonly cpuMs: number;
  /** Missing where the system does not say. */
  readonly gpuMs?: number;
  readonly results: readonly number[];
}

/** What a repetition calls. */
export interface Calls {
  readonly dispatches: number;
  readonly submits: number;
}

type Reply = Partial<TimedRun & Calls> & { readonly absent?: string; readonly index?: number };

/** Who is timed. */
export type ContenderName = "cairn" | "jax" | "tfjs";

/** Where their scripts are. */
export const CONTENDERS: Readonly<Record<ContenderName, URL>> = {
  cairn: new URL("./contender.ts", import.meta.url),
  jax: new URL("../peers/jax/contender.mjs", import.meta.url),
  tfjs: new URL("../peers/tfjs/contender.mjs", import.meta.url),
};

/** What has to be installed beside them. */
const PACKAGES = { jax: "@jax-js/jax", tfjs: "@tensorflow/tfjs" } as const;

/** A contender in a process of its own, in this very runtime. It waits while others are timed. */
export class Peer {
  readonly name: ContenderName;
  readonly #child: ChildProcess;
  readonly #replies: AsyncIterator<string>;

  /** Installs a peer beside the bench, where that was not done, and starts it. */
  constructor(name: ContenderName, provider: string, environment: Readonly<Record<string, string>> = {}) {
    this.name = name;
    const script = CONTENDERS[name];
    if (name !== "cairn") install(new URL(".", script), PACKAGES[name]);
    const [program = "", ...args] = runtimeCommand(script);
    this.#child = spawn(program, [...args, provider], {
      stdio: ["pipe", "pipe", "ignore"],
      env: { ...process.env, ...environment },
    });
    const input = this.#child.stdout;
    if (input === null) throw new Error("a contender has no output");
    this.#replies = createInterface({ input })[Symbol.asyncIterator]();
  }

  /** Compiles a job and runs it once. Its number, for {@link run}. */
  async prepare(job: JobSpec): Promise<number> {
    const { index } = await this.#prepared(job);
    return index;
  }

  /** Prepares the first job, and gives the processor's milliseconds of the whole process until then. */
  async start(job: JobSpec): Promise<{ readonly index: number; readonly cpuMs: number }> {
    return await this.#prepared(job);
  }

  async #prepared(job: JobSpec): Promise<{ readonly index: number; readonly cpuMs: number }> {
    const { index, cpuMs } = await this.#ask({ prepare: job });
    if (index === undefined || cpuMs === undefined) throw new Error(`${this.name} has no job`);
    return { index, cpuMs };
  }

  async run(index: number, repetitions: number): Promise<TimedRun> {
    const { ms, cpuMs, gpuMs, results } = await this.#ask({ run: index, repetitions });
    if (ms === undefined || cpuMs === undefined || results === undefined) {
      throw new Error(`${this.name} did not say what it did`);
    }
    return { ms, cpuMs, ...(gpuMs === undefined ? {} : { gpuMs }), results };
  }

  /** What one repetition calls. */
  async count(index: number): Promise<Calls> {
    const { dispatches, submits } = await this.#ask({ count: index });
    if (dispatches === undefined || submits === undefined) throw new Error(`${this.name} did not count`);
    return { dispatches, submits };
  }

  close(): void {
    this.#child.kill("SIGKILL");
  }

  async #ask(request: object): Promise<Reply> {
    this.#child.stdin?.write(`${JSON.stringify(request)}\n`);
    const { value, done } = await this.#replies.next();
    if (done === true) throw new Error(`${this.name} ended`);
    const reply = JSON.parse(value) as Reply;
    if (reply.absent !== undefined) throw new Error(`${this.name}: ${reply.absent.split("\n")[0]}`);
    return reply;
  }
}

function install(folder: URL, name: string): void {
  if (existsSync(new URL(`./node_modules/${name}/package.json`, folder))) return;
  const npm = process.platform === "win32" ? "npm.cmd" : "npm";
  const args = ["ci", "--no-audit", "--no-fund", "--ignore-scripts"];
  const { status, stderr } = spawnSync(npm, args, { cwd: fileURLToPath(folder), encoding: "utf8" });
  if (status === 0) return;
  throw new Error(`npm ci in ${fileURLToPath(folder)} failed: ${stderr?.trim().split("\n").at(-1)}`);
}
