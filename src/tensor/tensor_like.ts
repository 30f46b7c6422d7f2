import type { DType } from "../base/dtype.ts";
import { requireAwaited } from "../base/options/kind_of.ts";
import { HostTensor } from "./host_tensor.ts";
import { type HostValues, isNodeBuffer } from "./host_values.ts";
import type { Shape } from "./shape.ts";

/** What is taken where a tensor is: one, or the numbers of one, nested as its dimensions are. */
export type TensorLike = HostTensor | HostValues;

/** Whether `given` is taken for one tensor, and not for several by name. */
export function isTensorLike(given: unknown): given is TensorLike {
  return given instanceof HostTensor || Array.isArray(given) || ArrayBuffer.isView(given) ||
    typeof given !== "object" || given === null;
}

/** What is known of a tensor before its values are. */
export interface TensorWanted {
  /** Of numbers that do not say it: neither those of a typed array nor a tensor's. */
  readonly dtype?: DType | undefined;
  /** Of a typed array, which has one dimension by itself. */
  readonly shape?: Shape | undefined;
}

/**
 * The tensor itself, or one of its numbers.
 *
 * @param what Names the place in messages, such as `inputs`.
 * @throws TypeError for nested arrays of different lengths, and what is no number, each with its place.
 */
export function tensorOf(value: TensorLike, what: string, { dtype, shape }: TensorWanted = {}): HostTensor {
  if (value instanceof HostTensor) return value;
  requireAwaited(what, value, "the call that gives it");
  if (isNodeBuffer(value)) return HostTensor.from(value, shape, dtype, what);
  return ArrayBuffer.isView(value)
    ? HostTensor.from(value, shape, undefined, what)
    : HostTensor.from(value, undefined, dtype, what);
}
