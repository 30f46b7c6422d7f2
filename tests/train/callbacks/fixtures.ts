import type {
  Callback,
  CallbackEvent,
  CallbackRun,
  EndEvent,
} from "../../../src/train/callbacks/callback.ts";
import { TrainingHistory } from "../../../src/train/loop/history.ts";
import { HostTensor } from "../../../src/tensor/host_tensor.ts";

/** A run without a GPU, for one callback: its weights are one number, that of the epoch. */
export class FakeRun {
  readonly history: TrainingHistory = new TrainingHistory();
  scale = 1;
  epoch = 0;
  weights = 0;
  stopped: string | undefined;
  readonly #callback: Callback;

  constructor(callback: Callback) {
    this.#callback = callback;
  }

  get #event(): CallbackEvent {
    const run: Partial<CallbackRun> = {
      metricNames: ["loss", "val_loss", "val_f1"],
      history: this.history,
      scaleLearningRate: (factor) => void (this.scale *= factor),
      readWeights: () => Promise.resolve(new Map([["model.w", HostTensor.from([this.weights])]])),
      writeWeights: (weights) => void (this.weights = weights.get("model.w")?.toArray()[0] as number),
    };
    return {
      run: run as CallbackRun,
      stop: (reason) => void (this.stopped ??= reason ?? ""),
      warn: () => {},
    };
  }

  async start(): Promise<void> {
    await this.#callback.onStart?.({ ...this.#event, resumedFrom: undefined });
  }

  /** One epoch that measures so. Says whether the callback asked for the end. */
  async train(metrics: Readonly<Record<string, number>>): Promise<boolean> {
    this.weights = ++this.epoch;
    await this.#callback.onEpoch?.({ ...this.#event, epoch: this.epoch, step: this.epoch, metrics });
    return this.stopped !== undefined;
  }

  async end(endedBy: EndEvent["endedBy"]): Promise<void> {
    await this.#callback.onEnd?.({ ...this.#event, endedBy });
  }
}

/** How many of these epochs are trained before the callback ends it; all of them if it does not. */
export async function epochsUntilStop(run: FakeRun, losses: readonly number[]): Promise<number> {
  let done = 0;
  for (const val_loss of losses) {
    done++;
    if (await run.train({ val_loss })) break;
  }
  return done;
}
