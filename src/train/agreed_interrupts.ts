import type { Agreement } from "../parallel/agreement.ts";
import type { Interrupts, InterruptSignal } from "./interrupts.ts";

/** What a training sees of signals. */
export type HeardInterrupts = Pick<Interrupts, "received" | "stopping" | "overdue">;

/**
 * Signals as ranks hear them that train together: one that any of them got, once all know of it. Until then nothing is
 * cut short for it, as the others would not do that.
 */
export class AgreedInterrupts implements HeardInterrupts {
  readonly #agreement: Agreement;
  readonly #own: Interrupts | undefined;
  readonly stopping: AbortSignal = new AbortController().signal;

  constructor(agreement: Agreement, own: Interrupts | undefined) {
    this.#agreement = agreement;
    this.#own = own;
  }

  get received(): InterruptSignal | undefined {
    const { end } = this.#agreement;
    return end === "stop" ? undefined : end;
  }

  get overdue(): AbortSignal {
    return this.#own?.overdue ?? this.stopping;
  }
}
