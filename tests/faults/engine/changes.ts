import { Executable } from "../../../src/graph/executable.ts";
import { add, mul } from "../../../src/graph/ops/arithmetic.ts";
import { parameter } from "../../../src/graph/ops/sources.ts";
import { GpuDevice } from "../../../src/gpu/gpu_device.ts";
import { MemoryStorage } from "../../../src/storage/memory_storage.ts";
import { FakeDevice } from "../../helpers/fake_device.ts";
import { gpuTestOptions } from "../../helpers/gpu.ts";
import { hookedDevice } from "../../helpers/hooked_device.ts";
import { HookedStorage } from "../../helpers/hooked_storage.ts";
import type { Campaign, RowRecorder } from "../campaign.ts";
import { DeviceRun, recoveredStep } from "./device_runs.ts";
import type { Outcome } from "./outcome.ts";
import { engineOn } from "./runs.ts";

const MOST_POINTS = 1000;
const WEIGHTS = ["model.0.weight", "model.1.weight", "optimizer.m.0.weight"];

/** Where a step of the training comes while a save is under way. */
interface Changes {
  readonly device: GPUDevice;
  /** At which await, from 0; at all of them with -1, which is also in the very tick of the call. */
  readonly at: number;
  /** None of the tensors are copied on the GPU: they are read while training should wait, and does not. */
  readonly isStreamed: boolean;
  /** What gives a kernel step on the run's tensors; unless given, new values are written from the host. */
  readonly stepper?: (run: DeviceRun) => Promise<{ step(): void; close(): void }>;
}

/**
 * Row C3: the training goes on at every await of a save, tensors, step, learning rate and generator.
 *
 * @param stride Only every so many awaits, for a short run.
 */
export async function changes(campaign: Campaign, outcome: Outcome, stride = 1): Promise<void> {
  await campaign.row("C3", "values written at every await of a save, on a made-up device", async (row) => {
    await everywhere(() => ({ device: new FakeDevice().device, isStreamed: false }), row, outcome, stride);
  });
  await campaign.row("C3", "the same without room for a copy on the GPU", async (row) => {
    await everywhere(() => ({ device: new FakeDevice().device, isStreamed: true }), row, outcome, stride);
  });
}

/** Row C3 with kernels on a real GPU, where there is one. */
export async function kernelChanges(campaign: Campaign, outcome: Outcome): Promise<void> {
  let gpu: GpuDevice;
  try {
    gpu = await GpuDevice.open(gpuTestOptions());
  } catch (error) {
    return campaign.skip(`C3 kernel steps during a save: ${(error as Error).message}`);
  }
  await campaign.row("C3", "kernel steps at every await of a save, on a real device", async (row) => {
    row.note(`${gpu.adapterName}, ${gpu.provider}`);
    await everywhere(() => ({ device: gpu.device, isStreamed: false, stepper: kernelStepper }), row, outcome);
  });
  await gpu.close();
}

async function everywhere(
  changes: () => Omit<Changes, "at">,
  row: RowRecorder,
  outcome: Outcome,
  stride = 1,
): Promise<void> {
  let points = 0;
  let refused = 0;
  for (let at = -1; at < MOST_POINTS; at += stride) {
    const end = await saveDuring({ ...changes(), at }, row, outcome);
    if (end === undefined) return row.note(`${points} times; ${refused} of them the save was refused`);
    points++;
    row.point();
    if (end !== "committed") refused++;
  }
  row.fail(`a save of ${MOST_POINTS} awaits never ends`);
}

/** What became of one save; `undefined` when it was over before a change. */
async function saveDuring(
  { device, at, isStreamed, stepper }: Changes,
  row: RowRecorder,
  outcome: Outcome,
): Promise<string | undefined> {
  let count = -Infinity;
  let changed = 0;
  let change = (): void => {};
  const pass = (): void => {
    if (count++ === at || (at < 0 && count > 0)) change();
  };
  const inner = new MemoryStorage();
  const storage = new HookedStorage(inner, { before: pass, after: pass });
  const hooked = hookedDevice(device, ({ phase }) => phase === "called" ? undefined : pass());
  const options = isStreamed ? { memoryBudgetBytes: 0 } : {};
  const run = await DeviceRun.open(hooked, await engineOn(storage), options);
  const kernel = await stepper?.(run);
  change = () => {
    changed++;
    if (kernel === undefined) run.become(1000 + changed);
    else {
      kernel.step();
      run.becomeOnHost(1000 + changed);
    }
  };
  run.become(1);
  await run.save(1);
  run.become(2);
  count = 0;
  const saving = run.save(2);
  if (at < 0 && !isStreamed) change();
  const end = await saving;
  count = -Infinity;
  const where = `changed at ${at < 0 ? "every await" : `await ${at}`}`;
  const step = await recoveredStep(await engineOn(inner));
  // Without a copy a change that comes too early is found out.
  const mayFail = isStreamed && changed > 0 && end === "state_changed";
  if (end !== "committed" && !mayFail) row.fail(`${where}: ended with ${end}`);
  if (step !== (end === "committed" ? 2 : 1)) {
    if (step === "mixed") outcome.mixed++;
    else outcome.lost++;
    row.fail(`${where}: ${end}, and ${step} was recovered`);
  }
  kernel?.close();
  await run.close();
  return changed > 0 ? end : undefined;
}

/** Multiplies and shifts tensors in place. */
async function kernelStepper({ gpu, store }: DeviceRun): Promise<{ step(): void; close(): void }> {
  const stores = WEIGHTS.map((name) => {
    const { dtype, shape, range } = store.tensor(name);
    return { value: add(mul(parameter(name, dtype, shape), 1.5), 0.25), into: range };
  });
  const program = {
    inputs: [],
    outputs: {},
    stores,
    parameters: (name: string) => store.tensor(name).range,
  };
  const executable = await Executable.compile(gpu, program, { label: "step" });
  return { step: () => executable.run({}), close: () => executable.close() };
}
