import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { hasProgram, runtimeCommand } from "../../helpers/child.ts";
import type { Campaign, RowRecorder } from "../campaign.ts";
import type { Outcome } from "./outcome.ts";

const CHILD = runtimeCommand(new URL("./error_child.ts", import.meta.url));
const PATIENCE_MS = 300_000;
const MOST_CALLS = 12;

/** System calls that may fail; a file that is written front to back may be written by any of the last ones. */
const CALLS = [
  "fsync,fdatasync",
  "link,linkat",
  "rename,renameat,renameat2",
  "openat",
  "unlink,unlinkat",
  "write,pwrite64,writev,pwritev,pwritev2",
];

/** What `link` says where there are no hard links; the move is a rename then. */
const NO_LINKS = ["EPERM", "EOPNOTSUPP", "ENOSYS", "EMLINK"];

/** A fault to be injected. */
interface Injection {
  /** Names of the system calls, with commas between them. */
  readonly calls: string;
  /** Which of their paths count. */
  readonly on: "files" | "directory";
  /** Which of them fail, in strace's own words: "2" is the second of each thread, "2+" that and all later ones. */
  readonly when: string;
  readonly error: string;
}

/**
 * Row B4, second half: a real kernel call of a real process gives EIO.
 *
 * @param tried Which calls fail, for a short run.
 */
export async function hostErrors(
  campaign: Campaign,
  outcome: Outcome,
  tried: readonly string[] = CALLS,
): Promise<void> {
  if (!hasProgram("strace")) return campaign.skip("B4 EIO from system calls: strace is missing");
  if (!await canAttach()) {
    return campaign.skip("B4 EIO from system calls: strace may not attach to a process");
  }
  await campaign.row(
    "B4",
    "EIO from each system call on the files of a save, once and for good",
    async (row) => {
      for (const calls of tried) {
        for (const on of ["files", "directory"] as const) await failCalls(calls, on, row, outcome);
      }
    },
  );
  if (tried !== CALLS) return;
  await campaign.row("B4", `a file system without hard links: ${NO_LINKS.join(", ")}`, async (row) => {
    for (const error of NO_LINKS) {
      row.point();
      const injection = { calls: "link,linkat", on: "files", when: "1+", error } as const;
      const { hits, end } = await saveWith(injection, row, outcome);
      if (hits === 0 || end !== "committed") row.fail(`${error} from ${hits} links: ended with ${end}`);
    }
  });
}

async function failCalls(
  calls: string,
  on: "files" | "directory",
  row: RowRecorder,
  outcome: Outcome,
): Promise<void> {
  let points = 0;
  let failed = 0;
  for (const onward of [false, true]) {
    for (let n = 1; n <= MOST_CALLS; n++) {
      const when = `${n}${onward ? "+" : ""}`;
      const { hits, end } = await saveWith({ calls, on, when, error: "EIO" }, row, outcome);
      if (hits === 0) break;
      row.point();
      points++;
      if (end !== "committed") failed++;
    }
  }
  if (points > 0) row.note(`${calls} of the ${on}: ${points} times, and ${failed} of the saves failed`);
}

/** @returns How many calls were made to fail, and how the save ended. */
async function saveWith(
  injection: Injection,
  row: RowRecorder,
  outcome: Outcome,
): Promise<{ hits: number; end: string }> {
  const { calls, on, when, error } = injection;
  const where = `${error} from ${calls} of the ${on}, call ${when}`;
  const folder = mkdtempSync(join(tmpdir(), "cairn-eio-"));
  const child = new Conversation(spawn(CHILD[0] ?? "", [...CHILD.slice(1), folder], { stdio: "pipe" }));
  try {
    const pid = (await child.says(/^READY (\d+)$/m))[1] ?? "";
    const temporary = [...child.output.matchAll(/^FILE (.+)$/gm)].map(([, path = ""]) => path);
    const files = [join(folder, "2.cairn"), join(folder, "latest"), ...temporary];
    const tracer = trace(pid, injection, on === "files" ? files : [folder]);
    await tracer.says(/attached/);
    child.answer();
    const [, end = ""] = await child.says(/^END (.*)$/m);
    await tracer.interrupt();
    const hits = tracer.output.split("(INJECTED)").length - 1;
    child.answer();
    await child.says(/^LEFT (\d+)$/m);
    const [before = "", after = ""] = [...child.output.matchAll(/^FOUND (.*)$/gm)].map(([, step]) =>
      step ?? ""
    );
    const isCommitted = end === "committed";
    if (!isCommitted && !/^storage_failed /.test(end)) row.fail(`${where}: ended with ${end}`);
    // A directory that could not be synced has the new name already, or not: both are whole.
    const isRight = isCommitted ? before === "2" : before === "1" || before === "2";
    if (before === "mixed") outcome.mixed++;
    else if (!isRight) outcome.lost++;
    if (!isRight) row.fail(`${where}: ${end}, and ${before} was recovered`);
    if (after !== "3") row.fail(`${where}: the next save is not recovered, but ${after}`);
    if (!/^LEFT 0$/m.test(child.output)) row.fail(`${where}: temporary files are left after the next save`);
    return { hits, end };
  } finally {
    await child.end();
    rmSync(folder, { recursive: true, force: true });
  }
}

function trace(pid: string, { calls, when, error }: Injection, paths: readonly string[]): Conversation {
  return new Conversation(spawn("strace", [
    ...["-f", "-p", pid, "-e", `trace=${calls}`, "-e", `inject=${calls}:error=${error}:when=${when}`],
    ...paths.flatMap((path) => ["-P", path]),
  ], { stdio: "pipe" }));
}

async function canAttach(): Promise<boolean> {
  const sleeper = spawn("sleep", ["60"]);
  const tracer = new Conversation(
    spawn("strace", ["-p", String(sleeper.pid), "-e", "trace=none"], { stdio: "pipe" }),
  );
  const can = await tracer.says(/attached/).then(() => true, () => false);
  await tracer.interrupt();
  sleeper.kill("SIGKILL");
  return can;
}

/** A process that is talked to, line by line. What it says on its two streams is one text. */
class Conversation {
  output = "";
  readonly #child: ChildProcess;
  readonly #ended: Promise<unknown>;
  #hasEnded = false;

  constructor(child: ChildProcess) {
    this.#child = child;
    for (const stream of [child.stdout, child.stderr]) stream?.on("data", (bytes) => this.output += bytes);
    this.#ended = once(child, "close").then(() => this.#hasEnded = true);
  }

  answer(): void {
    this.#child.stdin?.write("\n");
  }

  async says(pattern: RegExp): Promise<RegExpExecArray> {
    const end = performance.now() + PATIENCE_MS;
    for (;;) {
      const found = pattern.exec(this.output);
      if (found !== null) return found;
      if (this.#hasEnded || performance.now() > end) {
        throw new Error(`A process never said ${pattern}: ${this.output.slice(-500)}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  async interrupt(): Promise<void> {
    this.#child.kill("SIGINT");
    await this.#ended;
  }

  async end(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#ended;
  }
}
