import { z } from "zod";
import { type DType, DTYPES } from "../../base/dtype.ts";
import { CairnError, type CairnErrorCode } from "../../base/errors.ts";
import type { PartRecord, RowShard } from "../../container/format/part_list.ts";
import type { StateValue } from "../../container/format/state_tree.ts";
import type { RankPlan, RankState } from "./rank_plan.ts";

/** What each other rank leaves until it knows what to write. */
export interface Waiting {
  readonly nonce: string;
}

/** What the first rank begins with. */
export interface Call {
  /** Another one for each attempt, so that nothing that an earlier one left is taken for an answer. */
  readonly session: string;
  readonly runId: string;
  readonly tag: string;
  readonly worldSize: number;
}

/** What each other rank answers. */
export interface Hello extends RankState {
  /** Another one for each answer, so that a process knows whether it was heard. */
  readonly nonce: string;
}

/** What the first rank has decided. */
export interface PlanMessage {
  readonly nonces: readonly string[];
  readonly writers: readonly (readonly [tensor: string, rank: number])[];
  readonly warning?: string | undefined;
}

/** Why a rank could not save. */
export interface Failure {
  readonly code: CairnErrorCode;
  readonly message: string;
}

/** What each other rank says when its part is durable, or why there is none. */
export interface Done {
  readonly part?: PartRecord | undefined;
  readonly failure?: Failure | undefined;
}

/** What the first rank says when there will be no checkpoint, to those whose nonces it has heard. */
export interface GivenUp extends Failure {
  readonly nonces: readonly string[];
}

/** What to tell the other ranks of an error. */
export function failureOf(error: unknown): Failure {
  const code = error instanceof CairnError ? error.code : "commit_failed";
  return { code, message: error instanceof Error ? error.message : String(error) };
}

/** The error of a rank on another one. */
export function errorOfRank(rank: number, { code, message }: Failure): CairnError {
  return new CairnError(code, `Rank ${rank} could not save: ${message}`, { details: { op: "save" } });
}

/** The plan of a message, and back. */
export function planOf({ writers, warning }: PlanMessage): RankPlan {
  return { writers: new Map(writers), warning };
}

/** Built at the first use, because importing a module does no work here. */
function schemas() {
  const count = z.int().nonnegative();
  const text = z.string();
  const dtype = z.custom<DType>((value) => typeof value === "string" && Object.hasOwn(DTYPES, value));
  const shard: z.ZodType<RowShard> = z.strictObject({ start: count, end: count, rows: count });
  const tensor = z.strictObject({
    name: text,
    dtype,
    shape: z.array(count),
    aliases: z.array(text),
    isReplicated: z.boolean(),
    shard: shard.optional(),
  });
  const call: z.ZodType<Call> = z.strictObject({
    session: text,
    runId: z.string().regex(/^[0-9a-f]{32}$/),
    tag: text,
    worldSize: z.int().min(1),
  });
  const hello: z.ZodType<Hello> = z.strictObject({
    rank: count,
    worldSize: count,
    digest: text,
    step: count.optional(),
    nonce: text,
    tensors: z.array(tensor),
  });
  const plan: z.ZodType<PlanMessage> = z.strictObject({
    nonces: z.array(text),
    writers: z.array(z.tuple([text, count])),
    warning: text.optional(),
  });
  const part: z.ZodType<PartRecord> = z.strictObject({
    name: text,
    fileId: text,
    byteLength: count,
    checksum: count,
    rank: count.exactOptional(),
  });
  const code = z.custom<CairnErrorCode>((value) => typeof value === "string");
  const failure: z.ZodType<Failure> = z.strictObject({ code, message: text });
  const done: z.ZodType<Done> = z.strictObject({ part: part.optional(), failure: failure.optional() });
  const givenUp: z.ZodType<GivenUp> = z.strictObject({ code, message: text, nonces: z.array(text) });
  const waiting: z.ZodType<Waiting> = z.strictObject({ nonce: text });
  return { waiting, call, hello, plan, done, givenUp };
}

let known: ReturnType<typeof schemas> | undefined;

/** The messages by their kinds. */
export interface Messages {
  readonly waiting: Waiting;
  readonly call: Call;
  readonly hello: Hello;
  readonly plan: PlanMessage;
  readonly done: Done;
  readonly givenUp: GivenUp;
}

/**
 * A message that was received, checked; `undefined` when there is none.
 *
 * @throws CairnError `commit_failed` for anything that no rank sends.
 */
export function parseMessage<Kind extends keyof Messages>(
  kind: Kind,
  content: StateValue,
): Messages[Kind] | undefined {
  if (content === undefined) return undefined;
  const parsed = (known ??= schemas())[kind].safeParse(content);
  if (parsed.success) return parsed.data as Messages[Kind];
  throw new CairnError(
    "commit_failed",
    `A rank left a message "${kind}" that is none: ${
      z.prettifyError(parsed.error)
    }; use the same version everywhere`,
  );
}

/** A message as a state tree. */
export function asState(message: Messages[keyof Messages]): StateValue {
  return dropUndefined(message) as StateValue;
}

function dropUndefined(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(dropUndefined);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).filter(([, item]) => item !== undefined).map((
      [key, item],
    ) => [key, dropUndefined(item)]),
  );
}
