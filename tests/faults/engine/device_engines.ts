import { DecoupledEngine } from "../../../src/checkpoint/compose/decoupled_engine.ts";
import type { Engine } from "../../../src/checkpoint/engine/engine.ts";
import { MirrorEngine } from "../../../src/checkpoint/compose/mirror_engine.ts";
import { TieredEngine } from "../../../src/checkpoint/compose/tiered_engine.ts";
import { MemoryStorage } from "../../../src/storage/memory_storage.ts";
import type { Storage } from "../../../src/storage/storage.ts";
import { FakeDevice, type LossStyle } from "../../helpers/fake_device.ts";
import { hookedDevice } from "../../helpers/hooked_device.ts";
import { HookedStorage } from "../../helpers/hooked_storage.ts";
import type { Campaign, RowRecorder } from "../campaign.ts";
import { DeviceRun, recoveredStep } from "./device_runs.ts";
import type { Outcome } from "./outcome.ts";
import { engineOn } from "./runs.ts";

const MOST_POINTS = 2000;

/** Engines that read the tensors from the GPU twice, or later than they are told to. */
const ENGINES: Readonly<Record<string, (first: Storage, second: Storage) => Promise<Engine>>> = {
  "a mirror that needs both": async (first, second) =>
    new MirrorEngine([await engineOn(first), await engineOn(second)], { quorum: 2 }),
  "a mirror that needs one": async (first, second) =>
    new MirrorEngine([await engineOn(first), await engineOn(second)], { quorum: 1 }),
  "two tiers": async (first, second) =>
    new TieredEngine([{ engine: await engineOn(first) }, { engine: await engineOn(second) }]),
  "an engine in the background": async (first) => new DecoupledEngine(await engineOn(first)),
};

/** Row J1 for engines that are made of others. */
export async function deviceEngines(campaign: Campaign, outcome: Outcome): Promise<void> {
  await campaign.row("J1", "a made-up device is lost while an engine made of others saves", async (row) => {
    for (const name of Object.keys(ENGINES)) {
      for (const style of ["abrupt", "silent"] as const) {
        let at = 0;
        while (at < MOST_POINTS && await loseAt(at, name, style, row, outcome)) at++;
        row.note(`${at} points: ${name}, ${style}`);
      }
    }
  });
}

/** @returns Whether the save came as far as point `at`. */
async function loseAt(
  at: number,
  name: string,
  lossStyle: LossStyle,
  row: RowRecorder,
  outcome: Outcome,
): Promise<boolean> {
  const open = ENGINES[name] ?? ((first: Storage) => engineOn(first));
  const [first, second] = [new MemoryStorage(), new MemoryStorage()];
  const before = await DeviceRun.open(new FakeDevice().device, await open(first, second));
  before.become(1);
  await before.save(1);
  await before.close();

  const fake = new FakeDevice({ lossStyle });
  let point: string | undefined;
  let count = -Infinity;
  const pass = (call: string): void => {
    if (count++ !== at) return;
    point = call;
    fake.lose();
  };
  const hooks = {
    before: ({ op }: { op: string }) => pass(`before ${op}`),
    after: ({ op }: { op: string }) => pass(`after ${op}`),
  };
  const engine = await open(new HookedStorage(first, hooks), new HookedStorage(second, hooks));
  const run = await DeviceRun.open(
    hookedDevice(fake.device, ({ op, phase }) => pass(`${op} ${phase}`)),
    engine,
  );
  run.become(2);
  count = 0;
  const end = await run.save(2);
  count = -Infinity;
  const where = `${name}, ${lossStyle}, lost at ${point}`;
  // A mirror that got one copy of the two it needs says that, with the loss as the cause.
  const mayFail = end === "device_lost" || (end === "commit_failed" && name.includes("both"));
  if (end !== "committed" && !mayFail) row.fail(`${where}: ended with ${end}`);
  const step = await recoveredStep(await open(first, second));
  if (step !== (end === "committed" ? 2 : 1)) {
    if (step === "mixed") outcome.mixed++;
    else outcome.lost++;
    row.fail(`${where}: ${end}, and ${step} was recovered`);
  }
  const next = await DeviceRun.open(new FakeDevice().device, engine);
  next.become(3);
  const saved = await next.save(3);
  if (saved !== "committed") row.fail(`${where}: the next save ends with ${saved}`);
  await next.close();
  const left = await run.close(() => fake.live);
  if (left.length > 0) row.fail(`${where}: ${left} are left on the device`);
  if (point !== undefined) row.point();
  return point !== undefined;
}
