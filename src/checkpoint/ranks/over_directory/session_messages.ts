import * as z from "zod/mini";
import type { StateValue } from "../../../container/format/state_tree.ts";
import { checkedMessage, withoutUndefined } from "../checked_message.ts";
import { type Failure, failureFields } from "../failure.ts";
import type { GroupCallName } from "../group_call.ts";

/** What each other rank leaves until it is in the group. */
export interface Waiting {
  readonly nonce: string;
}

/** What rank 0 begins with. */
export interface Call {
  /** A new one for each group, so that nothing that an earlier one left is taken for an answer. */
  readonly session: string;
  readonly size: number;
}

/** What each other rank answers. */
export interface Answer {
  readonly rank: number;
  readonly size: number;
  /** A new one for each answer, so that a process knows whether rank 0 has read it. */
  readonly nonce: string;
}

/** What rank 0 says when all have answered: their nonces by rank. */
export interface Welcome {
  readonly nonces: readonly string[];
}

/** What rank 0 says when there will be no group, to those whose nonces it has heard. */
export interface GivenUp extends Failure, Welcome {}

/** What stands above the bytes of a letter. */
export interface LetterHead {
  readonly call: GroupCallName;
}

/** The messages by their kinds. */
export interface SessionMessages {
  readonly waiting: Waiting;
  readonly call: Call;
  readonly answer: Answer;
  readonly welcome: Welcome;
  readonly givenUp: GivenUp;
  readonly letter: LetterHead;
  readonly failed: Failure;
}

/** Names of messages. Those of one session begin with it, and those of single ranks end with the rank. */
export const MESSAGE = {
  call: "call",
  refused: "refused",
  waiting: (rank: number): string => `waiting-${rank}`,
  answer: (session: string, rank: number): string => `${session}-answer-${rank}`,
  welcome: (session: string): string => `${session}-welcome`,
  givenUp: (session: string): string => `${session}-given-up`,
  letter: (session: string, number: number, rank: number): string => `${session}-letter-${number}-${rank}`,
  failed: (session: string, rank: number): string => `${session}-failed-${rank}`,
  closed: (session: string, rank: number): string => `${session}-closed-${rank}`,
} as const;

type Schemas = { readonly [Kind in keyof SessionMessages]: z.ZodMiniType<SessionMessages[Kind]> };

/** Built at the first use, because importing a module does no work here. */
function makeSchemas(): Schemas {
  const text = z.string();
  const size = z.int().check(z.minimum(1));
  const nonces = z.array(text);
  return {
    waiting: z.strictObject({ nonce: text }),
    call: z.strictObject({ session: text, size }),
    answer: z.strictObject({ rank: z.int().check(z.nonnegative()), size, nonce: text }),
    welcome: z.strictObject({ nonces }),
    givenUp: z.strictObject({ ...failureFields(), nonces }),
    letter: z.strictObject({ call: z.enum(["barrier", "broadcast", "allGather", "allToAll"]) }),
    failed: z.strictObject(failureFields()),
  };
}

let schemas: Schemas | undefined;

/**
 * A message that was received, checked; `undefined` when there is none.
 *
 * @throws CairnError `commit_failed` for anything that no rank sends.
 */
export function parseSessionMessage<Kind extends keyof SessionMessages>(
  kind: Kind,
  content: StateValue,
): SessionMessages[Kind] | undefined {
  return content === undefined ? undefined : checkedMessage((schemas ??= makeSchemas())[kind], kind, content);
}

/** A message as a state tree. */
export function asState(message: SessionMessages[keyof SessionMessages]): StateValue {
  return withoutUndefined(message) as StateValue;
}
