import { ProcessGroup } from "../../../src/checkpoint/ranks/process_group.ts";
import type { GpuDevice } from "../../../src/gpu/gpu_device.ts";
import type { TrainerOptions } from "../../../src/train/trainer.ts";
import { type Fixture, fixture } from "../fixtures.ts";

/** What each rank runs: its trainer, and its place among all. */
export type RankBody<T> = (fixture: Fixture, rank: number) => Promise<T>;

/**
 * Runs `body` as so many ranks, which train together: each has a store of its own on the shared device.
 *
 * @param optionsOf With `parallel` where there is more to say of it.
 * @returns What each rank gave, in order.
 */
export async function asRanks<T>(
  gpu: GpuDevice,
  ranks: number,
  shards: number,
  optionsOf: (rank: number) => TrainerOptions,
  body: RankBody<T>,
): Promise<T[]> {
  const outcomes = await Promise.allSettled(
    ProcessGroup.inMemory(ranks, { timeoutMs: 300_000 }).map(async (group, rank) => {
      const options = optionsOf(rank);
      const made = fixture(gpu, { ...options, parallel: { group, shards, ...options.parallel } });
      try {
        return await body(made, rank);
      } catch (error) {
        await group.abort(error);
        throw error;
      } finally {
        await made.close();
        await group.close();
      }
    }),
  );
  const failed = outcomes.find((outcome) => outcome.status === "rejected");
  if (failed !== undefined) throw failed.reason;
  return outcomes.flatMap((outcome) => outcome.status === "fulfilled" ? [outcome.value] : []);
}
