import { copyFileSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { FileEngine } from "../../src/checkpoint/engine/file_engine.ts";
import { retain } from "../../src/checkpoint/keep/retention/retention.ts";
import { cpuMs } from "../../tests/helpers/cpu_time.ts";
import { medianOf } from "./figures.ts";
import type { RowContext } from "./rows.ts";

/** Numbers in a save, which then takes about 0.1 s. */
const STATE_LENGTH = 2_000_000;
const FEW = 10;
const MANY = 2000;
/** Saves in a round, as one alone is too short for the clock of the processor. */
const SAVES = 5;

/**
 * Row 10: processor time of a save with retention beside 2,000 checkpoints of another run, over that of one beside
 * 10.
 */
export async function benchNeighbours({ figures, directory, rounds }: RowContext): Promise<void> {
  const places = [await placeBeside(FEW, directory), await placeBeside(MANY, directory)] as const;
  const ratios: number[] = [];
  for (let round = 0; round <= rounds; round++) {
    const [few, many] = [await places[0](), await places[1]()];
    // The first save looks at everything for the first time.
    if (round > 0) ratios.push(many / few);
  }
  const name = `row 10, processor time of a save beside ${MANY} checkpoints, over that of one beside ${FEW}`;
  figures.add(name, medianOf(ratios), "<= 1.3");
}

/** @returns Saves in a directory with so many checkpoints, and gives the processor's milliseconds. */
async function placeBeside(count: number, directory: string): Promise<() => Promise<number>> {
  const path = join(directory, `beside-${count}`);
  mkdirSync(path);
  const other = await FileEngine.open(path);
  await other.create("other-0");
  await other.save({ state: {}, provenance: { step: 0, savedBy: "auto" } });
  await other.commit("other-0");
  for (let index = 1; index < count; index++) {
    copyFileSync(join(path, "other-0.cairn"), join(path, `other-${index}.cairn`));
  }
  const engine = await FileEngine.open(path);
  const data = new Float64Array(STATE_LENGTH).map((_, index) => Math.sin(index));
  let saves = 0;
  return async () => {
    const before = cpuMs();
    for (let index = 0; index < SAVES; index++) {
      const tag = `own-${saves++}`;
      await engine.create(tag);
      await engine.save({ state: { data }, provenance: { step: saves, savedBy: "auto" } });
      await engine.commit(tag);
      await retain(engine, tag, { last: 2 });
    }
    return cpuMs() - before;
  };
}
