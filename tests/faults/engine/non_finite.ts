import { FileEngine } from "../../../src/checkpoint/engine/file_engine.ts";
import { nextTurn } from "../../../src/base/event_loop.ts";
import { GpuDevice } from "../../../src/gpu/gpu_device.ts";
import { MemoryStorage } from "../../../src/storage/memory_storage.ts";
import type { Storage } from "../../../src/storage/storage.ts";
import type { Batch, BatchRequest, BatchSource } from "../../../src/data/batch_source.ts";
import { randomNumbers } from "../../container/samples.ts";
import { CrashStorage, type DiskImage, imageKey, storageOf } from "../../helpers/crash_storage.ts";
import { gpuTestOptions } from "../../helpers/gpu.ts";
import { HookedStorage } from "../../helpers/hooked_storage.ts";
import { BATCH, blobs, type Fixture, smallRun, withTrainer } from "../../train/fixtures.ts";
import type { Campaign, RowRecorder } from "../campaign.ts";
import type { Outcome } from "./outcome.ts";

const PER_EPOCH = 7;
const EPOCHS = 2;
const STEPS = PER_EPOCH * EPOCHS;
const SEED = 20261130;
/** Turns of the event loop that each operation of a storage takes: how far a save is when the step comes. */
const DELAYS = [0, 2, 9];
const IMAGES_EACH = 3;

/** Every tensor but the control, as text. */
type Bits = Readonly<Record<string, string>>;

/** The data of the small run; the batch of one step is not finite as long as `isSpoiled`. */
class Spoiled implements BatchSource {
  readonly batchSize = BATCH;
  readonly exampleCount = PER_EPOCH * BATCH;
  readonly inputs;
  readonly labels;
  isSpoiled = true;
  readonly #inner = blobs(PER_EPOCH * BATCH, { batchSize: BATCH, shuffle: true });
  readonly #step: number;

  constructor(step: number) {
    this.#step = step;
    this.inputs = this.#inner.inputs;
    this.labels = this.#inner.labels;
  }

  batchAt(request: BatchRequest): Batch {
    const batch = this.#inner.batchAt(request);
    const step = request.epoch * PER_EPOCH + request.position;
    if (this.isSpoiled && step === this.#step) (batch.inputs as Float32Array)[7] = NaN;
    return batch;
  }
}

/** Rows N1 and N2: a step that is not finite, while saves are under way, and a power cut at any moment of that. */
export async function nonFinite(campaign: Campaign, outcome: Outcome, every = 1): Promise<void> {
  const gpu = await GpuDevice.open(gpuTestOptions()).catch(() => undefined);
  if (gpu === undefined) return campaign.skip("N1, N2: no adapter");
  try {
    let known: Promise<Bits[]> | undefined;
    const cleanBits = (): Promise<Bits[]> => known ??= cleanRun(gpu);
    await campaign.row("N1", "a step that is not finite at every step, saves under way", async (row) => {
      const clean = await cleanBits();
      for (let step = 0; step < STEPS; step += every) {
        for (const turns of DELAYS) await stopAt(gpu, { step, turns, clean, row, outcome });
      }
    });
    await campaign.row("N2", "a power cut in a run that such a step stops", async (row) => {
      const clean = await cleanBits();
      for (const step of [1, 4, 8].slice(0, every === 1 ? 3 : 1)) {
        await cutAround(gpu, { step, clean, row, outcome });
      }
    });
  } finally {
    await gpu.close();
  }
}

interface Case {
  readonly step: number;
  readonly clean: readonly Bits[];
  readonly row: RowRecorder;
  readonly outcome: Outcome;
}

/** What the tensors are after each number of steps of a run that is not disturbed. */
async function cleanRun(gpu: GpuDevice): Promise<Bits[]> {
  return await withTrainer(gpu, smallRun({ data: new Spoiled(-1) }), async (made) => {
    await made.trainer.evaluate(new Spoiled(-1));
    const bits = [await bitsOf(made)];
    const onStep = async (): Promise<void> => void bits.push(await bitsOf(made));
    await made.trainer.train({ epochs: EPOCHS, progress: false, onStep });
    return bits;
  });
}

async function bitsOf({ tensors }: Fixture): Promise<Bits> {
  const { "trainer.control": _, ...rest } = await tensors();
  return rest;
}

function isSame(found: Bits, expected: Bits | undefined): boolean {
  return JSON.stringify(found) === JSON.stringify(expected);
}

/** Trains with a save after every step until the step that is not finite stops it. */
async function stopped(
  gpu: GpuDevice,
  data: Spoiled,
  storage: Storage,
  body: (made: Fixture, code: unknown) => Promise<void>,
  onSave: (step: number) => void = () => {},
): Promise<void> {
  await withTrainer(gpu, smallRun({ data }), async (made) => {
    const savePath = await FileEngine.open(storage);
    made.trainer.autoSave({ everySteps: 1, name: "s{step}", stepName: "s{step}", savePath });
    const code = await made.trainer.train({
      epochs: EPOCHS,
      progress: false,
      onSave: ({ step }) => onSave(step),
    }).then(() => "ended", (error: { code?: string }) => error.code);
    await body(made, code);
  });
}

async function stopAt(
  gpu: GpuDevice,
  { step, turns, clean, row, outcome }: Case & { readonly turns: number },
): Promise<void> {
  row.point();
  const where = `step ${step}, ${turns} turns`;
  const inner = new MemoryStorage();
  const slow = new HookedStorage(inner, {
    before: async () => {
      for (let turn = 0; turn < turns; turn++) await nextTurn();
    },
  });
  const data = new Spoiled(step);
  await stopped(gpu, data, slow, async (made, code) => {
    const { trainer } = made;
    if (code !== "non_finite") row.fail(`${where}: ended with ${code}`);
    if (trainer.step !== step) row.fail(`${where}: the run is at step ${trainer.step}`);
    if (!isSame(await bitsOf(made), clean[step])) {
      outcome.mixed++;
      row.fail(`${where}: a tensor has changed`);
    }
    const recovered = await recoveredStep(gpu, inner, clean);
    if (recovered === "mixed") outcome.mixed++;
    if (recovered !== step) row.fail(`${where}: recovery gives ${recovered}`);
    // And back: the same trainer goes on with a mended batch.
    data.isSpoiled = false;
    await trainer.train({ epochs: EPOCHS, progress: false });
    if (!isSame(await bitsOf(made), clean[STEPS])) row.fail(`${where}: what follows has other bits`);
  });
}

/** The step that a new process goes on from; "mixed" for one whose tensors no undisturbed run had. */
async function recoveredStep(
  gpu: GpuDevice,
  storage: Storage,
  clean: readonly Bits[],
): Promise<number | "mixed"> {
  return await withTrainer(gpu, smallRun({ data: new Spoiled(-1) }), async (made) => {
    made.trainer.autoSave({ everySteps: 1, savePath: await FileEngine.open(storage) });
    const { resumedFrom, step } = await made.trainer.resume();
    if (resumedFrom === null) return 0;
    return isSame(await bitsOf(made), clean[step]) ? step : "mixed";
  });
}

/** Looks at the disks that a power cut leaves after each operation of a run that `step` stops. */
async function cutAround(gpu: GpuDevice, { step, clean, row, outcome }: Case): Promise<void> {
  const random = randomNumbers(SEED + step);
  const disks = new Map<string, { readonly image: DiskImage; readonly committed: number }>();
  let committed = 0;
  const crash = new CrashStorage();
  const watched = new HookedStorage(crash, {
    after: () => {
      for (const image of crash.images("weak", IMAGES_EACH, random)) {
        const key = imageKey(image);
        if (!disks.has(key)) disks.set(key, { image, committed });
      }
    },
  });
  await stopped(
    gpu,
    new Spoiled(step),
    watched,
    (_, code) =>
      Promise.resolve(code === "non_finite" ? undefined : row.fail(`step ${step}: ended with ${code}`)),
    (saved) => committed = Math.max(committed, saved),
  );
  for (const [key, { image, committed: atLeast }] of disks) {
    row.point();
    outcome.images.add(key);
    const recovered = await recoveredStep(gpu, await storageOf(image), clean);
    if (recovered === "mixed") outcome.mixed++;
    else if (recovered < atLeast) outcome.lost++;
    else if (recovered <= step) continue;
    row.fail(`step ${step}: ${atLeast} was committed, and recovery gives ${recovered}`);
  }
  row.note(`step ${step}: ${disks.size} disks`);
}
