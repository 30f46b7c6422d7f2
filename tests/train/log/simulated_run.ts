import type { Callback, CallbackEvent, CallbackRun } from "../../../src/train/callbacks/callback.ts";
import { type EpochRecord, TrainingHistory } from "../../../src/train/loop/history.ts";
import type { SaveRecord } from "../../../src/train/saves/scheduled_saves.ts";

export const STEPS_PER_EPOCH = 5;
const VALIDATED_EVERY = 3;
const SAVED_EVERY = 4;

/** The loss of a step, from 0; one batch was skipped. */
export function lossOf(step: number, seed = 0): number {
  return step === 6 ? NaN : Math.fround(1 / (step + 1 + seed));
}

export function recordAt(step: number): EpochRecord {
  return { epoch: Math.ceil(step / STEPS_PER_EPOCH), step, metrics: { loss: 1 / step, val_loss: 2 / step } };
}

/** A run without a GPU that tells one callback of what a real one would. A checkpoint is any of its steps. */
export class SimulatedRun {
  readonly history: TrainingHistory = new TrainingHistory();
  readonly warnings: string[] = [];
  readonly #callback: Callback;
  readonly #seed: number;
  #step = 0;
  #told = 0;
  /** The step that it was restored at: what is saved already is not saved again. */
  #begun = 0;
  #resumedFrom: string | undefined;

  constructor(callback: Callback, seed = 0) {
    this.#callback = callback;
    this.#seed = seed;
  }

  /** A run that goes on from a checkpoint, whose callbacks were told of the losses of `told` steps. */
  static resumed(callback: Callback, step: number, told: number, seed = 0): SimulatedRun {
    const run = new SimulatedRun(callback, seed);
    for (let done = 0; done < step; done++) run.#compute();
    run.#told = Math.min(told, step);
    run.#begun = step;
    run.#resumedFrom = `step-${step}`;
    return run;
  }

  /** Trains until `to` steps are done; `killed` is a process that ends without a word. */
  async train(to: number, { killed = false }: { readonly killed?: boolean } = {}): Promise<void> {
    const callback = this.#callback;
    await callback.onStart?.({ ...this.#event, resumedFrom: this.#resumedFrom });
    this.#resumedFrom = undefined;
    await this.#tell(this.#step);
    while (this.#step < to) {
      const record = this.#compute();
      if (this.#step % 2 === 0) await this.#tell(this.#step - 2);
      if (record !== undefined) {
        await this.#tell(this.#step);
        const isEpoch = this.#step % STEPS_PER_EPOCH === 0;
        if (isEpoch) await callback.onEpoch?.({ ...this.#event, ...record });
        else await callback.onValidation?.({ ...this.#event, ...record });
      }
      // It becomes durable two steps later.
      const saved = this.#step - 2;
      if (saved > this.#begun && saved % SAVED_EVERY === 0) {
        await callback.onSave?.({ ...this.#event, ...saveOf(saved) });
      }
    }
    if (killed) return;
    await this.#tell(this.#step);
    await callback.onEnd?.({ ...this.#event, endedBy: "end" });
  }

  /** One step, and what is measured after it. */
  #compute(): EpochRecord | undefined {
    this.history.write(this.#step, Float32Array.of(lossOf(this.#step, this.#seed)), {
      a: Float32Array.of(Math.fround(this.#step + 0.1)),
    });
    this.#step++;
    const record = recordAt(this.#step);
    if (this.#step % STEPS_PER_EPOCH === 0) {
      this.history.addEpoch(record);
      return record;
    }
    if (this.#step % VALIDATED_EVERY !== 0) return undefined;
    this.history.addValidation(record);
    return record;
  }

  async #tell(end: number): Promise<void> {
    if (end <= this.#told) return;
    const step = this.#told;
    this.#told = end;
    const losses = this.history.lossesBetween(step, end);
    await this.#callback.onLosses?.({ ...this.#event, step, losses });
  }

  get #event(): CallbackEvent {
    const run: Partial<CallbackRun> = {
      step: this.#step,
      epoch: Math.floor(this.#step / STEPS_PER_EPOCH),
      history: this.history,
      termNames: ["a"],
      metricNames: ["loss", "val_loss"],
      learningRateAt: (step) => 0.5 / (1 + step),
      progress: {
        step: this.#step,
        totalSteps: 18,
        epoch: 1,
        totalEpochs: 4,
        examples: 0,
        loss: undefined,
        metrics: {},
        saves: 0,
      },
    };
    return { run: run as CallbackRun, stop: () => {}, warn: (message) => void this.warnings.push(message) };
  }
}

function saveOf(step: number): SaveRecord {
  const save = { tag: `step-${step}`, path: `step-${step}.cairn`, step, stallMs: 1.5, durationMs: 20 };
  return { ...save, report: { written: { fileBytes: 100 } } as unknown as SaveRecord["report"] };
}
