import type { Parts } from "../../base/parts/named.ts";
import type { BatchSpec } from "../../data/batch_source.ts";
import type { Values } from "../../graph/values.ts";
import type { Layer } from "../../nn/layer.ts";
import type { Optimizer } from "../../nn/optim/optimizer.ts";
import type { DataParallelOptions } from "../../parallel/data_parallel_options.ts";
import type { InputRanges } from "../measure/index_check.ts";
import type { Precision } from "./precision.ts";
import type { Objective } from "./step_values.ts";

/** What is trained, and how. */
export interface StepParts extends Objective {
  readonly model: Layer<Values, Values>;
  readonly optimizer: Optimizer;
  readonly data: BatchSpec;
  readonly microBatchSize?: number | undefined;
  readonly parallel?: DataParallelOptions | undefined;
  readonly precision?: Precision | undefined;
  /** What the model is called among several in the store. */
  readonly name?: string | undefined;
  /** Whether it goes on with the weights of one that was closed. */
  readonly takeOver?: boolean | undefined;
}

/** A batch, part by part, and how many examples it has. */
export interface SizedBatch {
  readonly batch: Parts<ArrayBufferView>;
  readonly size: number;
}

/** The batch of step `step`, from 0. */
export type StepBatch = (step: number, ranges: InputRanges) => Promise<SizedBatch>;
