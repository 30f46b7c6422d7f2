import type { SaveReport } from "../../src/checkpoint/pending_snapshot.ts";
import { raced, timedOf } from "./figures.ts";
import type { RowContext } from "./rows.ts";
import { type Mode, MODES, Saver } from "./saver.ts";
import type { BenchState } from "./state.ts";
import { type Contender, median, ratioOf, type Times } from "../interleaved.ts";

interface Stalls {
  /** Until `save` returned. */
  readonly hostMs: number[];
  /** Until the GPU had done what `save` gave it to do, too: then training may go on. */
  readonly untilCopiedMs: number[];
}

/** Rows 5 and 6: how long training waits. Gives the milliseconds of a whole save at the median. */
export async function benchStalls(context: RowContext): Promise<number> {
  const { state, ceilings, directory, rounds } = context;
  const stalls = new Map(MODES.map((mode): [Mode, Stalls] => [mode, { hostMs: [], untilCopiedMs: [] }]));
  const savers = MODES.map((mode) => new Saver(state, directory, mode));
  const times = await raced([
    ceilings.gpuCopy(),
    fence(state),
    ...savers.map((saver) => stallingSave(state, saver, stalls.get(saver.mode))),
  ], rounds);
  const copyMs = timedOf(times, "bare GPU copy").ms;
  const fenceMs = median(timedOf(times, "fence").ms);
  console.log(`  bare GPU copy ${median(copyMs).toFixed(1)} ms, fence ${fenceMs.toFixed(2)} ms`);
  for (const [mode, found] of stalls) {
    addTargets(context, mode, found, { copyMs, wholeMs: timedOf(times, `save and wait, ${mode}`).ms });
  }
  for (const saver of savers) await saver.close();
  return Math.max(...MODES.map((mode) => median(timedOf(times, `save and wait, ${mode}`).ms)));
}

function addTargets(
  { figures, wants }: RowContext,
  mode: Mode,
  stalls: Stalls,
  { copyMs, wholeMs }: { copyMs: Times; wholeMs: Times },
): void {
  // The first round is not counted.
  const untilCopied = stalls.untilCopiedMs.slice(1);
  console.log(
    `  save, ${mode}: returned after ${median(stalls.hostMs.slice(1)).toFixed(2)} ms, its copy done after ` +
      `${median(untilCopied).toFixed(1)} ms, durable after ${median(wholeMs).toFixed(0)} ms`,
  );
  if (wants(5)) {
    const ratio = ratioOf(untilCopied.map((ms) => ms - 1), copyMs);
    const name = `row 5, training waits for a save by ${mode}, less 1 ms, by a bare GPU copy`;
    figures.add(name, ratio, "<= 1.15");
  }
  if (wants(6)) {
    const ratio = ratioOf(wholeMs, untilCopied);
    figures.add(`row 6, synchronous save by ${mode}, by how long training waits`, ratio, ">= 20");
  }
}

function fence(state: BenchState): Contender<unknown> {
  const { queue } = state.store.gpu.device;
  return {
    name: "fence",
    run: async () => {
      queue.submit([]);
      await queue.onSubmittedWorkDone();
    },
    check: () => {},
  };
}

/** A save, a fence behind what it gave the GPU to do, and then the rest of it. */
function stallingSave(state: BenchState, saver: Saver, stalls: Stalls | undefined): Contender<unknown> {
  let report: SaveReport | undefined;
  return {
    name: `save and wait, ${saver.mode}`,
    run: async () => {
      state.mark();
      const start = performance.now();
      const pending = await saver.begin();
      stalls?.hostMs.push(performance.now() - start);
      await state.store.gpu.device.queue.onSubmittedWorkDone();
      stalls?.untilCopiedMs.push(performance.now() - start);
      report = await pending.wait();
    },
    check: async () => {
      if (report !== undefined) await saver.check(report);
    },
  };
}
