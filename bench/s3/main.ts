/**
 * Does training wait for the network? `npm run bench -- s3` runs this in Bun and in Deno; or `bun bench/s3/main.ts`.
 *
 * Checkpoints go to a store behind a line of 50 MB/s that adds 50 ms to each request, in a process of its own. What is
 * compared with is the same number of bytes by bare requests over the same line, in the same rounds, and training that
 * saves nothing. Every checkpoint is read back over the line and verified, outside of what is timed. The first round is
 * not counted. The last line is JSON.
 *
 * Options: `--rounds=7`, `--rows=1,2,3`, `--provider=dawn`.
 */
import process from "node:process";
import { openCheckpoint } from "../../src/checkpoint/file/open_path.ts";
import type { SaveReport } from "../../src/checkpoint/pending_snapshot.ts";
import { Snapshot } from "../../src/checkpoint/snapshot.ts";
import { openStorage } from "../../src/storage/open_storage.ts";
import { TensorStore } from "../../src/tensor/tensor_store.ts";
import { eventLoopBlocks } from "../checkpoint/event_loop.ts";
import { Figures, medianOf, quantile } from "../checkpoint/figures.ts";
import { lossesBeyondCpu, trainWithSaves } from "../checkpoint/training.ts";
import { median, ratioOf } from "../interleaved.ts";
import { bareUpload } from "./bare_upload.ts";
import { DELAY_MS, LINE_BYTES_PER_SECOND, type SlowStore, startSlowStore } from "./line.ts";

const PARAMETERS = 16 * 1024 * 1024;
const BUCKET = "s3://bucket/bench";
/** About what a save of the network that is trained takes, alone. */
const SAVE_MS = 2500;
/** So that it ends within its block, also on a busy machine. */
const LONGEST_BLOCK_MS = 8000;

const rounds = Number(option("rounds") ?? 7);
const rows = new Set((option("rows") ?? "1,2,3").split(",").map(Number));
const provider = option("provider");

const slow = await startSlowStore();
Object.assign(process.env, {
  AWS_ACCESS_KEY_ID: "bench",
  AWS_SECRET_ACCESS_KEY: "bench",
  AWS_ENDPOINT_URL_S3: slow.endpoint,
});
try {
  await bench(slow);
} finally {
  slow.stop();
}

async function bench(store: SlowStore): Promise<void> {
  const tensors = await TensorStore.open(provider === "dawn" || provider === "native" ? { provider } : {});
  const { gpu } = tensors;
  const runtime = process.versions.deno !== undefined ? "Deno" : "Bun";
  const figures = new Figures(`${runtime} ${gpu.provider}`);
  console.log(
    `\n${runtime} ${gpu.provider} on ${gpu.adapterName}; ${rounds} rounds, over a line of ` +
      `${LINE_BYTES_PER_SECOND / 1e6} MB/s and ${DELAY_MS} ms`,
  );
  if (rows.has(1) || rows.has(2)) await benchSaves(store, figures);
  if (rows.has(3)) await benchTraining(store, tensors, figures);
  await tensors.close();
  console.log(JSON.stringify({
    bench: "s3",
    runtime: navigator.userAgent,
    adapter: gpu.adapterName,
    provider: gpu.provider,
    rounds,
    targets: figures.targets,
  }));
}

/** Rows 1 and 2: how long a save takes until it is durable, and how long the event loop is held meanwhile. */
async function benchSaves({ endpoint }: SlowStore, figures: Figures): Promise<void> {
  const store = await TensorStore.open(provider === "dawn" || provider === "native" ? { provider } : {});
  const group = store.define("model", [{ name: "weight", dtype: "f32", shape: [PARAMETERS] }]);
  const values = Float32Array.from({ length: PARAMETERS }, (_, index) => Math.sin(index * 12.9898));
  for (const { buffer } of group.slabs) store.gpu.write(buffer, 0, new Uint8Array(values.buffer));
  await store.gpu.idle();
  const snapshot = new Snapshot(`${BUCKET}/saves`, { store }, { mode: "fast" });
  const times = { save: [] as number[], bare: [] as number[] };
  const held = { save: [] as number[][], bare: [] as number[][] };
  const timed = async (kind: keyof typeof times, work: () => Promise<unknown>): Promise<void> => {
    const start = performance.now();
    held[kind].push(await eventLoopBlocks(work));
    times[kind].push(performance.now() - start);
  };
  let bytes = 0;
  for (let round = 0; round <= rounds; round++) {
    let report: SaveReport | undefined;
    await timed("save", async () => report = await (await snapshot.save(round + 1)).wait());
    bytes = report?.written.fileBytes ?? 0;
    const bare = await bareUpload(endpoint, bytes);
    await timed("bare", () => bare.send());
    if (report !== undefined) await check(report.path);
  }
  await snapshot.close();
  await store.close();
  const counted = (list: readonly number[]): number[] => list.slice(1);
  console.log(
    `  ${(bytes / 1e6).toFixed(1)} MB: durable after ${
      median(counted(times.save)).toFixed(0)
    } ms, bare requests ` +
      `${median(counted(times.bare)).toFixed(0)} ms, the line alone ` +
      `${(1000 * bytes / LINE_BYTES_PER_SECOND).toFixed(0)} ms`,
  );
  if (rows.has(1)) {
    const ratio = ratioOf(counted(times.save), counted(times.bare));
    figures.add("row 1, time to durable over that of bare requests", ratio, "<= 1.6");
  }
  if (rows.has(2)) {
    const above = held.save.slice(1).map((samples, round) =>
      quantile(samples, 0.99) - quantile(held.bare[round + 1] ?? [], 0.99)
    );
    console.log(
      `  event loop held ${quantile(held.save.slice(1).flat(), 0.99).toFixed(2)} ms at p99 during a save, ` +
        `${quantile(held.bare.slice(1).flat(), 0.99).toFixed(2)} ms during bare requests`,
    );
    const name = "row 2, event loop held during a save, ms at p99 above that during bare requests";
    figures.add(name, medianOf(above), "<= 2");
  }
}

/** Row 3: what training loses to a save into the bucket every 20 steps, beyond the CPU time that it takes. */
async function benchTraining(slow: SlowStore, store: TensorStore, figures: Figures): Promise<void> {
  const { blocks, batchSize } = await trainWithSaves({
    store,
    modes: ["fast"],
    rounds,
    saveMs: SAVE_MS,
    longestBlockMs: LONGEST_BLOCK_MS,
    directoryOf: (mode) => `${BUCKET}/${mode}`,
    otherCpuMs: () => slow.cpuMs(),
    check,
  });
  const [without, withSaves] = [blocks.get("none") ?? [], blocks.get("fast") ?? []];
  const wall = median(without.map(({ wallMs }) => wallMs));
  const more = median(withSaves.map(({ wallMs }, round) => wallMs - (without[round]?.wallMs ?? NaN)));
  const moreCpu = median(withSaves.map((block, round) => block.cpuMs - (without[round]?.cpuMs ?? NaN)));
  const saveMs = median(withSaves.map((block) => block.saveMs ?? NaN));
  console.log(
    `  20 steps of training (768-3072-768, batch ${batchSize}): ${wall.toFixed(0)} ms; with a save ` +
      `${more.toFixed(0)} ms more wall, ${moreCpu.toFixed(0)} ms more CPU; the save took ${
        saveMs.toFixed(0)
      } ms`,
  );
  const { measured, spread } = medianOf(lossesBeyondCpu(withSaves, without));
  // A spread by a loss near 0 says nothing: that of a loss is given as it is.
  figures.add(
    "row 3, training lost to a save into the bucket every 20 steps, beyond its CPU time",
    { measured, spread: spread * Math.abs(measured) },
    "<= 0.02",
  );
  const overlaps = withSaves.map((block, round) =>
    1 - (block.wallMs - (without[round]?.wallMs ?? NaN)) / (block.saveMs ?? NaN)
  );
  figures.add("row 3, part of the save's time that training went on in", medianOf(overlaps), ">= 0.5");
}

/** Reads every byte back over the line, and removes the checkpoint. */
async function check(path: string): Promise<void> {
  const checkpoint = await openCheckpoint(path);
  await checkpoint.verify();
  await checkpoint.close();
  const at = path.lastIndexOf("/");
  await (await openStorage(path.slice(0, at))).remove(path.slice(at + 1));
}

function option(name: string): string | undefined {
  return process.argv.find((argument) => argument.startsWith(`--${name}=`))?.slice(name.length + 3);
}
