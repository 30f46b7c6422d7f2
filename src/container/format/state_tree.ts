import type { TensorRef } from "./tensor_ref.ts";

export { TensorRef } from "./tensor_ref.ts";

/** What a state tree may hold: plain data of JavaScript, and references to tensors. */
export type StateValue =
  | undefined
  | null
  | boolean
  | number
  | bigint
  | string
  | Date
  | Map<StateValue, StateValue>
  | Set<StateValue>
  | TensorRef
  | readonly StateValue[]
  | { readonly [key: string]: StateValue };

/** How deep a state tree may nest. */
export const MAX_STATE_DEPTH = 200;
/** The longest bigint, in decimal digits: reading one takes time that grows with the square of its length. */
export const MAX_BIGINT_DIGITS = 4096;
