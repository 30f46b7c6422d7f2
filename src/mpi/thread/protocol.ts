import type { MpiLibrary } from "../find_library.ts";

/** What a message between two ranks is. */
export const MESSAGE = {
  /** What one rank has for another one in a call. */
  letter: 0,
  /** The rank has ended the group, and says why. */
  failure: 1,
  /** The rank has closed the group. */
  closing: 2,
  /** The rank wants to leave MPI. */
  leaving: 3,
} as const;

/** Places in the memory that the thread shares with the one that started it. */
export const SIGNAL = {
  /** Counts what was asked: the thread sleeps on it. */
  asked: 0,
  /** How far the thread is: one of {@link STAGE}. */
  stage: 1,
  /** How many calls are under way, so that it is worth to look more often. */
  underWay: 2,
  /** How many places there are. */
  length: 3,
} as const;

/** How far the thread is. */
export const STAGE = { beginning: 0, open: 1, left: 2 } as const;

/** What the thread starts with. */
export interface ThreadStart {
  readonly library: MpiLibrary;
  /** The C library. */
  readonly libc: string;
  /** From where Node finds `koffi`. */
  readonly base: string;
  /** One message of MPI has at most so many bytes. */
  readonly cutBytes: number;
  /** Payloads up to this length travel with their head. */
  readonly inlineBytes: number;
  readonly signal: SharedArrayBuffer;
}

/** Which message it is, of which group. */
export interface Heading {
  /** One of {@link MESSAGE}. */
  readonly kind: number;
  /** Of several groups, one after the other. */
  readonly group: number;
  /** Counts the calls of the group. */
  readonly number: number;
  /** Which call it is. */
  readonly call: number;
}

/** What the thread is asked for. Addresses are of memory that stays as it is until the thread answers. */
export type Command =
  | {
    readonly op: "send";
    readonly to: readonly number[];
    readonly heading: Heading;
    readonly bytes: ArrayBuffer;
  }
  | {
    readonly op: "lend";
    readonly to: readonly number[];
    readonly heading: Heading;
    readonly address: number;
    readonly byteLength: number;
    readonly id: number;
  }
  | { readonly op: "copy"; readonly address: number; readonly byteLength: number; readonly id: number }
  /** Ends the job with this code when so much time has passed; `Infinity` takes that back. */
  | { readonly op: "endAfter"; readonly ms: number; readonly code: number }
  | { readonly op: "leave" };

/** What the thread says. */
export type Report =
  | { readonly op: "open"; readonly rank: number; readonly size: number; readonly version: string }
  | { readonly op: "came"; readonly from: number; readonly heading: Heading; readonly bytes: ArrayBuffer }
  /** A rank has taken what was lent, which may change as far as it is concerned. */
  | { readonly op: "taken"; readonly id: number; readonly by: number }
  | { readonly op: "copied"; readonly id: number; readonly bytes: ArrayBuffer }
  | { readonly op: "left" }
  | { readonly op: "failed"; readonly message: string };
