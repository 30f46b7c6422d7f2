import { readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { MpiGroup } from "../../src/mpi/mpi_group.ts";

// One rank of several that mpiexec starts. It says what it does, and ends as it is told to.

const [mode = "", rankText = "-1", timeoutText = "5000", directory] = process.argv.slice(2);
/** The rank that misbehaves. */
const odd = Number(rankText);
const timeoutMs = Number(timeoutText);
/** Ranks that begin together do so in whatever time the machine takes. */
const beginMs = ["never", "exit before"].includes(mode) ? timeoutMs : 120_000;

/** Before MPI has begun, only the launcher knows. */
function rankOfLauncher(): number {
  return Number(process.env.OMPI_COMM_WORLD_RANK ?? process.env.PMI_RANK);
}

function say(text: string): void {
  console.log(`RANK ${rankOfLauncher()} ${text}`);
}

/** What names of files end with, of ranks that are through the last barrier. */
const THROUGH = ".through";

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** A module whose function `f` reads outside of its memory, which is a trap. */
function trap(): string {
  // deno-fmt-ignore
  const module = new WebAssembly.Module(Uint8Array.of(
    0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 127, 3, 2, 1, 0, 5, 3, 1, 0, 1, 7, 5, 1, 1, 102, 0, 0,
    10, 13, 1, 11, 0, 65, 128, 128, 128, 128, 4, 40, 2, 0, 11,
  ));
  const { f } = new WebAssembly.Instance(module).exports as { f: () => number };
  try {
    return String(f());
  } catch (error) {
    return error instanceof WebAssembly.RuntimeError ? "RuntimeError" : String(error);
  }
}

/** What a rank that is stopped has sent may still be in its hands: it waits until the others have it. */
async function untilAllAreThrough(directory: string): Promise<void> {
  writeFileSync(join(directory, `${process.pid}${THROUGH}`), "");
  while (readdirSync(directory).filter((name) => name.endsWith(THROUGH)).length < group.size) await sleep(5);
}

if (rankOfLauncher() === odd) {
  if (mode === "never") await sleep(600_000);
  if (mode === "exit before") process.exit(0);
  if (mode === "late") await sleep(1500);
}
// A runtime may take the signal of a trap when there is a first module; MPI must not take it away.
if (mode === "trap") trap();
const group = await MpiGroup.open({ timeoutMs: beginMs });
await group.barrier();
// What a rank prints may be lost when its launcher ends it.
if (directory !== undefined) writeFileSync(join(directory, String(process.pid)), "");
await group.barrier();
if (directory !== undefined) await untilAllAreThrough(directory);
if (group.rank === odd) {
  if (mode === "exit") process.exit(0);
  if (mode === "throw") throw new Error("an error of this program");
  if (mode === "end") {
    // No more is called: nothing keeps this process alive.
    await new Promise(() => {});
  }
  if (mode === "kill") process.kill(process.pid, "SIGKILL");
  if (mode === "stop") process.kill(process.pid, "SIGSTOP");
  if (mode === "busy") { for (;;); }
  if (mode === "abort") await group.abort(new Error("the reason"));
  if (mode === "close and throw") {
    await group.close();
    throw new Error("an error of this program");
  }
}
if (mode === "trap") {
  const first = trap();
  await group.barrier();
  say(`${first}, ${trap()}`);
}
if (mode === "exit after close") {
  await group.close();
  process.exit(0);
}
const all = await group.allGather(new Uint8Array(100_000).fill(group.rank), { timeoutMs });
say(`gathered ${all.map(([byte]) => byte)}`);
await group.close();
say("closed");
