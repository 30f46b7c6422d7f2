import { randomHex } from "../base/hex.ts";
import { type Clock, systemClock } from "../base/clock.ts";

/**
 * What begins and ends: `save` is from taking the state until it is durable, with `commit` and `retention` in it;
 * `restore` is all of putting a checkpoint back, with the `load` of the file, which reads and checks every byte, in
 * it.
 */
export type CheckpointOperation = "save" | "commit" | "retention" | "restore" | "load";

/** An operation has begun. */
export interface CheckpointStartEvent {
  /** Tells it from the end. */
  readonly phase: "start";
  /** No other operation has it, of any process; the end has it again. */
  readonly id: string;
  /** What has begun. */
  readonly operation: CheckpointOperation;
  /** The checkpoint's; for a restore, what was asked for. */
  readonly tag: string;
  /** Milliseconds since 1970. */
  readonly timeMs: number;
}

/** An operation has ended. */
export interface CheckpointEndEvent extends Omit<CheckpointStartEvent, "phase"> {
  /** Tells it from the start. */
  readonly phase: "end";
  /** Whether it did what it was to do. */
  readonly isSuccess: boolean;
  /** From its start, in milliseconds. */
  readonly durationMs: number;
  /** Raw bytes of the tensors that were saved or read, before compression; 0 for a retention, and where it failed. */
  readonly bytes: number;
  /** What was thrown, or the first warning of a retention that did not delete all it meant to. */
  readonly error: unknown;
}

/** Each operation has one start and one end, whatever happens to it. */
export type CheckpointEvent = CheckpointStartEvent | CheckpointEndEvent;

/** Told of events as they happen. What it throws, or rejects with, is dropped: watching a save cannot break it. */
export type CheckpointEventHandler = (event: CheckpointEvent) => void | Promise<void>;

/** How an operation ended that threw nothing. */
export interface OperationOutcome {
  readonly bytes: number;
  readonly error?: unknown;
}

/** Tells a handler when operations begin and end. Without one it does nothing. */
export class CheckpointEvents {
  readonly #onEvent: CheckpointEventHandler | undefined;
  readonly #clock: Pick<Clock, "now">;

  constructor(onEvent?: CheckpointEventHandler, clock: Pick<Clock, "now"> = systemClock) {
    this.#onEvent = onEvent;
    this.#clock = clock;
  }

  /** Does `work`, and tells when it begins and how it ended. */
  async during<T>(
    operation: CheckpointOperation,
    tag: string,
    work: () => Promise<T>,
    outcomeOf: (result: T) => OperationOutcome,
  ): Promise<T> {
    if (this.#onEvent === undefined) return await work();
    const timeMs = this.#clock.now();
    const about = { id: randomHex(16), operation, tag };
    this.#tell({ ...about, phase: "start", timeMs });
    const end = ({ bytes, error }: OperationOutcome): void => {
      const endMs = this.#clock.now();
      // A clock that was set back makes no negative durations.
      const durationMs = Math.max(0, endMs - timeMs);
      const isSuccess = error === undefined;
      this.#tell({ ...about, phase: "end", timeMs: endMs, isSuccess, durationMs, bytes, error });
    };
    let result: T;
    try {
      result = await work();
    } catch (error) {
      end({ bytes: 0, error: error ?? new Error("The operation failed without a reason") });
      throw error;
    }
    end(outcomeOf(result));
    return result;
  }

  #tell(event: CheckpointEvent): void {
    try {
      // An async handler fails later.
      Promise.resolve(this.#onEvent?.(event)).catch(() => {});
    } catch {
      // As the handler's type says.
    }
  }
}
