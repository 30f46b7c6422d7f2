import { digitsCnnTrainer } from "../../examples/digits_cnn/trainer.ts";
import { loadDigits } from "../../examples/digits/digits.ts";
import { loadMobyDick } from "../../examples/language/text.ts";
import { languageTrainer } from "../../examples/language/trainer.ts";
import type { GpuDevice } from "../../src/gpu/gpu_device.ts";
import { HostTensor } from "../../src/tensor/host_tensor.ts";
import { TensorStore } from "../../src/tensor/tensor_store.ts";
import { assertResumeExact } from "../../src/train/assert_resume_exact.ts";
import type { Precision } from "../../src/train/step/precision.ts";
import type { Trainer } from "../../src/train/trainer.ts";
import { median } from "../interleaved.ts";
import type { MeasureRows, UseRow } from "./row.ts";

const SEEDS = [1, 2, 3];
/** Before the overflow, and behind it. */
const [CALM, DISTURBED] = [100, 100];
/** No gradient of these examples is finite with it, and the largest that there is. */
const INJECTED_SCALE = 2 ** 24;

/** What is trained, as its example trains it. */
interface Job {
  readonly name: string;
  readonly steps: number;
  readonly open: (store: TensorStore, precision: Precision, seed: number) => Promise<Trainer>;
}

/** A training at its end. */
interface End {
  /** Of held-out examples. */
  readonly loss: number;
  /** Bytes of what a step keeps for its way back. */
  readonly activations: number;
}

/**
 * The digits CNN and the small transformer in bf16 beside f32: held-out loss at the same step, with the same seeds;
 * memory of activations; whether a run resumes with the same bits. And f16 after an overflow of its scaled gradients.
 */
export const precisionRows: MeasureRows = async () => {
  await using store = await TensorStore.open();
  const { gpu } = store;
  const [digits, text] = [await loadDigits(1), await loadMobyDick(16_384)];
  const jobs: readonly Job[] = [
    {
      name: "digits CNN",
      steps: 500,
      open: (own, precision, seed) =>
        Promise.resolve(digitsCnnTrainer(own, digits, { steps: 500, precision, seed })),
    },
    {
      name: "transformer",
      steps: 300,
      open: (own, precision, seed) => languageTrainer(own, text, { steps: 300, precision, seed }),
    },
  ];
  const rows: UseRow[] = [];
  for (const job of jobs) {
    rows.push(...await besideF32(gpu, job), await resumed(gpu, job), ...await recovered(gpu, job));
  }
  return rows;
};

async function besideF32(gpu: GpuDevice, job: Job): Promise<UseRow[]> {
  const ends: { readonly f32: End; readonly bf16: End }[] = [];
  for (const seed of SEEDS) {
    ends.push({ f32: await endOf(gpu, job, "f32", seed), bf16: await endOf(gpu, job, "bf16", seed) });
  }
  /** As a part of what is permitted. */
  const apart = ends.map(({ f32, bf16 }) => Math.abs(bf16.loss - f32.loss) / allowed(f32.loss))
    .sort((a, b) => a - b);
  const [first] = ends;
  const [full, half] = [first?.f32.activations ?? NaN, first?.bf16.activations ?? NaN];
  const losses = ends.map(({ f32, bf16 }) => `${bf16.loss.toFixed(4)} and ${f32.loss.toFixed(4)}`).join(", ");
  return [
    {
      name: `bf16, ${job.name}: held-out loss from that of f32`,
      measured: median(apart),
      target: 1,
      bound: "at most",
      spread: (apart.at(-1) ?? NaN) - (apart[0] ?? NaN),
      detail:
        `in units of max(1 %, 0.005), median of ${SEEDS.length} seeds after ${job.steps} steps; bf16 and ` +
        `f32: ${losses}; ${gpu.adapterName}`,
    },
    {
      name: `bf16, ${job.name}: memory of activations by that of f32`,
      measured: half / full,
      target: 0.5,
      bound: "at most",
      spread: 0,
      detail: `${kib(half)} and ${kib(full)} KiB`,
    },
  ];
}

/** How far losses may be apart. */
function allowed(loss: number): number {
  return Math.max(0.01 * loss, 0.005);
}

async function endOf(gpu: GpuDevice, job: Job, precision: Precision, seed: number): Promise<End> {
  return await withTrainer(gpu, job, precision, seed, async (trainer) => {
    const { memory } = await trainer.explain({ times: false });
    await trainer.train({ steps: job.steps, progress: false });
    return { loss: (await trainer.evaluate()).loss, activations: memory.activations };
  });
}

/** Throws where a bit differs: such a row measures nothing. */
async function resumed(gpu: GpuDevice, job: Job): Promise<UseRow> {
  const steps = 8;
  await withTrainer(gpu, job, "bf16", 1, (trainer) => assertResumeExact(trainer, { steps }));
  return {
    name: `bf16, ${job.name}: tensors that differ after a resume`,
    measured: 0,
    target: 0,
    bound: "at most",
    spread: 0,
    detail: `${2 * steps} steps, and ${steps}, a save, a load and ${steps} more; every bit is compared`,
  };
}

/**
 * Makes the gradients of a run in f16 overflow, by the scale of its loss, and trains on. Each halving of the scale is a
 * step without an update, and the run ends as one that had so many steps less.
 */
async function recovered(gpu: GpuDevice, job: Job): Promise<UseRow[]> {
  return await withTrainer(gpu, job, "f16", 1, async (trainer) => {
    await trainer.train({ steps: CALM, progress: false });
    const { loss: before } = await trainer.evaluate();
    const updates = await word(trainer, "trainer.control", 2);
    const words = new Uint32Array(2);
    new Float32Array(words.buffer)[0] = INJECTED_SCALE;
    trainer.store.write({ "trainer.loss_scale": HostTensor.from(words) });
    await trainer.train({ steps: CALM + DISTURBED, progress: false });
    const { loss: after } = await trainer.evaluate();
    const scale = new Float32Array(Uint32Array.of(await word(trainer, "trainer.loss_scale", 0)).buffer)[0];
    const halvings = Math.log2(INJECTED_SCALE / (scale ?? NaN));
    const lost = DISTURBED - (await word(trainer, "trainer.control", 2) - updates);
    const areFinite = trainer.history.loss.every(Number.isFinite) && Number.isFinite(after);
    if (!areFinite) throw new Error("A loss is not finite after the overflow");
    if (lost === 0) throw new Error(`A scale of ${INJECTED_SCALE} made nothing overflow`);
    return [
      {
        name: `f16, ${job.name}: steps lost to an overflow by halvings`,
        measured: lost / halvings,
        target: 1,
        bound: "at most",
        spread: 0,
        detail: `a scale of ${INJECTED_SCALE} is ${scale} again after ${lost} steps without an update`,
      },
      {
        name: `f16, ${job.name}: held-out loss after it by that before`,
        measured: after / before,
        target: 1,
        bound: "at most",
        spread: 0,
        detail: `${before.toFixed(4)} after ${CALM} steps, ${after.toFixed(4)} after ${CALM + DISTURBED}`,
      },
    ];
  });
}

async function word(trainer: Trainer, tensor: string, index: number): Promise<number> {
  const read = (await trainer.store.read([tensor])).get(tensor);
  return Number(new Uint32Array(Uint8Array.from(read?.bytes ?? []).buffer)[index]);
}

/** With a store of its own, as every run has. */
async function withTrainer<T>(
  gpu: GpuDevice,
  job: Job,
  precision: Precision,
  seed: number,
  work: (trainer: Trainer) => Promise<T>,
): Promise<T> {
  const store = TensorStore.on(gpu);
  const trainer = await job.open(store, precision, seed);
  try {
    return await work(trainer);
  } finally {
    await trainer.close();
    await store.close();
  }
}

function kib(bytes: number): string {
  return (bytes / 1024).toFixed(1);
}
