import { hostError } from "../../../src/storage/host_error.ts";
import { MemoryStorage } from "../../../src/storage/memory_storage.ts";
import { storageError } from "../../../src/storage/storage_error.ts";
import { counterRandom } from "../../checkpoint/fixtures.ts";
import { FakeDevice } from "../../helpers/fake_device.ts";
import { HookedStorage } from "../../helpers/hooked_storage.ts";
import type { StorageCall } from "../../helpers/wrapped_storage.ts";
import type { Campaign, RowRecorder } from "../campaign.ts";
import { DeviceRun, recoveredStep } from "./device_runs.ts";
import type { Outcome } from "./outcome.ts";
import { engineOn } from "./runs.ts";

const MOST_POINTS = 1000;
/**
 * How many operations after the first error a second one comes. 0 for none, and Infinity for an error of all later
 * ones.
 */
const GAPS = [0, 1, 2, 3, 4, 5, 6, Infinity];

/**
 * Row B1 for a checkpoint that takes the place of another, in several files and in one: an error, and another soon
 * after, as of a move that was done although it failed, and of the look at what it did.
 *
 * @param gaps As {@link GAPS}, for a short run.
 * @param stride Only every so many operations, likewise.
 */
export async function partErrors(
  campaign: Campaign,
  outcome: Outcome,
  gaps: readonly number[] = GAPS,
  stride = 1,
): Promise<void> {
  await campaign.row(
    "B1",
    "one error, and two, in a save over its tag, in one file or more",
    async (row) => {
      for (const gap of gaps) {
        for (const takesEffect of [false, true]) {
          for (const components of [true, false]) {
            let at = 0;
            while (at < MOST_POINTS && await failAt({ at, gap, takesEffect, components }, row, outcome)) {
              at += stride;
            }
          }
        }
      }
    },
  );
}

interface Errors {
  readonly at: number;
  readonly gap: number;
  /** Whether what fails first is done all the same. */
  readonly takesEffect: boolean;
  /** Whether the checkpoint is in several files. */
  readonly components: boolean;
}

/** @returns Whether the save came as far as operation `at`. */
async function failAt(
  { at, gap, takesEffect, components }: Errors,
  row: RowRecorder,
  outcome: Outcome,
): Promise<boolean> {
  const disk = new MemoryStorage();
  await saveBest(disk, 1, components);
  let first: string | undefined;
  const fail = ({ op, path }: StorageCall): void => {
    first ??= `${op} ${path}`;
    throw storageError(op, path, hostError("EIO"));
  };
  const storage = new HookedStorage(disk, {
    before: (call) => {
      const isLater = gap === Infinity ? call.index > at : gap > 0 && call.index === at + gap;
      if (isLater || (call.index === at && !takesEffect)) fail(call);
    },
    after: (call) => {
      if (call.index === at && takesEffect) fail(call);
    },
  });
  const end = await saveBest(storage, 2, components);
  if (first === undefined) return false;
  row.point();
  const where = `EIO from ${first}${takesEffect ? ", though it was done," : ""} and ${gap} operations later`;
  const step = await recoveredStep(await engineOn(disk));
  const isRight = end === "committed" ? step === 2 : step === 1 || step === 2;
  if (!isRight) {
    if (step === "mixed") outcome.mixed++;
    else outcome.lost++;
    row.fail(`${where}: ${end}, and ${step} was recovered`);
  }
  if (
    await saveBest(disk, 3, components) !== "committed" || await recoveredStep(await engineOn(disk)) !== 3
  ) {
    row.fail(`${where}: the next save is not recovered`);
  }
  return true;
}

/** Saves the state of a step as the only checkpoint. */
async function saveBest(
  storage: MemoryStorage | HookedStorage,
  step: number,
  components: boolean,
): Promise<string> {
  const engine = await engineOn(storage, { components, random: counterRandom(step) });
  const run = await DeviceRun.open(new FakeDevice().device, engine, { overwrite: true });
  run.become(step);
  const end = await run.save(step, "best");
  await run.close();
  return end;
}
