import { CairnError } from "../base/errors.ts";
import type { SaveListener } from "./saves/scheduled_saves.ts";
import type { RestoreTarget } from "./restore.ts";
import type { Run } from "./loop/run.ts";

/** What a training does when the GPU device is lost. */
export type OnDeviceLost = "error" | "rebuild";

/** So many losses without a step further than before are no accident. */
const MOST_IN_VAIN = 3;

/** Decides whether a training that failed is worth another device, and gets it one. */
export class DeviceLosses {
  readonly #run: Run;
  readonly #isRebuilding: boolean;
  #furthest = -1;
  #inVain = 0;

  /**
   * @throws TypeError when a device has to be opened by a store that did not open its own; RangeError for an unknown
   * option.
   */
  constructor(run: Run, onDeviceLost: OnDeviceLost = "error") {
    if (onDeviceLost !== "error" && onDeviceLost !== "rebuild") {
      throw new RangeError(`onDeviceLost is "error" or "rebuild", found ${JSON.stringify(onDeviceLost)}`);
    }
    this.#run = run;
    this.#isRebuilding = onDeviceLost === "rebuild";
    if (!this.#isRebuilding || run.store.canReopen) return;
    throw new TypeError(
      'onDeviceLost: "rebuild" needs a store that opened its own device, with TensorStore.open(); ' +
        "for a device of your own, catch device_lost and call recover({ gpu })",
    );
  }

  /** Whether the error came from a lost device, and the run should go on with another one. */
  async isWorthAnother(): Promise<boolean> {
    if (!this.#isRebuilding) return false;
    // A device that is about to be lost says so one turn after its last answer.
    await new Promise((resolve) => setTimeout(resolve, 0));
    if (!this.#run.isLost) return false;
    const { step } = this.#run;
    this.#inVain = step > this.#furthest ? 1 : this.#inVain + 1;
    this.#furthest = Math.max(this.#furthest, step);
    return this.#inVain < MOST_IN_VAIN;
  }

  /**
   * Goes on from the newest checkpoint on another device, and says so.
   *
   * @throws what `recoverRun` throws, with `error` as the cause where there is no checkpoint to resume from.
   */
  async recover(
    error: unknown,
    target: RestoreTarget,
    log: Pick<SaveListener, "onWarning">,
    signal?: AbortSignal,
  ): Promise<void> {
    const { step } = this.#run;
    const { recoverRun } = await import("./restore.ts");
    const report = await recoverRun(target, { signal }).catch(
      (failure: unknown) => {
        if (!(failure instanceof CairnError && failure.code === "no_checkpoint")) throw failure;
        const { code, message, details } = failure;
        throw new CairnError(code, message, { details, cause: error });
      },
    );
    log.onWarning(
      `The GPU device was lost at step ${step}: the run went on from "${report.resumedFrom}" at step ${report.step}`,
    );
    for (const warning of report.warnings) log.onWarning(warning);
  }
}
