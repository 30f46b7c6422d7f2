import { constants, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { SaveReport } from "../../src/checkpoint/pending_snapshot.ts";
import { eventLoopBlocks } from "./event_loop.ts";
import { medianOf, quantile } from "./figures.ts";
import type { RowContext } from "./rows.ts";
import { MODES, Saver } from "./saver.ts";
import { median } from "../interleaved.ts";

/** Each gives hundreds of samples. */
const SAVES = 7;
const PIECE_BYTES = 8 * 1024 * 1024;

/** Row 7: how much longer the event loop is held while a save is under way than while a thread writes a bare file. */
export async function benchEventLoop(context: RowContext): Promise<void> {
  const { state, figures, directory, rounds } = context;
  const { gpu } = state.store;
  const fences: number[] = [];
  for (let round = 0; round < 9; round++) {
    const start = performance.now();
    gpu.device.queue.submit([]);
    await gpu.device.queue.onSubmittedWorkDone();
    fences.push(performance.now() - start);
  }
  const fence = median(fences);
  const limit = gpu.hasBlockingFences ? `<= ${fence.toPrecision(4)}` : "<= 2";
  for (const mode of MODES) {
    const saver = new Saver(state, directory, mode);
    const samples: number[][] = [];
    const bare: number[][] = [];
    for (let round = 0; round <= Math.min(SAVES, rounds); round++) {
      state.mark();
      bare.push(await eventLoopBlocks(() => writeOnThread(context, join(directory, "beside"))));
      let report: SaveReport | undefined;
      const pending = await saver.begin();
      samples.push(await eventLoopBlocks(async () => report = await pending.wait()));
      if (report !== undefined) await saver.check(report);
    }
    await saver.close();
    const [all, without] = [samples.slice(1).flat(), bare.slice(1).flat()];
    const held = samples.slice(1).map((one, round) =>
      quantile(one, 0.99) - quantile(bare[round + 1] ?? [], 0.99)
    );
    console.log(
      `  event loop, save by ${mode}: held ${quantile(all, 0.99).toFixed(2)} ms at p99, ${
        Math.max(...all).toFixed(1)
      } ms at most; while a thread writes a bare file ${quantile(without, 0.99).toFixed(2)} ms; fence ${
        fence.toFixed(2)
      } ms; ${all.length} samples`,
    );
    figures.add(
      `row 7, event loop held during a save by ${mode}, ms at p99 above those while a bare file is written`,
      medianOf(held),
      limit,
    );
  }
}

/** Writes a file as large as the state on a thread of its own, and makes it durable. */
async function writeOnThread({ state, disk }: RowContext, path: string): Promise<void> {
  writeFileSync(path, "");
  const thread = disk.startThread();
  const memory = new Uint8Array(new SharedArrayBuffer(PIECE_BYTES));
  const file = await thread.open(path, constants.O_WRONLY, memory.buffer);
  for (let at = 0; at < state.bytes.byteLength;) {
    const length = Math.min(PIECE_BYTES, state.bytes.byteLength - at);
    at += await file.write(memory.subarray(0, length), at);
  }
  await file.sync("all");
  await file.close();
  await thread.end();
  rmSync(path);
}
