import type { BufferRange } from "../gpu/buffer_range.ts";
import type { TensorStore } from "../tensor/tensor_store.ts";
import type { TrainingHistory } from "./history.ts";

/** The ring is read half by half. */
const HALF = 32;
const CAPACITY = 2 * HALF;

/** Group of the store that holds the ring. */
export const TRAINER_GROUP = "trainer";
/** Full name of the ring's tensor. */
export const LOSS_RING: string = `${TRAINER_GROUP}.loss_ring`;

/**
 * The losses of the last steps, on the GPU.
 *
 * Reading one loss a step would wait for the GPU each time. So a step copies its loss into slot `step % 64`
 * of a tensor of the store, and each half of the ring is read when it is full, while the other half fills;
 * the training loop waits only if the read of the half before is not done by then, which also bounds how far
 * it can run ahead of the GPU. As the ring is in the store, a snapshot has the losses that the host has not
 * read yet: saving waits for no read, and the history of a resumed run is complete.
 */
export class LossRing {
  /** How many of the last losses it holds. */
  static readonly capacity: number = CAPACITY;
  readonly #store: TensorStore;
  readonly #history: TrainingHistory;
  #reading: Promise<void> = Promise.resolve();

  /** Defines the ring's tensor in the store. */
  constructor(store: TensorStore, history: TrainingHistory) {
    this.#store = store;
    this.#history = history;
    store.define(TRAINER_GROUP, [{ name: "loss_ring", dtype: "f32", shape: [CAPACITY] }]);
  }

  /** Where the loss of `step` goes. */
  slotOf(step: number): BufferRange {
    return this.#slots(step % CAPACITY, 1);
  }

  /** To be awaited after every step, with the number of steps done. Almost always resolves at once. */
  async advance(stepsDone: number): Promise<void> {
    if (stepsDone % HALF !== 0) return;
    await this.#reading;
    this.#reading = this.#read(stepsDone - HALF, stepsDone);
    // Its failure belongs to whoever awaits it, which is the next call or nobody.
    this.#reading.catch(() => undefined);
  }

  /** Resolves when no read is under way, whether it failed or not. */
  async settled(): Promise<void> {
    await this.#reading.catch(() => undefined);
    this.#reading = Promise.resolve();
  }

  /** Reads every loss of the first `stepsDone` steps that the history does not have yet. */
  async drain(stepsDone: number): Promise<void> {
    await this.#reading;
    await this.#read(this.#history.length, stepsDone);
  }

  /**
   * How many losses a checkpoint of `stepsDone` steps takes from the history; the ring in its tensors has the
   * others. The number depends on nothing but the step, so that two runs write the same checkpoint however
   * far their reads had come.
   */
  static historyLengthAt(stepsDone: number): number {
    return Math.max(0, Math.floor(stepsDone / HALF) - 1) * HALF;
  }

  /**
   * The losses of the first `stepsDone` steps, of which a checkpoint's history has those up to {@link historyLengthAt} and its ring
   * the others.
   */
  static join(history: Float32Array, ring: Float32Array, stepsDone: number): Float32Array {
    const losses = new Float32Array(stepsDone);
    losses.set(history);
    for (let step = history.length; step < stepsDone; step++) losses[step] = ring[step % CAPACITY] ?? NaN;
    return losses;
  }

  async #read(from: number, to: number): Promise<void> {
    if (from >= to) return;
    const start = from % CAPACITY;
    const first = Math.min(to - from, CAPACITY - start);
    const ranges = [this.#slots(start, first)];
    if (first < to - from) ranges.push(this.#slots(0, to - from - first));
    let step = from;
    for (const bytes of await this.#store.gpu.read(ranges)) {
      const losses = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
      this.#history.write(step, losses);
      step += losses.length;
    }
  }

  #slots(start: number, count: number): BufferRange {
    // Asked for each time: after a lost device it is elsewhere.
    const { buffer, offset } = this.#store.tensor(LOSS_RING).range;
    return { buffer, offset: offset + 4 * start, size: 4 * count };
  }
}
