import { definedFields } from "../../base/defined_fields.ts";
import { CairnError, type CairnErrorDetails } from "../../base/errors.ts";
import type { NonFinitePolicy } from "../../kernels/optimizer/step_verdict.ts";
import { describeResult, type NonFiniteResult } from "./find_non_finite.ts";
import type { Run } from "./run.ts";

export type { NonFinitePolicy } from "../../kernels/optimizer/step_verdict.ts";

/** A batch whose loss or gradients are not finite. */
export interface NonFiniteBatch {
  /** What `trainer.step` was to be after it. */
  readonly step: number;
  /** 1-based. */
  readonly epoch: number;
  /** Its number in the epoch, from 0. */
  readonly position: number;
  /** Places of its examples in the data, where the loader can tell them. */
  readonly examples: readonly number[] | undefined;
}

/** What `details.value` of the error `non_finite` is. */
export interface NonFiniteDetails extends NonFiniteBatch {
  /** The first result that is not finite, where doing the step again shows one. */
  readonly result: NonFiniteResult | undefined;
}

/** `policy`, or a `RangeError` when there is none of that name. */
export function checkedPolicy(policy: NonFinitePolicy = "stop"): NonFinitePolicy {
  if (policy === "stop" || policy === "skip") return policy;
  throw new RangeError(`onNonFinite is "stop" or "skip", found ${JSON.stringify(policy)}`);
}

/** The batch of step `step`, from 0. */
export function batchOfStep(run: Run, step: number): NonFiniteBatch {
  const request = run.requestOf(step);
  const { epoch, position } = request;
  return { step: step + 1, epoch: epoch + 1, position, examples: run.data.indicesAt?.(request) };
}

/** Whether `error` says that a step was not finite. */
export function isNonFinite(error: unknown): error is CairnError {
  return error instanceof CairnError && error.code === "non_finite";
}

/** The error of a run that its next step stopped, with what that step's first result is that is not finite. */
export async function explainStop(run: Run): Promise<CairnError> {
  const batch = batchOfStep(run, run.step);
  const found = await run.findNonFinite().then((result) => ({ result }), (cause: unknown) => ({ cause }));
  const result = "result" in found ? found.result : undefined;
  const { step, epoch, position } = batch;
  const first = result === undefined
    ? "done again op by op, all of its results are finite"
    : `its first result that is not is ${describeResult(result)}`;
  return new CairnError(
    "non_finite",
    `Training stopped: step ${step} is not finite (epoch ${epoch}, batch ${position}${examplesOf(batch)}); ` +
      `${
        "cause" in found ? "its first such result could not be found" : first
      }. No weight was changed, and the run is as it ` +
      'was before that step; lower the learning rate, correct the batch, or let train({ onNonFinite: "skip" }) leave such batches out',
    {
      details: definedFields<CairnErrorDetails>({
        op: result?.op,
        value: { ...batch, result } satisfies NonFiniteDetails,
      }),
      cause: "cause" in found ? found.cause : undefined,
    },
  );
}

const SHOWN_EXAMPLES = 8;

function examplesOf({ examples }: NonFiniteBatch): string {
  if (examples === undefined) return "";
  const shown = examples.slice(0, SHOWN_EXAMPLES).join(", ");
  const rest = examples.length - SHOWN_EXAMPLES;
  return rest > 0 ? `, examples ${shown} and ${rest} more` : `, examples ${shown}`;
}
