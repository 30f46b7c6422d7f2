import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { CairnError } from "../../../src/base/errors.ts";
import { FileEngine, type FileEngineOptions } from "../../../src/checkpoint/engine/file_engine.ts";
import { type LockIdentity, ownIdentity } from "../../../src/checkpoint/engine/lock/lock_owner.ts";
import { recover } from "../../../src/checkpoint/keep/recovery.ts";
import { isPermitted, runtimeCommand } from "../../helpers/child.ts";
import type { Campaign, RowRecorder } from "../campaign.ts";
import type { Outcome } from "./outcome.ts";
import { saveStep, stepOfState } from "./runs.ts";

const CHILD = runtimeCommand(new URL("./lock_child.ts", import.meta.url));
const PATIENCE_MS = 300_000;
const IN_NAMESPACE = ["unshare", "-rpf", "--mount-proc"];

/**
 * Kills an owner, has its number used by another process, and takes the right then. "$0" is the folder, "$@" the
 * command.
 */
const REUSE_THE_NUMBER = `
"$@" hold "$0/runs" > "$0/said" & owner=$!
until grep -q COMMIT "$0/said"; do sleep 0.02; done
kill -9 $owner; wait $owner
echo $((owner - 1)) > /proc/sys/kernel/ns_last_pid
sleep 60 & [ $! = $owner ] && echo "REUSED $owner"
"$@" take "$0/runs"
`;

/** Is no child of its owner's parent for long, so that nobody asks how the owner ended: it stays in the table, dead. */
const NEVER_ASK = `"$@" & exec sleep 60`;

type Case = (folder: string, row: RowRecorder, where: string) => Promise<void>;

const CASES: readonly (readonly [name: string, run: Case])[] = [
  ["its owner was killed while it was idle", (folder, row, where) => {
    return takeOverFrom("hold", folder, row, where, (owner) => owner.end());
  }],
  ["its owner was killed while it saved", (folder, row, where) => {
    return takeOverFrom("keep", folder, row, where, (owner) => owner.end());
  }],
  ["its owner was killed, and nobody has asked how it ended", async (folder, row, where) => {
    const owner = new Child(["sh", "-c", NEVER_ASK, "sh", ...CHILD, "hold", folder]);
    await owner.says("COMMIT");
    process.kill(owner.heldBy, "SIGKILL");
    await taken(folder, "RELEASED", row, where);
    await owner.end();
  }],
  ["its owner lives and is idle", (folder, row, where) => refusedBy("hold", folder, row, where)],
  ["its owner lives and saves", (folder, row, where) => refusedBy("keep", folder, row, where)],
  ["its owner lives, was stopped, and has done nothing for years", async (folder, row, where) => {
    const owner = new Child([...CHILD, "hold", folder]);
    await owner.says("COMMIT");
    process.kill(owner.heldBy, "SIGSTOP");
    await taken(folder, "LOCKED", row, where);
    const inYears = (): number => Date.now() + 10 * 365 * 86_400_000;
    await inProcess(folder, { now: inYears }, "locked", row, where);
    process.kill(owner.heldBy, "SIGCONT");
    await owner.end();
    await taken(folder, "RELEASED", row, where);
  }],
  [
    "its owner is on another machine: kept, unless somebody says that it is dead",
    async (folder, row, where) => {
      await leaveLock(folder, { ...ownIdentity(), mark: otherBoot(), host: "far", machineId: "other" });
      await taken(folder, "LOCKED", row, where);
      await inProcess(folder, { exclusive: { isOwnerDead: () => false } }, "locked", row, where);
      await inProcess(folder, { exclusive: { isOwnerDead: () => true } }, "saved", row, where);
    },
  ],
  ["its owner ran before this machine was started again", async (folder, row, where) => {
    const identity = { ...ownIdentity(), machineId: ownIdentity().machineId || "this" };
    await leaveLock(folder, { ...identity, mark: otherBoot() });
    await inProcess(folder, { exclusive: { identity } }, "saved", row, where);
  }],
  ["its file holds nothing that can be read", async (folder, row, where) => {
    await leaveLock(folder, ownIdentity());
    const [name = ""] = lockFiles(folder);
    writeFileSync(join(folder, name), "rubbish");
    await inProcess(folder, { exclusive: { isOwnerDead: () => true } }, "locked", row, where);
  }],
];

/** Cases that take namespaces of their own. */
const NAMESPACE_CASES: readonly (readonly [name: string, run: Case])[] = [
  ["its owner was killed, and its number is another process's by now", async (folder, row, where) => {
    const reusing = new Child([...IN_NAMESPACE, "sh", "-c", REUSE_THE_NUMBER, folder, ...CHILD]);
    await reusing.says("RELEASED", "LOCKED").catch(() => {});
    if (!/^REUSED \d+$/m.test(reusing.output)) row.fail(`${where}: the number was not used again`);
    if (!/^RELEASED$/m.test(reusing.output)) row.fail(`${where}: ${reusing.output}`);
    await reusing.end();
  }],
  ["its owner lives in another container, and is killed there", async (folder, row, where) => {
    const owner = new Child([...IN_NAMESPACE, ...CHILD, "hold", folder]);
    await owner.says("COMMIT");
    await taken(folder, "LOCKED", row, where);
    await owner.end();
    await taken(folder, "LOCKED", row, where);
    await inProcess(folder, { exclusive: { isOwnerDead: () => true } }, "saved", row, where);
  }],
];

/**
 * Row C4: a lock that somebody left. It is taken over when its owner is proved dead, and never from one that lives.
 *
 * @param isTried Which cases are, by their names, for a short run.
 */
export async function locks(
  campaign: Campaign,
  outcome: Outcome,
  isTried: (name: string) => boolean = () => true,
): Promise<void> {
  if (ownIdentity().mark === "") return campaign.skip("C4 locks: there is no /proc to prove anything by");
  await campaign.row("C4", "a lock that is there already, with real processes", (row) => {
    return runCases(CASES.filter(([name]) => isTried(name)), row, outcome);
  });
  if (!NAMESPACE_CASES.some(([name]) => isTried(name))) return;
  if (!isPermitted("unshare", ["-rpf", "--mount-proc", "true"])) {
    return campaign.skip("C4 numbers used again and other containers: unshare is not permitted");
  }
  await campaign.row("C4", "the same with numbers used again, and with other containers", (row) => {
    return runCases(NAMESPACE_CASES.filter(([name]) => isTried(name)), row, outcome);
  });
}

async function runCases(
  cases: readonly (readonly [name: string, run: Case])[],
  row: RowRecorder,
  outcome: Outcome,
): Promise<void> {
  for (const [name, run] of cases) {
    row.point();
    const folder = mkdtempSync(join(tmpdir(), "cairn-lock-"));
    try {
      await run(folder, row, name);
      await allAreWhole(folder, row, name, outcome);
    } finally {
      await Child.endAll();
      rmSync(folder, { recursive: true, force: true });
    }
  }
}

async function takeOverFrom(
  mode: string,
  folder: string,
  row: RowRecorder,
  where: string,
  kill: (owner: Child) => Promise<void>,
): Promise<void> {
  const owner = new Child([...CHILD, mode, folder]);
  await owner.says("COMMIT");
  await taken(folder, "LOCKED", row, where);
  await kill(owner);
  // Of several that come at once, one at a time gets the lock.
  const others = Array.from({ length: 3 }, () => new Child([...CHILD, "hold", folder]));
  await Promise.all(others.map((other) => other.says("COMMIT", "LOCKED")));
  const holders = others.filter(({ output }) => output.includes("COMMIT"));
  if (holders.length !== 1) row.fail(`${where}: ${holders.length} of ${others.length} took it over`);
  if (lockFiles(folder).length !== 1) row.fail(`${where}: there are ${lockFiles(folder).length} locks`);
}

async function refusedBy(mode: string, folder: string, row: RowRecorder, where: string): Promise<void> {
  const owner = new Child([...CHILD, mode, folder]);
  await owner.says("COMMIT");
  for (let attempt = 0; attempt < 3; attempt++) await taken(folder, "LOCKED", row, where);
  // It can go on all the while.
  if (mode === "keep") await owner.saysMore();
  await owner.end();
}

/** Has another process try. */
async function taken(folder: string, expected: string, row: RowRecorder, where: string): Promise<void> {
  const other = new Child([...CHILD, "take", folder]);
  await other.says("RELEASED", "LOCKED");
  if (!other.output.includes(expected)) {
    row.fail(`${where}: said ${other.output.trim()}, expected ${expected}`);
  }
  await other.end();
}

async function inProcess(
  folder: string,
  options: FileEngineOptions,
  expected: "saved" | "locked",
  row: RowRecorder,
  where: string,
): Promise<void> {
  const engine = await FileEngine.open(folder, { exclusive: true, ...options });
  const end = await saveStep(engine, (await engine.list()).length + 1).then(
    () => "saved",
    (error: unknown) => error instanceof CairnError ? error.code : String(error),
  );
  await engine.cleanup();
  if (end !== expected) row.fail(`${where}: ${end}, expected ${expected}`);
}

/** A checkpoint, and the lock of somebody who never gave it back. */
async function leaveLock(folder: string, identity: LockIdentity): Promise<void> {
  await saveStep(await FileEngine.open(folder, { exclusive: { identity } }), 1);
}

/** The mark of this process, as if it ran at another boot. */
function otherBoot(): string {
  return "0".repeat(32) + ownIdentity().mark.slice(32);
}

function lockFiles(folder: string): string[] {
  return readdirSync(folder).filter((name) => name.startsWith(".lock-"));
}

/** Every checkpoint is one that somebody saved, and at least the first one is there. */
async function allAreWhole(folder: string, row: RowRecorder, where: string, outcome: Outcome): Promise<void> {
  const runs = readdirSync(folder).includes("runs") ? join(folder, "runs") : folder;
  const engine = await FileEngine.open(runs);
  const { checkpoint } = await recover(engine);
  await checkpoint?.close();
  if (checkpoint === undefined) {
    outcome.lost++;
    row.fail(`${where}: no checkpoint is left`);
  }
  for (const tag of await engine.list()) {
    const each = await engine.load(tag);
    await each.verify();
    const step = stepOfState(await each.state());
    await each.close();
    if (String(step) === tag) continue;
    outcome.mixed++;
    row.fail(`${where}: ${tag} holds ${step}`);
  }
}

/** A process that runs beside this one. */
class Child {
  static readonly #running = new Set<Child>();
  output = "";
  readonly #child: ChildProcess;
  readonly #ended: Promise<unknown>;
  #hasEnded = false;

  constructor([program = "", ...args]: readonly string[]) {
    // A group of its own, so that what it started goes with it.
    this.#child = spawn(program, args, { stdio: ["ignore", "pipe", "inherit"], detached: true });
    this.#child.stdout?.on("data", (bytes) => this.output += bytes);
    this.#ended = once(this.#child, "close").then(() => this.#hasEnded = true);
    Child.#running.add(this);
  }

  /** The number of the process that has the lock. */
  get heldBy(): number {
    return Number(/^HELD (\d+)$/m.exec(this.output)?.[1]);
  }

  async says(...words: string[]): Promise<void> {
    await this.#until(() => words.some((word) => this.output.includes(word)), words.join(" or "));
  }

  async saysMore(): Promise<void> {
    const before = this.output.length;
    await this.#until(() => this.output.length > before, "more");
  }

  async end(): Promise<void> {
    if (!this.#hasEnded && this.#child.pid !== undefined) killGroup(this.#child.pid);
    await this.#ended;
    Child.#running.delete(this);
  }

  static async endAll(): Promise<void> {
    for (const child of this.#running) await child.end();
  }

  async #until(isTrue: () => boolean, what: string): Promise<void> {
    const end = performance.now() + PATIENCE_MS;
    while (!isTrue()) {
      if (this.#hasEnded || performance.now() > end) {
        throw new Error(`A process never said ${what}: ${this.output}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }
}

/** Kills a process and what it started. It may have ended by itself just now, before anybody was told. */
function killGroup(leader: number): void {
  try {
    process.kill(-leader, "SIGKILL");
  } catch (error) {
    if ((error as { code?: unknown }).code !== "ESRCH") throw error;
  }
}
