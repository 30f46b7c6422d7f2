import type { OptionNames } from "../base/options/options.ts";
import type { BufferRange } from "../gpu/buffer_range.ts";
import type { Dispatch } from "../gpu/dispatch.ts";
import type { Value } from "./value.ts";

/** A value whose elements end up in memory of the caller. */
export interface Store {
  /** What is computed. */
  readonly value: Value;
  /** At least as large as the value. The ranges of a program's stores do not overlap. */
  readonly into: BufferRange;
}

/** What an update binds: memory of the caller, the step's scalars, or an output of the program, which it only reads. */
export type UpdateBinding = BufferRange | "scalars" | { readonly output: string };

/**
 * Values that are computed among the updates, from memory of the caller as those before left it. Updates behind bind
 * them as outputs; they are kept until the last that does, and cannot be read.
 */
export interface UpdateValues {
  /** By names that no other output of the program has. They depend on no input. */
  readonly values: Readonly<Record<string, Value>>;
  /** Where the parameter `name` of these values is. */
  readonly parameters: (name: string) => BufferRange;
}

/** One of the last things that a program does. */
export type Update = Dispatch<UpdateBinding> | UpdateValues;

/** What to compile: which values are wanted, and where parameters are. */
export interface Program {
  /** Inputs that a run has to be given. Others that `outputs` or `stores` depend on are a `TypeError`. */
  readonly inputs: readonly Value[];
  /** Values to keep for `read` and `copies`, by name. */
  readonly outputs: Readonly<Record<string, Value>>;
  /**
   * Values to leave in memory of the caller. Written there by the kernel that computes them where that is possible, by
   * a copy otherwise. All values are as if computed before anything is stored, also where a store overwrites a
   * parameter.
   */
  readonly stores?: readonly Store[];
  /** What runs last, in its order, over memory of the caller: an optimizer. */
  readonly updates?: readonly Update[];
  /** Where the parameter `name` is. */
  readonly parameters: (name: string) => BufferRange;
}

/** Every option of {@link Program}. */
export const PROGRAM: OptionNames<Program> = {
  inputs: true,
  outputs: true,
  stores: true,
  updates: true,
  parameters: true,
};
