import type { SaveReport } from "../src/checkpoint/pending_snapshot.ts";
import { BufferUsage } from "../src/gpu/constants.ts";
import { raced, timedOf } from "./checkpoint_figures.ts";
import type { RowContext } from "./checkpoint_rows.ts";
import { MODES, Saver } from "./checkpoint_saver.ts";
import { type Contender, median, ratioOf } from "./interleaved.ts";

/** Rows 5 and 6: how long training waits. Gives the milliseconds of a whole save at the median. */
export async function benchStalls(context: RowContext): Promise<number> {
  const { state, figures, directory, rounds, wants } = context;
  const { gpu } = state.store;
  const slabs = state.slabs();
  const copies = slabs.map(({ byteLength }, index) =>
    gpu.createBuffer(`bare copy ${index}`, byteLength, BufferUsage.COPY_DST | BufferUsage.COPY_SRC)
  );
  const stalls = new Map(MODES.map((mode) => [mode, { host: [] as number[], gpu: [] as number[] }]));
  const savers = MODES.map((mode) => new Saver(state, directory, mode));
  const contenders: Contender<unknown>[] = [{
    name: "bare GPU copy",
    run: async () => {
      const encoder = gpu.device.createCommandEncoder();
      slabs.forEach(({ buffer, byteLength }, index) => {
        const copy = copies[index];
        if (copy !== undefined) encoder.copyBufferToBuffer(buffer, 0, copy, 0, byteLength);
      });
      gpu.device.queue.submit([encoder.finish()]);
      await gpu.device.queue.onSubmittedWorkDone();
    },
    check: async () => {
      const last = slabs.length - 1;
      const [slab, copy] = [slabs[last], copies[last]];
      if (slab === undefined || copy === undefined) return;
      const [read] = await gpu.read([{ buffer: copy, offset: 0, size: slab.byteLength }]);
      if (read !== undefined) state.checkPart(read, slab.rawOffset);
    },
  }, {
    name: "fence",
    run: async () => {
      gpu.device.queue.submit([]);
      await gpu.device.queue.onSubmittedWorkDone();
    },
    check: () => {},
  }];
  for (const saver of savers) {
    contenders.push({
      name: `save and wait, ${saver.mode}`,
      run: async () => {
        const start = performance.now();
        const pending = await saver.begin();
        const returned = performance.now();
        // Behind the copy: what is submitted from now on runs after it.
        await gpu.device.queue.onSubmittedWorkDone();
        const stall = stalls.get(saver.mode);
        stall?.host.push(returned - start);
        stall?.gpu.push(performance.now() - start);
        return await pending.wait();
      },
      check: (report) => saver.check(report as SaveReport),
    });
  }
  const times = await raced(contenders, rounds);
  const copy = timedOf(times, "bare GPU copy").ms;
  console.log(
    `  bare GPU copy ${median(copy).toFixed(1)} ms, fence ${
      median(timedOf(times, "fence").ms).toFixed(2)
    } ms`,
  );
  for (const mode of MODES) {
    const host = stalls.get(mode)?.host.slice(1) ?? [];
    const untilDone = stalls.get(mode)?.gpu.slice(1) ?? [];
    const whole = timedOf(times, `save and wait, ${mode}`).ms;
    console.log(
      `  save, ${mode}: returned after ${median(host).toFixed(2)} ms, its copy done after ` +
        `${median(untilDone).toFixed(1)} ms, durable after ${median(whole).toFixed(0)} ms`,
    );
    if (wants(5)) {
      const ratio = ratioOf(untilDone.map((ms) => ms - 1), copy);
      figures.add(
        `row 5, training waits for a save by ${mode}, less 1 ms, by a bare GPU copy`,
        ratio,
        "<= 1.15",
      );
    }
    if (wants(6)) {
      const ratio = ratioOf(whole, untilDone);
      figures.add(`row 6, synchronous save by ${mode}, by how long training waits`, ratio, ">= 20");
    }
  }
  for (const saver of savers) await saver.close();
  for (const buffer of copies) gpu.destroyBuffer(buffer);
  return Math.max(...MODES.map((mode) => median(timedOf(times, `save and wait, ${mode}`).ms)));
}
