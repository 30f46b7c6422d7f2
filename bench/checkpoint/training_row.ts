import { rmSync } from "node:fs";
import { join } from "node:path";
import { medianOf } from "./figures.ts";
import type { RowContext } from "./rows.ts";
import { MODES } from "./saver.ts";
import { lossesBeyondCpu, trainWithSaves } from "./training.ts";
import { median } from "../interleaved.ts";

/** Row 8: what training loses. */
export async function benchTraining(context: RowContext, saveMs: number): Promise<void> {
  const { state, figures, directory, rounds } = context;
  const { blocks, batchSize } = await trainWithSaves({
    store: state.store,
    modes: MODES,
    rounds,
    saveMs,
    directoryOf: (mode) => join(directory, mode),
    check: async (path) => {
      await state.checkStart(path);
      rmSync(path);
    },
  });
  const without = blocks.get("none") ?? [];
  const wall = median(without.map(({ wallMs }) => wallMs));
  const cpu = median(without.map((block) => block.cpuMs));
  console.log(
    `  20 steps of training (768-3072-768, batch ${batchSize}): ${wall.toFixed(0)} ms wall, ${
      cpu.toFixed(0)
    } ms CPU`,
  );
  for (const mode of MODES) {
    const withSaves = blocks.get(mode) ?? [];
    const more = median(withSaves.map(({ wallMs }, i) => wallMs - (without[i]?.wallMs ?? NaN)));
    const moreCpu = median(withSaves.map((block, i) => block.cpuMs - (without[i]?.cpuMs ?? NaN)));
    const inTraining = median(withSaves.map(({ saveMs: ms }) => ms ?? NaN));
    console.log(
      `  with a save by ${mode}: ${more.toFixed(0)} ms more wall (${(100 * more / wall).toFixed(1)} %), ` +
        `${moreCpu.toFixed(0)} ms more CPU; the save took ${inTraining.toFixed(0)} ms`,
    );
    const { measured, spread } = medianOf(lossesBeyondCpu(withSaves, without));
    // A spread by a loss near 0 says nothing: that of a loss is given as it is.
    const lost = { measured, spread: spread * Math.abs(measured) };
    figures.add(
      `row 8, training lost to a save by ${mode} every 20 steps, beyond its CPU time`,
      lost,
      "<= 0.02",
    );
  }
}
