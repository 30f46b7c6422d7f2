import type { Engine } from "../../../src/checkpoint/engine/engine.ts";
import { loadCheckpoint } from "../../../src/checkpoint/compat/load_checkpoint.ts";
import { Snapshot } from "../../../src/checkpoint/snapshot.ts";
import { GpuDevice } from "../../../src/gpu/gpu_device.ts";
import { MemoryStorage } from "../../../src/storage/memory_storage.ts";
import { storageError } from "../../../src/storage/storage_error.ts";
import { gpuTestOptions } from "../../helpers/gpu.ts";
import { HookedStorage } from "../../helpers/hooked_storage.ts";
import { hookedDevice } from "../../helpers/hooked_device.ts";
import { BATCH, blobs, engineOn, type Fixture, fixture } from "../../train/fixtures.ts";
import type { Campaign, RowRecorder } from "../campaign.ts";

/** A way to load, and what it loads into. */
interface Preset {
  readonly name: string;
  load(made: Fixture, engine: Engine, state: { epoch: number }, signal: AbortSignal): Promise<unknown>;
}

const PRESETS: readonly Preset[] = [
  { name: "Trainer.load", load: ({ trainer }, _, __, signal) => trainer.load("saved", { signal }) },
  {
    name: "Trainer.load of some",
    load: ({ trainer }, _, __, signal) => trainer.load("saved", { signal, only: ["model.*"] }),
  },
  { name: "Trainer.resume", load: ({ trainer }, _, __, signal) => trainer.resume({ signal }) },
  {
    name: "Snapshot.restore",
    load: ({ store }, engine, state, signal) => {
      return new Snapshot(engine, Object.assign(state, { store })).restore("saved", {
        signal,
        strict: false,
      });
    },
  },
  {
    name: "loadCheckpoint",
    load: ({ store }, engine, _, signal) => loadCheckpoint(engine, { store }, { tag: "saved", signal }),
  },
];

const MOST_POINTS = 2000;

/** Row K3: loads that fail at every await, by an error of the disk or an abort. Everything has to be as it was. */
export async function loads(campaign: Campaign, stride = 1): Promise<void> {
  const gpu = await GpuDevice.open(gpuTestOptions()).catch(() => undefined);
  if (gpu === undefined) return campaign.skip("K3: loads that fail at every await need a GPU");
  const files = new MemoryStorage();
  const before = fixture(gpu);
  before.trainer.autoSave({ savePath: await engineOn(files) });
  await before.trainer.train({ epochs: 1, progress: false });
  await before.trainer.save("saved");
  await before.close();
  for (const preset of PRESETS) {
    await campaign.row("K3", `a load that fails at every await: ${preset.name}`, async (row) => {
      for (const fault of ["abort", "error"] as const) {
        let at = 0;
        while (at < MOST_POINTS && await failAt(preset, fault, at, { gpu, files }, row)) at += stride;
        row.note(`${at} points: ${fault}`);
      }
    });
  }
  await gpu.close();
}

/** @returns Whether the load came as far as point `at`. */
async function failAt(
  preset: Preset,
  fault: "abort" | "error",
  at: number,
  { gpu, files }: { readonly gpu: GpuDevice; readonly files: MemoryStorage },
  row: RowRecorder,
): Promise<boolean> {
  const controller = new AbortController();
  let isArmed = false;
  let point = 0;
  let where: string | undefined;
  const reach = (name: string, fail?: () => never): void => {
    if (!isArmed || where !== undefined) return;
    if (fault === "error" && fail === undefined) return;
    if (point++ < at) return;
    where = name;
    if (fault === "abort") controller.abort(new Error("enough"));
    else fail?.();
  };
  const storage = new HookedStorage(files, {
    before: ({ op, path }) =>
      reach(`before ${op} ${path}`, () => {
        throw storageError(op, path, Object.assign(new Error("EIO"), { code: "EIO" }));
      }),
    after: ({ op, path }) => reach(`after ${op} ${path}`),
  });
  const device = await GpuDevice.open({
    device: hookedDevice(gpu.device, ({ op, phase }) => reach(`${op} ${phase}`)),
  });
  const made = fixture(device);
  const engine = await engineOn(storage);
  const state = { epoch: 5 };
  made.trainer.autoSave({ savePath: engine });
  // So that the weights are there by then.
  await made.trainer.evaluate(blobs(8, { batchSize: BATCH }));
  const look = async (): Promise<string> => JSON.stringify(await seen(made, engine, state));
  const then = await look();
  isArmed = true;
  const outcome: unknown = await preset.load(made, engine, state, controller.signal).then(
    () => "loaded",
    (error) => error,
  );
  isArmed = false;
  const reached = where;
  if (reached !== undefined) {
    row.point();
    const now = await look();
    if (outcome !== "loaded" && now !== then) {
      row.fail(`${preset.name}, ${fault} ${reached}: something changed`);
    }
    if (outcome === "loaded" && now === then && preset.name !== "loadCheckpoint") {
      row.fail(`${preset.name}, ${fault} ${reached}: it says that it loaded, and nothing changed`);
    }
  }
  await made.close();
  await device.close();
  return reached !== undefined;
}

async function seen(
  { trainer, tensors }: Fixture,
  engine: Engine,
  state: { epoch: number },
): Promise<unknown> {
  const { step, epoch, history } = trainer;
  return {
    step,
    epoch,
    loss: [...history.loss],
    epochs: history.epochs,
    tensors: await tensors(),
    run: [engine.runId, engine.resumedFrom],
    state: state.epoch,
  };
}
