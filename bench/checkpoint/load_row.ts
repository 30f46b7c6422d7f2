import { rmSync } from "node:fs";
import { join } from "node:path";
import { readBare, writeBare } from "./disk.ts";
import { raced, rate, timedOf } from "./figures.ts";
import type { RowContext } from "./rows.ts";
import { MODES, Saver } from "./saver.ts";
import type { BenchState } from "./state.ts";
import { type Contender, median, ratioOf } from "../interleaved.ts";

const PIECE_BYTES = 8 * 1024 * 1024;

/** Row 4: a checkpoint into the GPU's memory, against what has to be done at least. */
export async function benchLoads({ state, figures, directory, rounds }: RowContext): Promise<void> {
  const { store: { gpu }, bytes } = state;
  const path = join(directory, "buffered");
  writeBare(state, path, false);
  const reused = new Uint8Array(PIECE_BYTES);
  const savers = MODES.map((mode) => new Saver(state, directory, mode));
  const loads: Contender<unknown>[] = [];
  for (const saver of savers) {
    await (await saver.begin()).wait();
    loads.push({
      name: `load, ${saver.mode}`,
      run: () => saver.restore(),
      check: async () => {
        await state.checkGpu();
        await state.clear();
      },
    });
  }
  await state.clear();
  const bare: Contender<unknown>[] = [{
    name: "cached read",
    run: () => readBare(path, bytes.byteLength, reused),
    check: () => {},
  }, {
    name: "writeBuffer loop",
    run: () => uploadBare(state),
    check: async () => {
      await state.checkGpu();
      await state.clear();
    },
  }];
  const times = await raced([...loads, ...bare], rounds);
  for (const [name, timed] of times) console.log(`  ${name.padEnd(42)} ${rate(bytes.byteLength, timed)}`);
  const [slower] = bare.map(({ name }) => timedOf(times, name)).sort((a, b) => median(b.ms) - median(a.ms));
  for (const saver of savers) {
    const ratio = ratioOf(slower?.ms ?? [], timedOf(times, `load, ${saver.mode}`).ms);
    figures.add(
      `row 4, load by ${saver.mode}, rate against the slower of read and writeBuffer`,
      ratio,
      ">= 0.8",
    );
    await saver.close();
    rmSync(join(directory, saver.mode), { recursive: true });
  }
  rmSync(path);
  await state.upload();
  gpu.assertAlive();
}

/** `queue.writeBuffer` of everything in pieces of 8 MiB, with a submit now and then that lets go of the copies, and a fence. */
async function uploadBare(state: BenchState): Promise<void> {
  const { device } = state.store.gpu;
  for (const { buffer, rawOffset, byteLength } of state.slabs()) {
    for (let at = 0; at < byteLength; at += PIECE_BYTES) {
      const length = Math.min(PIECE_BYTES, byteLength - at);
      device.queue.writeBuffer(buffer, at, state.bytes, rawOffset + at, length);
      if (at % (8 * PIECE_BYTES) === 0) device.queue.submit([]);
    }
  }
  device.queue.submit([]);
  await device.queue.onSubmittedWorkDone();
}
