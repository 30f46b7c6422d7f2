import type { WorkProgress } from "../../base/work.ts";
import { checkOptions, type OptionNames } from "../../base/options/options.ts";
import type { Named, Parts } from "../../base/parts/named.ts";
import type { Value } from "../../graph/value.ts";
import type { Values } from "../../graph/values.ts";
import { specParts } from "../../data/batch_parts.ts";
import type { ExampleSpec } from "../../data/batch_source.ts";
import type { NonFinitePolicy } from "../../kernels/optimizer/step_verdict.ts";
import { requireModelName } from "../../tensor/group_names.ts";
import { checkedPolicy } from "./non_finite.ts";
import { requireParts, type RunOptions } from "./run_options.ts";
import type { RunSetting } from "./run_identity.ts";

/** What a step trains, on what, and how. */
export interface TrainStepOptions<
  In extends Values = Value,
  Out extends Values = Value,
  Labels extends Values = Value,
> extends
  Pick<
    RunOptions<In, Out, Labels>,
    | "model"
    | "loss"
    | "regularizers"
    | "optimizer"
    | "clipGradients"
    | "microBatchSize"
    | "precision"
    | "seed"
    | "takeOver"
  > {
  /**
   * What the model is called in the store, where several are trained in it: its groups are `name.model`,
   * `name.optimizer.…` and `name.trainer`. Default: it has none, and its groups are `model` and so on.
   */
  readonly name?: string | undefined;
  /**
   * What one example of the inputs is, without the batch axis, such as `data.inputs` of a loader; of several inputs
   * each by its name.
   */
  readonly inputs: Named<ExampleSpec>;
  /** What the label of one example is; of several labels each by its name. */
  readonly labels: Named<ExampleSpec>;
  /** How many examples a batch has. Several sizes are as many programs: `[64, 16]` where the last batch has 16. */
  readonly batchSize: number | readonly number[];
  /** What happens at a step that is not finite; see `TrainOptions`. Default `"stop"`. */
  readonly onNonFinite?: NonFinitePolicy | undefined;
  /** Told how many kernels are compiled, and of how many. */
  readonly onCompile?: ((progress: WorkProgress) => void) | undefined;
  /** What may be different in a saved state that is loaded. Default: nothing. */
  readonly allow?: readonly RunSetting[] | undefined;
}

/** Those of any step. */
export type AnyTrainStep = TrainStepOptions<Values, Values, Values>;

/** Every option of {@link TrainStepOptions}. */
export const TRAIN_STEP_OPTIONS: OptionNames<TrainStepOptions> = {
  name: true,
  takeOver: true,
  model: true,
  loss: true,
  regularizers: true,
  optimizer: true,
  clipGradients: true,
  microBatchSize: true,
  precision: true,
  seed: true,
  inputs: true,
  labels: true,
  batchSize: true,
  onNonFinite: true,
  onCompile: true,
  allow: true,
};

/** @throws TypeError or RangeError for options that a step cannot be made of. */
export function checkTrainStep(options: AnyTrainStep): void {
  const { name, inputs, labels, onNonFinite } = checkOptions(
    "TrainStep.compile()",
    options,
    TRAIN_STEP_OPTIONS,
    '{ model, loss, optimizer, inputs: { dtype: "f32", shape: [784] }, labels, batchSize: 64 }',
  );
  if (name !== undefined) requireModelName("TrainStep", name);
  requireParts(options);
  checkedPolicy(onNonFinite);
  requireSpecs("inputs", inputs);
  requireSpecs("labels", labels);
  for (const size of sizesOf(options)) {
    if (Number.isSafeInteger(size) && size >= 1) continue;
    throw new RangeError(`batchSize is an integer from 1, or several, found ${size}`);
  }
}

function requireSpecs(what: "inputs" | "labels", specs: Named<ExampleSpec>): void {
  const isThere = typeof specs === "object" && specs !== null && !Array.isArray(specs) &&
    Object.keys(specs).length > 0;
  const parts: Parts<Partial<ExampleSpec> | null> = isThere ? specParts(what, specs) : {};
  const isSpec = (spec: Partial<ExampleSpec> | null): boolean =>
    typeof spec?.dtype === "string" && Array.isArray(spec.shape);
  if (isThere && Object.values(parts).every(isSpec)) return;
  throw new TypeError(
    `${what} is what one example is, such as { dtype: "f32", shape: [784] }, or data.${what} of a loader, ` +
      "or several such by name",
  );
}

/** The sizes that batches may have, each once; the first is the usual one. */
export function sizesOf({ batchSize }: Pick<TrainStepOptions, "batchSize">): readonly number[] {
  const sizes = typeof batchSize === "object" ? batchSize : [batchSize];
  if (sizes.length === 0) throw new RangeError("batchSize is an integer from 1, or several, found none");
  return [...new Set(sizes)];
}
