import {
  CONTROL_TENSOR,
  groupOf,
  LOSS_SCALE_TENSOR,
  TERMS_GROUP,
  TRAINER_GROUP,
} from "../../tensor/group_names.ts";
import { CairnError } from "../../base/errors.ts";
import type { BufferRange } from "../../gpu/buffer_range.ts";
import {
  decodeStepControl,
  encodeStepControl,
  STEP_CONTROL_WORDS,
} from "../../kernels/optimizer/step_verdict.ts";
import { LOSS_SCALE_WORDS } from "../../kernels/optimizer/loss_scale.ts";
import type { TensorStore } from "../../tensor/tensor_store.ts";
import type { StepState } from "../step/step_program.ts";
import type { TrainingHistory } from "./history.ts";

/** The ring is read half by half. */
const HALF = 32;
const CAPACITY = 2 * HALF;
/** The words of a control that say that the run was stopped. */
const STOP_BYTES = 8;

/** Full name of the tensor with the last losses of a run. */
export const LOSS_RING: string = `${TRAINER_GROUP}.loss_ring`;

/** Full name of the ring of what is kept of a step under `column`, beside its loss. */
export function termRing(column: string): string {
  return `${TERMS_GROUP}.${column}`;
}

/** The bytes of a ring of which nothing is known: NaN. */
export function emptyRing(): Uint8Array {
  return new Uint8Array(new Float32Array(CAPACITY).fill(NaN).buffer);
}

/**
 * The losses of the last steps, what else is kept of them, and the control of the run, on the GPU.
 *
 * Reading one loss a step would wait for the GPU each time. So a step leaves its loss in slot `step % 64`
 * of a tensor of the store, and each half of the ring is read when it is full, while the other half fills;
 * the training loop waits only if the read of the half before is not done by then, which also bounds how far
 * it can run ahead of the GPU. As the ring is in the store, a snapshot has the losses that the host has not
 * read yet: saving waits for no read, and the history of a resumed run is complete.
 *
 * The control is read along with the losses: so the host learns of a step that was not finite, too. No checkpoint of a
 * store is committed whose control says that the run was stopped.
 */
export class LossRing {
  readonly #store: TensorStore;
  readonly #history: TrainingHistory;
  readonly #columns: readonly string[];
  readonly #owner: string | undefined;
  readonly #isScaled: boolean;
  #reading: Promise<void> = Promise.resolve();
  #stoppedStep: number | undefined;

  /**
   * Defines the tensors in the store.
   *
   * @param columns What is kept of each step beside its loss.
   * @param owner The name of the model, among several in the store.
   * @param isScaled Whether the loss is multiplied by something, which is kept, too.
   */
  constructor(
    store: TensorStore,
    history: TrainingHistory,
    columns: readonly string[] = [],
    owner?: string,
    isScaled = false,
  ) {
    this.#store = store;
    this.#history = history;
    this.#columns = columns;
    this.#owner = owner;
    store.define(groupOf(owner, TRAINER_GROUP), [
      { name: "loss_ring", dtype: "f32", shape: [CAPACITY] },
      { name: "control", dtype: "u32", shape: [STEP_CONTROL_WORDS] },
      ...isScaled ? [{ name: "loss_scale", dtype: "u32" as const, shape: [LOSS_SCALE_WORDS] }] : [],
    ]);
    this.#isScaled = isScaled;
    store.guard(groupOf(owner, CONTROL_TENSOR), refuseStopped);
    if (columns.length === 0) return;
    store.define(
      groupOf(owner, TERMS_GROUP),
      columns.map((name) => ({ name, dtype: "f32", shape: [CAPACITY] })),
    );
  }

  /** Where the losses are. Asked for each time: after a lost device they are elsewhere. */
  get losses(): BufferRange {
    return this.#store.tensor(groupOf(this.#owner, LOSS_RING)).range;
  }

  /** Where what else is kept of a step is, by its name. */
  get columns(): ReadonlyMap<string, BufferRange> {
    const range = (name: string): BufferRange =>
      this.#store.tensor(groupOf(this.#owner, termRing(name))).range;
    return new Map(this.#columns.map((name) => [name, range(name)]));
  }

  /** Where it is by what the loss is multiplied; `undefined` where it is not. */
  get lossScale(): BufferRange | undefined {
    return this.#isScaled ? this.#store.tensor(groupOf(this.#owner, LOSS_SCALE_TENSOR)).range : undefined;
  }

  /** Where the control is. */
  get control(): BufferRange {
    return this.#store.tensor(groupOf(this.#owner, CONTROL_TENSOR)).range;
  }

  /** All that a step changes besides the parameters, of which `slots` are the optimiser's. */
  stepState(slots: StepState["slots"]): StepState {
    const { control, losses, columns, lossScale } = this;
    return { slots, control, losses, columns, lossScale };
  }

  /** How many updates took place. Waits for the GPU. */
  async updates(): Promise<number> {
    const [bytes = new Uint8Array(4 * STEP_CONTROL_WORDS)] = await this.#store.gpu.read([this.control]);
    return decodeStepControl(bytes).updates;
  }

  /** The number of the step that was not finite and stopped the run, once that was read. */
  get stoppedStep(): number | undefined {
    return this.#stoppedStep;
  }

  /** To be awaited after every step, with the number of steps done. Almost always resolves at once. */
  async advance(stepsDone: number): Promise<void> {
    if (stepsDone % HALF !== 0) return;
    await this.#reading;
    // What a resumed run knows from its checkpoint stays as it is.
    this.#reading = this.#read(Math.max(stepsDone - HALF, this.#history.length), stepsDone);
    // Its failure goes to the next call, if there is one.
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

  /** Lets updates take place again after a step stopped the run. */
  release(): void {
    this.forget();
    const { buffer, offset } = this.control;
    this.#store.gpu.write(buffer, offset, new Uint8Array(STOP_BYTES));
  }

  /** Makes the control that of a run of `updates` steps, none of which was skipped: older versions saved none. */
  begin(updates: number): void {
    this.forget();
    const { buffer, offset } = this.control;
    const words = encodeStepControl({ stopped: 0, stoppedStep: 0, updates, skipped: 0 });
    this.#store.gpu.write(buffer, offset, new Uint8Array(words.buffer));
  }

  /** The tensors were replaced by those of a run that was not stopped. */
  forget(): void {
    this.#stoppedStep = undefined;
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
   * The losses of the first `stepsDone` steps, of which a checkpoint's history has those up to {@link
   * historyLengthAt} and its ring the others.
   */
  static join(history: Float32Array, ring: Float32Array, stepsDone: number): Float32Array {
    const losses = new Float32Array(stepsDone);
    losses.set(history);
    for (let step = history.length; step < stepsDone; step++) losses[step] = ring[step % CAPACITY] ?? NaN;
    return losses;
  }

  /**
   * Throws `state_mismatch` unless the ring of a checkpoint has what its `lossCount` losses lack for `stepsDone`
   * steps.
   */
  static requireRest(lossCount: number, stepsDone: number, checkpoint: string): void {
    if (stepsDone - lossCount <= CAPACITY && stepsDone >= lossCount) return;
    throw new CairnError(
      "state_mismatch",
      `Cannot resume from "${checkpoint}": it has ${lossCount} losses for ${stepsDone} steps; ` +
        `all but the last ${CAPACITY} should be there`,
      { details: { tag: checkpoint } },
    );
  }

  async #read(from: number, to: number): Promise<void> {
    if (from >= to) return;
    const { control, losses, columns } = this;
    const rings = [losses, ...columns.values()].flatMap((ring) => slotsOf(ring, from, to));
    const [controlBytes = new Uint8Array(4 * STEP_CONTROL_WORDS), ...pieces] = await this.#store.gpu.read([
      control,
      ...rings,
    ]);
    const { stopped, stoppedStep } = decodeStepControl(controlBytes);
    this.#stoppedStep = stopped === 0 ? undefined : stoppedStep;
    // What stopped the run has not happened, nor anything after it.
    const end = stopped === 0 ? to : Math.min(to, stoppedStep);
    if (end <= from) return;
    const perRing = pieces.length / (1 + columns.size);
    const numbers = (ring: number): Float32Array =>
      joined(pieces.slice(ring * perRing, (ring + 1) * perRing)).subarray(0, end - from);
    const terms = [...columns.keys()].map((name, index) => [name, numbers(index + 1)] as const);
    this.#history.write(from, numbers(0), Object.fromEntries(terms));
  }
}

/** The pieces of a ring that have the steps from `from` to below `to`, in their order. */
function slotsOf({ buffer, offset }: BufferRange, from: number, to: number): BufferRange[] {
  const start = from % CAPACITY;
  const first = Math.min(to - from, CAPACITY - start);
  const slots = (at: number, count: number): BufferRange => {
    return { buffer, offset: offset + 4 * at, size: 4 * count };
  };
  return first < to - from ? [slots(start, first), slots(0, to - from - first)] : [slots(start, first)];
}

function joined(pieces: readonly Uint8Array[]): Float32Array {
  const floats = pieces.map(({ buffer, byteOffset, byteLength }) =>
    new Float32Array(buffer, byteOffset, byteLength / 4)
  );
  const all = new Float32Array(floats.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const each of floats) {
    all.set(each, at);
    at += each.length;
  }
  return all;
}

/** The guard of a snapshot, asked before it is committed. */
function refuseStopped(control: Uint8Array): void {
  const { stopped, stoppedStep } = decodeStepControl(control);
  if (stopped === 0) return;
  throw new CairnError(
    "non_finite",
    `Cannot save: step ${stoppedStep + 1} was not finite and stopped the run; ` +
      "train() goes on from the step before, load() and resume() from a checkpoint",
    { details: { value: stoppedStep + 1 } },
  );
}
