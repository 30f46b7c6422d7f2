import { rmSync } from "node:fs";
import { join } from "node:path";
import { writeBare } from "./disk.ts";
import { raced, rate, slowestOf, timedOf } from "./figures.ts";
import type { RowContext } from "./rows.ts";
import { type Mode, MODES, Saver } from "./saver.ts";
import { type Contender, ratioOf } from "../interleaved.ts";

const READ = "cached read";
const READ_STORED = "cached read, of the stored bytes";
/** The other parts of a load, and how near to the slowest part the load has to be. */
const LOADS: Readonly<Record<Mode, { readonly least: string; readonly bounds: readonly string[] }>> = {
  fast: { least: ">= 0.85", bounds: [READ, "writeBuffer loop"] },
  balanced: { least: ">= 0.8", bounds: [READ_STORED, "decode on both cores", "writeBuffer loop"] },
};

/** Row 4: a checkpoint into the GPU's memory, against the slowest of its necessary parts. */
export async function benchLoads(context: RowContext): Promise<void> {
  const { state, ceilings, figures, disk, directory, rounds } = context;
  const path = join(directory, "to-load");
  writeBare(state, path, { disk, isDirect: false });
  const savers = MODES.map((mode) => new Saver(state, directory, mode));
  const loads: Contender<unknown>[] = [];
  for (const saver of savers) {
    await (await saver.begin()).wait();
    loads.push({
      name: `load, ${saver.mode}`,
      prepare: () => state.clear(),
      run: () => saver.restore(),
      check: () => state.checkGpu(),
    });
  }
  const times = await raced([
    ...loads,
    ceilings.cachedRead(path, state.bytes.byteLength),
    ceilings.cachedRead(path, ceilings.storedBytes, ", of the stored bytes"),
    ceilings.upload(),
    ceilings.decoding(),
  ], rounds);
  for (const [name, timed] of times) {
    times.set(name, ceilings.scaled(name, timed));
    console.log(`  ${name.padEnd(42)} ${rate(state.bytes.byteLength, timedOf(times, name))}`);
  }
  for (const saver of savers) {
    const { least, bounds } = LOADS[saver.mode];
    const slowest = slowestOf(bounds.map((name) => timedOf(times, name)));
    const which = bounds.find((name) => timedOf(times, name) === slowest);
    console.log(`  what a load by ${saver.mode} waits for is ${which}`);
    const name = `row 4, load by ${saver.mode}, rate against the slowest of ${bounds.join(", ")}`;
    figures.add(name, ratioOf(slowest.ms, timedOf(times, `load, ${saver.mode}`).ms), least);
    await saver.close();
    rmSync(join(directory, saver.mode), { recursive: true });
  }
  rmSync(path);
  state.store.gpu.assertAlive();
}
