import { z } from "zod";
import { type DType, DTYPES } from "../../base/dtype.ts";
import { CairnError } from "../../base/errors.ts";
import type { PartRecord, RowShard } from "../../container/part_list.ts";
import type { StateValue } from "../../container/state_tree.ts";
import type { RankPlan, RankState } from "./rank_plan.ts";

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

/** What each other rank says when its part is durable, or why there is none. */
export interface Done {
  readonly part?: PartRecord | undefined;
  readonly failure?: string | undefined;
}

/** What the first rank says when there will be no checkpoint. */
export interface Failure {
  readonly nonces: readonly string[];
  readonly message: string;
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
  const done: z.ZodType<Done> = z.strictObject({ part: part.optional(), failure: text.optional() });
  const failure: z.ZodType<Failure> = z.strictObject({ nonces: z.array(text), message: text });
  return { call, hello, plan, done, failure };
}

let known: ReturnType<typeof schemas> | undefined;

/** The messages by their kinds. */
export interface Messages {
  readonly call: Call;
  readonly hello: Hello;
  readonly plan: PlanMessage;
  readonly done: Done;
  readonly failure: Failure;
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
