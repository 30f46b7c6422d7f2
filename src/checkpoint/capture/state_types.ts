import type { DType } from "../../base/dtype.ts";
import type { TensorSpec } from "../../container/format/layout.ts";
import type { HostTensor } from "../../tensor/host_tensor.ts";
import type { TypedArray } from "./typed_arrays.ts";

/** Something that gives its state, and takes it back. Follows torchsnapshot's `Stateful`. */
export interface Stateful {
  /** Its state now. Called in the tick of the snapshot, so it cannot be asynchronous. */
  stateDict(): StateInput;
  /**
   * Takes back what {@link stateDict} gave. What it throws fails the load, and every object gets its old state
   * back.
   */
  loadStateDict(state: HostState): void | Promise<void>;
}

/** Whether `value` can give and take its own state. */
export function isStateful(value: unknown): value is Stateful {
  const candidate = value as Partial<Stateful> | null | undefined;
  return typeof candidate === "object" && typeof candidate?.stateDict === "function" &&
    typeof candidate.loadStateDict === "function";
}

/** What a checkpoint gives back: plain data of JavaScript, typed arrays and host tensors, nested at will. */
export type HostState =
  | undefined
  | null
  | boolean
  | number
  | bigint
  | string
  | Date
  | TypedArray
  | HostTensor
  | Map<HostState, HostState>
  | Set<HostState>
  | HostState[]
  | { [key: string]: HostState };

/** What a checkpoint takes: {@link HostState}, and {@link Stateful} objects in it. */
export type StateInput =
  | HostState
  | Stateful
  | ReadonlyMap<StateInput, StateInput>
  | ReadonlySet<StateInput>
  | readonly StateInput[]
  | { readonly [key: string]: StateInput };

/** The bytes of one tensor. */
export interface TensorBytes {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly bytes: Uint8Array;
}

/** Bytes that go into the container as a tensor. */
export interface HostBytes {
  readonly spec: TensorSpec;
  readonly bytes: Uint8Array;
}

/** What a tree is of: the run, or the user. Its tensors are named after it. */
export type StateRoot = "state" | "clientState";
