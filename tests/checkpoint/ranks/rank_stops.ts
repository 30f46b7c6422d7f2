import { recover } from "../../../src/checkpoint/keep/recovery.ts";
import { CrashStorage, storageOf } from "../../helpers/crash_storage.ts";
import { letTurnsPass } from "../../helpers/turns.ts";
import { atEveryOperation, FaultStorage } from "../fixtures.ts";
import { durableImage } from "../file/parts/power_cuts.ts";
import { engineOf, messages, saveAll, saveRank } from "./rank_saves.ts";

/** What {@link stopEverywhere} saw. */
export interface StopReport {
  readonly points: number;
  /** Steps that were recovered: 1 before, 2 afterwards. */
  readonly steps: ReadonlySet<number>;
  /** What was found that must not be. */
  readonly failures: readonly { readonly isLost: boolean; readonly message: string }[];
}

/**
 * Stops one of two ranks at its operations while both replace a checkpoint, and looks at what a process goes on from.
 *
 * @param stride 1 for every operation, 2 for each other one.
 */
export async function stopEverywhere(stopped: 0 | 1, stride: number): Promise<StopReport> {
  const before = new CrashStorage();
  const first = messages(await saveAll(before, 2, () => ({ tag: "last" })));
  if (first.join() !== "saved,saved") throw new Error(`The first save failed: ${first}`);
  const image = durableImage(before);
  const steps = new Set<number>();
  const failures: { isLost: boolean; message: string }[] = [];
  const points = await atEveryOperation(async (index) => {
    const at = index * stride;
    const disk = await storageOf(image);
    const storage = new FaultStorage(disk);
    storage.crashAt(at);
    const others = new AbortController();
    const saving = [0, 1].map((rank) => {
      const attempt = { tag: "last", overwrite: true, step: 2, signal: others.signal };
      return saveRank(rank === stopped ? storage : disk, rank, 2, attempt);
    });
    // The other one would wait until its time is up.
    saving[stopped]?.catch(async () => {
      await letTurnsPass();
      others.abort();
    });
    const results = await Promise.allSettled(saving);
    const isCommitted = results.some(({ status }) => status === "fulfilled");
    const { checkpoint } = await recover(await engineOf(disk, 9));
    const step = checkpoint?.step ?? 0;
    steps.add(step);
    const states: string[] = [];
    for (const rank of [0, 1]) {
      const state = await checkpoint?.forRank({ rank, worldSize: 2 }).state() as Record<string, unknown>;
      states.push(`rank ${state?.rank} step ${state?.step}`);
    }
    await checkpoint?.close();
    const isLost = step !== 2 && (isCommitted || step !== 1);
    const isMixed = states.join() !== `rank 0 step ${step},rank 1 step ${step}`;
    if (isLost || isMixed) {
      const message =
        `rank ${stopped} stopped at operation ${at}: step ${step} was recovered, with ${states}`;
      failures.push({ isLost, message: `${message}; ${isCommitted ? 2 : 1} is committed` });
    }
    return storage;
  });
  return { points, steps, failures };
}
