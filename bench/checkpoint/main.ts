/**
 * How fast are checkpoints, and how little do they disturb? `npm run bench -- checkpoint` runs this in Bun (Dawn),
 * Deno (its own WebGPU) and Deno with Dawn; or `bun bench/checkpoint/main.ts`.
 *
 * Contenders and baselines take turns in one process, on the same state, the same GPU and the same disk, so that a
 * busy machine disturbs all alike. All files are new, and synced with their directory. Every result is compared with
 * the state, byte by byte, outside of what is timed. The first save of each engine is read back by the engine before
 * it is committed, as its default is; the first round is not counted. The last line is JSON.
 *
 * The first lines are the ceilings: what has to be done at least, each by itself. Targets are ratios against
 * something that was measured in the same rounds and is as durable. With `--disk slow` the file calls of the thread
 * that writes, and those of the bare loops, take their time: 490 MB/s of durable bytes, half of the time in writes
 * and half in syncs. All else is as it is.
 *
 * Options: `--rounds=7`, `--rows=1,4` (lines of the table, 1 to 11), `--provider=dawn`, `--disk=slow`.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { TensorStore } from "../../src/tensor/tensor_store.ts";
import { Ceilings } from "./ceilings.ts";
import { fileSystemOf, openDisk } from "./disk.ts";
import { benchEventLoop } from "./event_loop_row.ts";
import { Figures } from "./figures.ts";
import { benchFreezes } from "./freeze_row.ts";
import { benchLoads } from "./load_row.ts";
import { benchNeighbours } from "./neighbours_row.ts";
import { benchMemory } from "./memory_row.ts";
import { benchSaves } from "./save_rows.ts";
import { benchStalls } from "./stall_rows.ts";
import { BenchState } from "./state.ts";
import { benchTraining } from "./training_row.ts";

const rounds = Number(option("rounds") ?? 7);
const rows = new Set((option("rows") ?? "1,2,3,4,5,6,7,8,9,10,11").split(",").map(Number));
const provider = option("provider");
const disk = openDisk(option("disk"));
const directory = mkdtempSync(join(diskDirectory(), "cairn-bench-"));
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.on(signal, () => {
    removeFiles();
    process.exit(130);
  });
}
try {
  await bench();
} finally {
  removeFiles();
}

async function bench(): Promise<void> {
  const store = await TensorStore.open(provider === "dawn" || provider === "native" ? { provider } : {});
  const { gpu } = store;
  const runtime = process.versions.deno !== undefined
    ? "Deno"
    : process.versions.bun !== undefined
    ? "Bun"
    : "Node";
  const name = `${runtime} ${gpu.provider}`;
  const figures = new Figures(name);
  const state = await BenchState.fill(store);
  const place = `${fileSystemOf(directory)}${disk.isSlow ? ", slowed to 490 MB/s of durable bytes" : ""}`;
  console.log(`\n${name} on ${gpu.adapterName}, files on ${place} in ${directory}`);
  const { description } = state;
  console.log(`state: ${description}; ${rounds} rounds`);
  console.log("ceilings, each alone:");
  const ceilings = await Ceilings.open(state, directory, disk);
  await ceilings.print(rounds);
  const wants = (...some: number[]): boolean => some.some((row) => rows.has(row));
  const context = { state, ceilings, figures, disk, directory, rounds, wants };
  if (wants(1, 2, 3)) await benchSaves(context);
  if (wants(4)) await benchLoads(context);
  const saveMs = wants(5, 6, 8) ? await benchStalls(context) : 0;
  if (wants(7)) await benchEventLoop(context);
  if (wants(9)) benchMemory(context);
  if (wants(10)) await benchNeighbours(context);
  if (wants(11)) await benchFreezes(context);
  // Last, since it adds tensors to the store.
  if (wants(8)) await benchTraining(context, saveMs);
  await ceilings.close();
  await store.close();
  console.log(JSON.stringify({
    bench: "checkpoint",
    runtime: navigator.userAgent,
    adapter: gpu.adapterName,
    provider: gpu.provider,
    disk: disk.isSlow ? "slow" : "as it is",
    state: description,
    rounds,
    targets: figures.targets,
  }));
}

function option(name: string): string | undefined {
  const at = process.argv.indexOf(`--${name}`);
  return at >= 0
    ? process.argv[at + 1]
    : process.argv.find((argument) => argument.startsWith(`--${name}=`))?.slice(name.length + 3);
}

/** Where files go to a disk: the system's folder for temporary files, or the bench's own where that is memory. */
function diskDirectory(): string {
  const isMemory = ["tmpfs", "ramfs"].includes(fileSystemOf(tmpdir()));
  return isMemory ? join(import.meta.dirname ?? ".") : tmpdir();
}

function removeFiles(): void {
  rmSync(directory, { recursive: true, force: true });
}
