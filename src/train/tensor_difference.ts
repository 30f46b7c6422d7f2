import type { HostTensor } from "../tensor/host_tensor.ts";

/** The first element in which two states differ. */
export interface TensorDifference {
  /** Full name of the tensor. */
  readonly tensor: string;
  /** Number of the element, row-major from 0. */
  readonly index: number;
  /** Its value in each of the two. Equal numbers differ in their bits, as NaN and zeros can. */
  readonly values: readonly [number | bigint, number | bigint];
}

/** Tensors by their full names. */
export type Tensors = ReadonlyMap<string, HostTensor>;

/** In the order of `a`, which has the same tensors as `b`; undefined where all bits are the same. */
export function tensorDifference(a: Tensors, b: Tensors): TensorDifference | undefined {
  for (const [tensor, ours] of a) {
    const theirs = b.get(tensor);
    if (theirs === undefined) throw new TypeError(`There is no tensor "${tensor}" in the second run`);
    if (ours.equals(theirs)) continue;
    const byte = ours.bytes.findIndex((value, at) => value !== theirs.bytes[at]);
    const index = Math.floor(byte / (ours.bytes.byteLength / ours.elementCount));
    return { tensor, index, values: [elementOf(ours, index), elementOf(theirs, index)] };
  }
  return undefined;
}

function elementOf(tensor: HostTensor, index: number): number | bigint {
  return tensor.toArray()[index] ?? NaN;
}

/** Such as `"model.0.weight" at element 3: 0.5 and 0.25`. */
export function describeDifference({ tensor, index, values: [ours, theirs] }: TensorDifference): string {
  return `"${tensor}" at element ${index}: ${ours} and ${theirs}`;
}
