import type { Checkpoint } from "../../../src/checkpoint/file/checkpoint.ts";
import type { Engine } from "../../../src/checkpoint/engine/engine.ts";
import { recover } from "../../../src/checkpoint/keep/recovery.ts";
import { Snapshot } from "../../../src/checkpoint/snapshot.ts";
import type { SnapshotOptions } from "../../../src/checkpoint/snapshot_options.ts";
import { GpuDevice } from "../../../src/gpu/gpu_device.ts";
import type { TensorStore } from "../../../src/tensor/tensor_store.ts";
import { counterRandom, fillStore, smallStore } from "../../checkpoint/fixtures.ts";

const GENERATOR_WORDS = 6;
const HANG_MS = 120_000;

/** The part of a run's state that the host has. Every number in it follows from the step. */
interface HostPart {
  readonly counters: { step: number; learningRate: number };
  readonly generator: Uint32Array;
}

/**
 * A training in small on a device that may fail: tensors in four slabs, a step, a learning rate, and a generator's
 * words.
 */
export class DeviceRun {
  readonly gpu: GpuDevice;
  readonly store: TensorStore;
  readonly snapshot: Snapshot;
  readonly #host: HostPart = {
    counters: { step: 0, learningRate: 0 },
    generator: new Uint32Array(GENERATOR_WORDS),
  };

  private constructor(gpu: GpuDevice, engine: Engine, options: SnapshotOptions) {
    this.gpu = gpu;
    this.store = smallStore(gpu);
    this.snapshot = new Snapshot(engine, { store: this.store, ...this.#host }, options);
  }

  static async open(device: GPUDevice, engine: Engine, options: SnapshotOptions = {}): Promise<DeviceRun> {
    return new DeviceRun(await GpuDevice.open({ device }), engine, options);
  }

  /** Makes all of the state that of a step. */
  become(step: number): void {
    fillStore(this.store, step);
    this.becomeOnHost(step);
  }

  /** Makes what is on the host that of a step. */
  becomeOnHost(step: number): void {
    const { counters, generator } = this.#host;
    counters.step = step;
    counters.learningRate = 1 / (1 + step);
    generator.set(generatorAt(step));
    this.snapshot.step = step;
  }

  /**
   * Saves the state as it is, under its step unless a tag is given. Resolves to "committed", "hangs", or the code of
   * the error, or what else was thrown.
   */
  save(step: number, tag: string | number = step): Promise<string> {
    return outcomeOf(this.snapshot.save(tag).then((pending) => pending.wait()));
  }

  restore(step: number): Promise<string> {
    return outcomeOf(this.snapshot.restore(step));
  }

  /** Frees everything that the run has on the device, and gives the labels of the buffers that `live` still sees. */
  async close(live: () => readonly string[] = () => []): Promise<readonly string[]> {
    await this.snapshot.close();
    await this.store.close();
    const left = live();
    await this.gpu.close();
    return left;
  }
}

/** The step of the newest checkpoint; 0 where there is none, and "mixed" for a state that no run ever had. */
export async function recoveredStep(engine: Engine): Promise<number | "mixed"> {
  const { checkpoint } = await recover(engine);
  if (checkpoint === undefined) return 0;
  try {
    return await stepOf(checkpoint);
  } finally {
    await checkpoint.close();
  }
}

/** The step that every byte of a checkpoint belongs to, or "mixed". */
export async function stepOf(checkpoint: Checkpoint): Promise<number | "mixed"> {
  const { counters, generator } = await checkpoint.state() as Partial<HostPart>;
  const step = counters?.step ?? 0;
  if (checkpoint.step !== step || counters?.learningRate !== 1 / (1 + step)) return "mixed";
  if (generator?.join() !== generatorAt(step).join()) return "mixed";
  const random = counterRandom(step);
  for (const { name, byteLength, aliasOf } of checkpoint.reader.tensors) {
    if (aliasOf !== undefined || !/^(model|optimizer)\./.test(name)) continue;
    const expected = random(byteLength);
    if (!equal(await checkpoint.reader.read(name), expected)) return "mixed";
  }
  return step;
}

function generatorAt(step: number): Uint32Array {
  return new Uint32Array(GENERATOR_WORDS).map((_, index) => Math.imul(step + 1, 0x9e3779b1 + index) >>> 0);
}

async function outcomeOf(work: Promise<unknown>): Promise<string> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<string>((resolve) => {
    timer = setTimeout(() => resolve("hangs"), HANG_MS);
  });
  const end = work.then(
    () => "committed",
    (error: unknown) => String((error as { code?: unknown }).code ?? error),
  );
  return await Promise.race([end, late]).finally(() => clearTimeout(timer));
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  return a.byteLength === b.byteLength && a.every((byte, index) => byte === b[index]);
}
