import { CairnError } from "../base/errors.ts";
import type { ProcessGroup } from "../checkpoint/ranks/process_group.ts";
import { type DataParallelOptions, groupOf } from "./data_parallel_options.ts";
import type { Message } from "./shard_reduction.ts";

/** Why a training is to end: a signal came, or somebody asked for it. */
export type EndWish = "SIGINT" | "SIGTERM" | "stop";

/** What one rank knows that all are to act upon. */
export interface Wish {
  readonly end?: EndWish | undefined;
  /** Whether it is known here that a step was not finite, and stopped the run. */
  readonly hasStopped?: boolean | undefined;
}

/** In order of rank: what ends a process comes first. */
const ENDS: readonly EndWish[] = ["SIGTERM", "SIGINT", "stop"];
const STOPPED = 1 << ENDS.length;
const MESSAGE_BYTES = 8;

/**
 * What ranks that train together do at the same step, though one alone knows of it. What a rank wishes rides with what
 * it adds to the gradients of a step; all of them know it then, and act upon it after that step.
 */
export class Agreement {
  /** The ranks, where there are others. */
  readonly group: ProcessGroup | undefined;
  #wish: () => Wish = () => ({});
  #flags = 0;

  constructor(parallel: DataParallelOptions) {
    this.group = groupOf(parallel);
  }

  /** Whether there are other ranks. */
  get isShared(): boolean {
    return this.group !== undefined;
  }

  /** Begins anew, and asks `wish` before each step from now on. */
  begin(wish: () => Wish): void {
    this.#wish = wish;
    this.#flags = 0;
  }

  /** Why all end, once one of them wants that. */
  get end(): EndWish | undefined {
    return ENDS.find((_, index) => (this.#flags & (1 << index)) !== 0);
  }

  /** Whether all know that a step stopped the run. */
  get hasStopped(): boolean {
    return (this.#flags & STOPPED) !== 0;
  }

  /** What this rank tells the others before step `step`. */
  message(step: number): Message {
    const { end, hasStopped = false } = this.#wish();
    const flags = (end === undefined ? 0 : 1 << ENDS.indexOf(end)) | (hasStopped ? STOPPED : 0);
    const view = new DataView(new ArrayBuffer(MESSAGE_BYTES));
    view.setUint32(0, step, true);
    view.setUint32(4, flags, true);
    return new Uint8Array(view.buffer);
  }

  /**
   * Takes what all ranks tell before step `step`.
   *
   * @throws CairnError `state_mismatch` where one of them is at another step.
   */
  take(step: number, messages: readonly Message[]): void {
    messages.forEach((bytes, rank) => {
      const view = new DataView(bytes.buffer, bytes.byteOffset, MESSAGE_BYTES);
      const found = view.getUint32(0, true);
      if (found !== step) throw otherStep(rank, found, step);
      this.#flags |= view.getUint32(4, true);
    });
  }

  /** Has all ranks agree at once, between two steps. */
  async agree(step: number): Promise<void> {
    const message = this.message(step);
    this.take(step, await this.group?.allGather(message) ?? [message]);
  }

  /** Gives the number of rank 0, from 0 to 255, to all. It waits for that. */
  async numberOfFirst(own: number): Promise<number> {
    if (this.group === undefined) return own;
    const [first] = await this.group.allGather(Uint8Array.of(own));
    return first?.[0] ?? own;
  }

  /** Ends the group where one rank cannot go on. */
  async giveUp(error: unknown): Promise<void> {
    await this.group?.abort(error);
  }
}

function otherStep(rank: number, found: number, step: number): CairnError {
  return new CairnError(
    "state_mismatch",
    `Rank ${rank} is at step ${found}, and this rank at step ${step}; call train(), resume() and load() alike on every rank`,
    { details: { ranks: [rank], value: found } },
  );
}
