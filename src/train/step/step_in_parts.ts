import type { Parts } from "../../base/parts/named.ts";
import type { BufferRange } from "../../gpu/buffer_range.ts";
import type { ProgramExplanation } from "../../graph/explain_program.ts";
import type { StepScalars } from "../../kernels/step_scalars.ts";
import type { Message } from "../../parallel/shard_reduction.ts";
import type { StepPart } from "./step_values.ts";

/** A step that computes its batch one part after the other. */
export interface StepInParts {
  /**
   * Where others compute parts of the batch: waits until all are added up, and changes nothing. {@link run} follows.
   *
   * @param message What this process tells the others.
   * @returns What each of them says, this one included.
   */
  reduce?(
    batch: Parts<ArrayBufferView>,
    size: number,
    scalars: StepScalars,
    message: Message,
  ): Promise<Message[]>;
  /** Submits the step on `batch`, of `size` examples, or what of it changes the run. Waits for nothing. */
  run(batch: Parts<ArrayBufferView>, size: number, scalars: StepScalars): void;
  /**
   * Where {@link run} leaves updated parameters beside the model, as each process updates some of them: waits until all
   * are here.
   *
   * @returns What makes them those of the model, in the tick of its call.
   */
  readonly gather?: (() => Promise<() => void>) | undefined;
  /** The values of each part of the step, for programs of other outputs, with what they need to know of the whole. */
  parts(batch: Parts<ArrayBufferView>, size: number, scalars: StepScalars): StepPart[];
  /** Bytes of gradients besides those of every step. */
  readonly gradientBytes: number;
  /** Its programs, taken apart. */
  explain(): ProgramExplanation[];
  /** The program of the first part, with the times of its kernels. What is `unchanged` gets its bytes back. */
  explainTimed(
    batch: Parts<ArrayBufferView>,
    size: number,
    scalars: StepScalars,
    unchanged: readonly BufferRange[],
  ): Promise<ProgramExplanation>;
  close(): void;
}
