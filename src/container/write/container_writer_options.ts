import { type Work, WORK_OPTIONS } from "../../base/work.ts";
import type { OptionNames } from "../../base/options/options.ts";
import { type Coding, CODING_OPTIONS } from "./coding.ts";
import type { TensorSpec } from "../format/layout.ts";

/** Options of `ContainerWriter.create`. */
export interface ContainerWriterOptions extends Coding, Work {
  /** The tensors in the order in which their bytes will come. */
  tensors: readonly TensorSpec[];
  /** Sixteen bytes that no other file has, such as random ones. */
  fileId: Uint8Array;
  /** Milliseconds that only rise, for the rates that `"fast"` goes by. Default `performance.now`. */
  now?: (() => number) | undefined;
}

/** Every option of {@link ContainerWriterOptions}. */
export const CONTAINER_WRITER_OPTIONS: OptionNames<ContainerWriterOptions> = {
  tensors: true,
  fileId: true,
  now: true,
  ...CODING_OPTIONS,
  ...WORK_OPTIONS,
};
