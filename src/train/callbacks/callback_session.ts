import type { WorkProgress } from "../../base/work.ts";
import type { EpochRecord } from "../loop/history.ts";
import type { SaveRecord } from "../saves/scheduled_saves.ts";
import type { Callback, CallbackEvent, CallbackRun, EndEvent } from "./callback.ts";
import { callbackFailed, type CallbackList } from "./callback_list.ts";

/** Which callback ended a training, and why. */
export interface StopRequest {
  /** The name of the callback. */
  readonly callback: string;
  /** What it said. */
  readonly reason?: string | undefined;
}

/**
 * Tells callbacks of one training. One that throws keeps no other from being told; the first error is thrown, where
 * something waits for it, or by {@link CallbackSession.throwIfFailed}.
 */
export class CallbackSession {
  readonly #list: CallbackList;
  readonly #all: readonly Callback[];
  readonly #run: CallbackRun;
  readonly #warn: (message: string) => void;
  #stopRequest: StopRequest | undefined;
  #failure: { readonly error: unknown } | undefined;
  /** What was returned by calls that nothing waits for. */
  #background: Promise<void> = Promise.resolve();

  /**
   * @param told Those of the list that are told.
   * @param others Are told as well, and have no state in checkpoints.
   * @param warn Where warnings of callbacks go.
   */
  constructor(
    list: CallbackList,
    told: readonly Callback[],
    others: readonly Callback[],
    run: CallbackRun,
    warn: (message: string) => void,
  ) {
    this.#warn = warn;
    this.#list = list;
    this.#all = [...told, ...others];
    this.#run = run;
  }

  /** The first one that asked for the end of the training. */
  get stopRequest(): StopRequest | undefined {
    return this.#stopRequest;
  }

  /** Their states are loaded, and then they are told. */
  async start(resumedFrom: string | undefined): Promise<void> {
    await this.#list.load();
    await this.#tell("onStart", (callback, event) => callback.onStart?.({ ...event, resumedFrom }));
    await this.losses(this.#run.history.length);
  }

  step(): void {
    this.#mention("onStep", (callback, event) => callback.onStep?.(event));
  }

  /** The losses of the steps before step `end` that were not told yet, as far as they are known. */
  async losses(end: number): Promise<void> {
    const { history } = this.#run;
    const step = this.#list.told;
    const known = Math.min(end, history.length);
    if (known <= step) return;
    this.#list.told = known;
    await this.#tell("onLosses", (callback, event) => {
      if (callback.onLosses === undefined) return;
      // A copy for each, which is its own.
      return callback.onLosses({ ...event, step, losses: history.lossesBetween(step, known) });
    });
  }

  async epoch(record: EpochRecord): Promise<void> {
    await this.#tell("onEpoch", (callback, event) => callback.onEpoch?.({ ...event, ...record }));
  }

  async validation(record: EpochRecord): Promise<void> {
    await this.#tell("onValidation", (callback, event) => callback.onValidation?.({ ...event, ...record }));
  }

  compile(progress: WorkProgress): void {
    this.#mention("onCompile", (callback) => callback.onCompile?.(progress));
  }

  saving(): void {
    this.#mention("onSaving", (callback, event) => callback.onSaving?.(event));
  }

  save(record: SaveRecord): void {
    this.#mention("onSave", (callback, event) => callback.onSave?.({ ...event, ...record }));
  }

  warning(message: string): void {
    this.#mention("onWarning", (callback) => callback.onWarning?.(message));
  }

  /** When all that they do in the background is done. */
  async end(end: Pick<EndEvent, "endedBy" | "error">): Promise<void> {
    await this.#background;
    await this.#tell("onEnd", (callback, event) => callback.onEnd?.({ ...event, ...end }));
    this.throwIfFailed();
  }

  /** Throws what one threw when nothing waited for it. */
  throwIfFailed(): void {
    const failed = this.#failure;
    this.#failure = undefined;
    if (failed !== undefined) throw failed.error;
  }

  async #tell(
    what: string,
    call: (callback: Callback, event: CallbackEvent) => void | Promise<void>,
  ): Promise<void> {
    const failures: unknown[] = [];
    for (const callback of this.#all) {
      try {
        await call(callback, this.#eventOf(callback));
      } catch (error) {
        failures.push(callbackFailed(callback, `failed in ${what}`, error));
      }
    }
    if (failures.length > 0) throw failures[0];
  }

  #mention(
    what: string,
    call: (callback: Callback, event: CallbackEvent) => void | Promise<void>,
  ): void {
    for (const callback of this.#all) {
      const fail = (error: unknown): void => {
        this.#failure ??= { error: callbackFailed(callback, `failed in ${what}`, error) };
      };
      try {
        const returned = call(callback, this.#eventOf(callback));
        if (returned === undefined) continue;
        const settled = Promise.resolve(returned).catch(fail);
        this.#background = this.#background.then(() => settled);
      } catch (error) {
        fail(error);
      }
    }
  }

  #eventOf({ name }: Callback): CallbackEvent {
    return {
      run: this.#run,
      stop: (reason) => {
        this.#stopRequest ??= { callback: name, reason };
      },
      warn: this.#warn,
    };
  }
}
