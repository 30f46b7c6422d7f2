import type { Schedule } from "../../nn/optim/schedules/schedule.ts";

/** From step `step` on, learning rates are times `scale`. */
export type RateScale = { readonly step: number; readonly scale: number };

/** By what the learning rates of a run are multiplied, from which step on: a part of its state. */
export class RateScales {
  #changes: readonly RateScale[] = [];
  #schedule: Schedule | undefined;

  /** In the order of their steps. */
  get changes(): readonly RateScale[] {
    return this.#changes;
  }

  /** The scale of each step; undefined where it is 1 for all. Another function after each change. */
  get schedule(): Schedule | undefined {
    return this.#schedule;
  }

  /** @throws RangeError for a factor that is no finite number from 0. */
  multiply(step: number, factor: number): void {
    if (!Number.isFinite(factor) || factor < 0) {
      throw new RangeError(`A learning rate is multiplied by a finite number from 0, found ${factor}`);
    }
    const scale = scaleAt(this.#changes, step) * factor;
    this.replace([...this.#changes.filter((change) => change.step < step), { step, scale }]);
  }

  replace(changes: readonly RateScale[]): void {
    this.#changes = changes;
    this.#schedule = changes.length === 0 ? undefined : (step) => scaleAt(changes, step);
  }
}

function scaleAt(changes: readonly RateScale[], step: number): number {
  return changes.findLast((change) => change.step <= step)?.scale ?? 1;
}
