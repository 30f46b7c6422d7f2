import { CairnError } from "../base/errors.ts";
import type { BatchRequest } from "./batch_source.ts";

/** Which example could not be read. It is the `details.value` of `loader_failed`. */
export interface LoaderFailure {
  /** The epoch, from 1. */
  readonly epoch: number;
  /** The batch in its epoch, from 0. */
  readonly batch: number;
  /** The example in the data, from 0; undefined where it is about the batch as a whole. */
  readonly index: number | undefined;
}

/** What a loader of the caller's threw, with what it was asked for; an error that says that already stays. */
export function loaderFailed(
  cause: unknown,
  { epoch, position }: Pick<BatchRequest, "epoch" | "position">,
  index?: number,
): CairnError {
  if (cause instanceof CairnError && cause.code === "loader_failed") return cause;
  const reason = cause instanceof Error ? cause.message : String(cause);
  const example = index === undefined ? "" : `example ${index} of `;
  return new CairnError(
    "loader_failed",
    `Cannot read ${example}batch ${position} of epoch ${epoch + 1}: ${reason}`,
    { details: { value: { epoch: epoch + 1, batch: position, index } satisfies LoaderFailure }, cause },
  );
}
