import { MemoryStorage } from "../../../src/storage/memory_storage.ts";
import type { Storage } from "../../../src/storage/storage.ts";
import { FakeDevice, type LossStyle } from "../../helpers/fake_device.ts";
import { FaultStorage } from "../../helpers/fault_storage.ts";
import { hookedDevice } from "../../helpers/hooked_device.ts";
import { HookedStorage } from "../../helpers/hooked_storage.ts";
import type { Campaign, RowRecorder } from "../campaign.ts";
import { DeviceRun, recoveredStep } from "./device_runs.ts";
import type { Outcome } from "./outcome.ts";
import { engineOn, temporaryFiles } from "./runs.ts";

const STYLES: readonly LossStyle[] = ["abrupt", "silent"];
const MOST_POINTS = 1000;

/**
 * Rows J1 and J2 on a made-up device: it is lost, runs out of memory, or refuses a command, at every point of a save.
 *
 * @param stride Only every so many points at which it is lost, for a short run.
 */
export async function devices(campaign: Campaign, outcome: Outcome, stride = 1): Promise<void> {
  for (const work of ["save", "restore"] as const) {
    await campaign.row("J1", `a made-up device is lost at every point of a ${work}`, async (row) => {
      for (const style of STYLES) {
        await atEveryPoint((at) => loseAt(at, style, work, row, outcome), row, style, stride);
      }
    });
  }
  await campaign.row("J2", "no memory at every allocation of a save, once and for good", async (row) => {
    for (const fault of ["out-of-memory", "validation"] as const) {
      for (const onward of [false, true]) {
        const name = `${fault}${onward ? " from there on" : ""}`;
        await atEveryPoint((at) => refuseMemory(at, fault, onward, row, outcome), row, name);
      }
    }
  });
  await campaign.row("J2", "an error of every kind at every command of a save", async (row) => {
    for (const filter of ["validation", "out-of-memory", "internal"] as const) {
      await atEveryPoint((at) => failCommand(at, filter, row, outcome), row, filter);
    }
  });
  await campaign.row("J2", "buffers that the device says it can have, and cannot", (row) => {
    return refuseSizes(row, outcome);
  });
  await campaign.row("J2", "no memory at every allocation of a store's own slabs", refuseSlabs);
}

/** `attempt` gives the name of the point that it had its fault at, or `undefined` when it was over before. */
async function atEveryPoint(
  attempt: (at: number) => Promise<string | undefined>,
  row: RowRecorder,
  name: string,
  stride = 1,
): Promise<void> {
  for (let at = 0; at < MOST_POINTS; at += stride) {
    if (await attempt(at) === undefined) return row.note(`${Math.ceil(at / stride)} points: ${name}`);
    row.point();
  }
  row.fail(`${name}: a save of ${MOST_POINTS} points never ends`);
}

/** A directory with step 1 in it, and a second run there whose device is to fail. */
class Scene {
  readonly files = new FaultStorage(new MemoryStorage());
  readonly fake: FakeDevice;
  readonly run: DeviceRun;

  private constructor(fake: FakeDevice, files: FaultStorage, run: DeviceRun) {
    this.fake = fake;
    this.files = files;
    this.run = run;
  }

  /** @param onPoint Told each call on the device and on the storage, by name. */
  static async open(fake: FakeDevice, onPoint: (name: string) => void): Promise<Scene> {
    const files = new FaultStorage(new MemoryStorage());
    const before = await DeviceRun.open(new FakeDevice().device, await engineOn(files));
    before.become(1);
    await before.save(1);
    await before.close();
    const storage: Storage = new HookedStorage(files, {
      before: ({ op }) => onPoint(`before ${op}`),
      after: ({ op }) => onPoint(`after ${op}`),
    });
    const device = hookedDevice(fake.device, ({ op, phase }) => onPoint(`${op} ${phase}`));
    return new Scene(fake, files, await DeviceRun.open(device, await engineOn(storage)));
  }

  /** Checks what the fault left: the right checkpoint, nothing open, no buffer, and an engine that saves again. */
  async judge(
    where: string,
    isCommitted: boolean,
    next: () => Promise<DeviceRun>,
    row: RowRecorder,
    outcome: Outcome,
  ): Promise<void> {
    const step = await recoveredStep(await engineOn(this.files));
    if (step !== (isCommitted ? 2 : 1)) {
      if (step === "mixed") outcome.mixed++;
      else outcome.lost++;
      row.fail(`${where}: ${step} was recovered`);
    }
    if (this.files.openHandles !== 0) row.fail(`${where}: ${this.files.openHandles} files are open`);
    const run = await next();
    run.become(3);
    const saved = await run.save(3);
    if (saved !== "committed") row.fail(`${where}: the next save ends with ${saved}`);
    if (run !== this.run) await run.close();
    const left = await this.run.close(() => this.fake.live);
    if (left.length > 0) row.fail(`${where}: ${left} are left on the device`);
    if (await recoveredStep(await engineOn(this.files)) !== 3) {
      row.fail(`${where}: the next save is not recovered`);
    }
    if ((await temporaryFiles(this.files)).length > 0) row.fail(`${where}: a temporary file is left`);
  }

  /** A run that goes on with the same engine, on another device. */
  async onNewDevice(): Promise<DeviceRun> {
    return await DeviceRun.open(new FakeDevice().device, await this.run.snapshot.engine());
  }
}

async function loseAt(
  at: number,
  lossStyle: LossStyle,
  work: "save" | "restore",
  row: RowRecorder,
  outcome: Outcome,
): Promise<string | undefined> {
  const fake = new FakeDevice({ lossStyle, isCpu: lossStyle === "silent" });
  let point: string | undefined;
  let count = -Infinity;
  const scene = await Scene.open(fake, (name) => {
    if (count++ !== at) return;
    point = name;
    fake.lose();
  });
  const { run } = scene;
  run.become(2);
  count = 0;
  const end = work === "save" ? await run.save(2) : await run.restore(1);
  count = -Infinity;
  const where = `${work}, ${lossStyle}, lost at ${point}`;
  if (end !== "committed" && end !== "device_lost") row.fail(`${where}: ended with ${end}`);
  if (point === undefined && end !== "committed") row.fail(`${work} without a fault: ended with ${end}`);
  await scene.judge(where, work === "save" && end === "committed", () => scene.onNewDevice(), row, outcome);
  return point;
}

async function refuseMemory(
  at: number,
  fault: "out-of-memory" | "validation",
  onward: boolean,
  row: RowRecorder,
  outcome: Outcome,
): Promise<string | undefined> {
  const fake = new FakeDevice({ isCpu: onward });
  const scene = await Scene.open(fake, () => {});
  const { run } = scene;
  run.become(2);
  const first = fake.allocations;
  let hasFired = false;
  fake.allocate = (index) => {
    if (index - first !== at && !(onward && index - first > at)) return undefined;
    hasFired = true;
    return fault;
  };
  const where = `${fault} at allocation ${at}${onward ? " and onward" : ""}`;
  const end = await run.save(2);
  if (hasFired && !mayEndWith(end, fault)) row.fail(`${where}: ended with ${end}`);
  if (end !== "committed" && onward) {
    const again = await run.save(2);
    if (again === "committed" || !mayEndWith(again, fault)) {
      row.fail(`${where}: the second ended with ${again}`);
    }
  }
  fake.allocate = undefined;
  await scene.judge(where, end === "committed", () => Promise.resolve(run), row, outcome);
  return hasFired ? where : undefined;
}

/**
 * Without memory for copies of the tensors a save may read the tensors themselves: what it commits is judged as ever.
 */
function mayEndWith(end: string, fault: GPUErrorFilter): boolean {
  if (fault === "out-of-memory") return end === "out_of_memory" || end === "committed";
  return end === "gpu_validation";
}

async function failCommand(
  at: number,
  filter: GPUErrorFilter,
  row: RowRecorder,
  outcome: Outcome,
): Promise<string | undefined> {
  const fake = new FakeDevice();
  let point: string | undefined;
  let count = -Infinity;
  const scene = await Scene.open(fake, (name) => {
    if (!name.endsWith(" called") || /getMappedRange|popErrorScope/.test(name) || count++ !== at) return;
    point = name;
    fake.report(filter, "made up");
  });
  const { run } = scene;
  run.become(2);
  count = 0;
  const end = await run.save(2);
  count = -Infinity;
  const where = `${filter} error at ${point}`;
  if (point !== undefined && !mayEndWith(end, filter)) row.fail(`${where}: ended with ${end}`);
  await scene.judge(where, end === "committed", () => Promise.resolve(run), row, outcome);
  return point;
}

async function refuseSizes(row: RowRecorder, outcome: Outcome): Promise<void> {
  for (const most of [128, 256, 512, 2048, 3071]) {
    row.point();
    const fake = new FakeDevice();
    const scene = await Scene.open(fake, () => {});
    scene.run.become(2);
    fake.allocate = (_, size) => size > most ? "validation" : undefined;
    const where = `no buffer of more than ${most} bytes`;
    const end = await scene.run.save(2);
    if (end !== "gpu_validation") row.fail(`${where}: ended with ${end}`);
    fake.allocate = undefined;
    await scene.judge(where, false, () => Promise.resolve(scene.run), row, outcome);
  }
}

/** What fails here is not a save: the store's next call says it. */
async function refuseSlabs(row: RowRecorder): Promise<void> {
  for (let at = 0;; at++) {
    const fake = new FakeDevice();
    let hasFired = false;
    fake.allocate = (index) => {
      hasFired ||= index === at;
      return index === at ? "out-of-memory" : undefined;
    };
    let code = "committed";
    let run: DeviceRun | undefined;
    try {
      run = await DeviceRun.open(fake.device, await engineOn(new MemoryStorage()));
      // As a trainer does before it writes: only then is it known.
      await run.store.allocated();
      run.become(1);
    } catch (error) {
      code = String((error as { code?: unknown }).code ?? error);
    }
    await run?.close();
    if (!hasFired) return;
    row.point();
    if (code !== "out_of_memory") row.fail(`slab ${at}: ended with ${code}`);
  }
}
