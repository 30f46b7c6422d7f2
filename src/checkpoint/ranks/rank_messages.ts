import * as z from "zod/mini";
import { canonicalJsonPieces, type JsonValue, parseCanonicalJsonSliced } from "../../base/canonical_json.ts";
import { type DType, DTYPES } from "../../base/dtype.ts";
import { CairnError } from "../../base/errors.ts";
import { inSlices } from "../../base/slices.ts";
import type { PartRecord, RowShard } from "../../container/format/part_list.ts";
import { checkedMessage, withoutUndefined } from "./checked_message.ts";
import { type Failure, failureFields } from "./failure.ts";
import type { RankState, WritePlan } from "./write_plan.ts";

/** What rank 0 has decided. */
export interface PlanMessage {
  readonly runId: string;
  readonly tag: string;
  readonly writers: readonly (readonly [tensor: string, rank: number])[];
  readonly warning?: string | undefined;
}

/** The messages of a save by their kinds, in the order in which they are sent. */
export interface SaveMessages {
  readonly state: RankState;
  readonly plan: PlanMessage;
  /** The part of the rank, which is durable. */
  readonly done: PartRecord;
  /** Nothing to be said: the index is durable. */
  readonly committed: Readonly<Record<never, never>>;
}

/** A message, or in its place why there is none. */
export type Said<Kind extends keyof SaveMessages> =
  | { readonly message: SaveMessages[Kind]; readonly failure?: undefined }
  | { readonly message?: undefined; readonly failure: Failure };

/** The error of a rank on another one. */
export function errorOfRank(rank: number, { code, message }: Failure, cause?: CairnError): CairnError {
  const details = { op: "save", ranks: [rank] };
  return new CairnError(code, `Rank ${rank} could not save: ${message}`, { details, cause });
}

/** The plan of a message. */
export function planOf({ writers, warning }: PlanMessage): WritePlan {
  return { writers: new Map(writers), warning };
}

type Schemas = { readonly [Kind in keyof SaveMessages]: z.ZodMiniType<Said<Kind>> };

/** Built at the first use, because importing a module does no work here. */
function makeSchemas(): Schemas {
  const count = z.int().check(z.nonnegative());
  const text = z.string();
  const dtype = z.custom<DType>((value) => typeof value === "string" && Object.hasOwn(DTYPES, value));
  const shard: z.ZodMiniType<RowShard> = z.strictObject({ start: count, end: count, rows: count });
  const state: z.ZodMiniType<RankState> = z.strictObject({
    rank: count,
    digest: text,
    step: z.optional(count),
    tensors: z.array(z.strictObject({
      name: text,
      dtype,
      shape: z.array(count),
      aliases: z.array(text),
      isReplicated: z.boolean(),
      shard: z.optional(shard),
    })),
  });
  const plan: z.ZodMiniType<PlanMessage> = z.strictObject({
    runId: z.string().check(z.regex(/^[0-9a-f]{32}$/)),
    tag: text,
    writers: z.array(z.tuple([text, count])),
    warning: z.optional(text),
  });
  const part: z.ZodMiniType<PartRecord> = z.strictObject({
    name: text,
    fileId: text,
    byteLength: count,
    checksum: count,
    rank: z.exactOptional(count),
  });
  const failure = z.strictObject({ failure: z.strictObject(failureFields()) });
  return {
    state: z.union([z.strictObject({ message: state }), failure]),
    plan: z.union([z.strictObject({ message: plan }), failure]),
    done: z.union([z.strictObject({ message: part }), failure]),
    committed: z.union([z.strictObject({ message: z.strictObject({}) }), failure]),
  };
}

let schemas: Schemas | undefined;

/** A message as bytes: canonical JSON in UTF-8. */
export function encodeMessage<Kind extends keyof SaveMessages>(said: Said<Kind>): Uint8Array {
  const json = withoutUndefined(said) as JsonValue;
  return new TextEncoder().encode([...canonicalJsonPieces(json)].join(""));
}

/**
 * The message in bytes of another rank.
 *
 * @throws CairnError `commit_failed` for anything that no rank sends.
 */
export async function decodeMessage<Kind extends keyof SaveMessages>(
  kind: Kind,
  bytes: Uint8Array,
): Promise<Said<Kind>> {
  const text = new TextDecoder().decode(bytes);
  const json = await inSlices(parseCanonicalJsonSliced(text, `The message "${kind}" of a rank`));
  return checkedMessage<Said<Kind>>((schemas ??= makeSchemas())[kind], kind, json);
}
