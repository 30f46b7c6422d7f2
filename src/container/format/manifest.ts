import { concatenated } from "../../base/bytes/concatenated.ts";
import * as z from "zod/mini";
import { canonicalJsonPieces, type JsonValue, parseCanonicalJsonSliced } from "../../base/canonical_json.ts";
import { definedFields } from "../../base/defined_fields.ts";
import { CairnError } from "../../base/errors.ts";
import { safeParse } from "../../base/schema/safe_parse.ts";
import type { Sliced } from "../../base/slices.ts";
import { type PartList, partListSchema, type PartRole, partRoleSchema } from "./part_list.ts";
import { decodeState, decodeStateSliced } from "./decode_state.ts";
import { encodeState, encodeStateSliced } from "./encode_state.ts";
import type { StateValue } from "./state_tree.ts";

/** Who wrote a container, when, and in the course of what. Every field is optional. */
export interface Provenance {
  /** The run: 32 hexadecimal digits, the same over all processes that it took. */
  runId?: string;
  /** The tag under which the checkpoint was saved. A copy may have another name. */
  tag?: string;
  /** Optimiser updates at which it was saved. */
  step?: number;
  /** The epoch in which it was saved, from 1. */
  epoch?: number;
  /** ISO 8601, as `Date.toISOString` writes it. */
  createdAt?: string;
  /** The program, such as `"cairn 0.1.0"`. */
  writer?: string;
  /** The GPU adapter's name. */
  adapter?: string;
  /** Such as `"deno 2.9.6"`. */
  runtime?: string;
  /** Which kernel variant was chosen for what. */
  variants?: Record<string, string>;
  /**
   * Which of its directory's checkpoints was committed last: from 1, one above the highest that the engine saw there
   * when it wrote this one. Of checkpoints only, not of their parts. Without it a checkpoint is older than all that
   * have one.
   */
  order?: number;
  /** File id of the checkpoint that the run went on from; none for a run that began afresh. */
  parent?: string;
  /** Whether it was saved automatically, so that retention may delete it, or because the user asked for it. */
  savedBy?: SavedBy;
}

/** See {@link Provenance.savedBy}. */
export type SavedBy = "auto" | "user";

/** All of a container that is not a tensor. */
export interface Manifest {
  /** `tensors` of a container that is no checkpoint of a run. */
  readonly kind: "checkpoint" | "tensors";
  /** The host state beside the tensors, with what JavaScript has: Map, Set, Date, bigint, typed arrays. */
  readonly state: StateValue;
  /** Figures by name. NaN and the infinities are fine. */
  readonly metrics: Record<string, number>;
  /** Who wrote it, when, and in the course of what. */
  readonly provenance: Provenance;
  /** Whatever the user wants to keep beside the state. */
  readonly user: StateValue;
  /** The other files of a checkpoint that has several; only in its index. */
  readonly parts?: PartList;
  /** What a rank's part of a checkpoint is; only in such a part. */
  readonly part?: PartRole;
}

const PROVENANCE_FIELDS = [
  "runId",
  "tag",
  "step",
  "epoch",
  "createdAt",
  "writer",
  "adapter",
  "runtime",
  "variants",
  "order",
  "parent",
  "savedBy",
] as const;

interface ManifestJson {
  readonly kind: "checkpoint" | "tensors";
  readonly state: JsonValue;
  readonly metrics: JsonValue;
  readonly provenance: Provenance;
  readonly user: JsonValue;
  readonly parts?: PartList;
  readonly part?: PartRole;
}

/** Bytes that are made text in one slice. */
const DECODED_BYTES = 256 * 1024;
const FILE_ID = /^[0-9a-f]{32}$/;

let schema: z.ZodMiniType<ManifestJson> | undefined;

/** Built at the first use, because importing a module does no work here. */
function manifestSchema(): z.ZodMiniType<ManifestJson> {
  // The state tree has rules of its own, which `decodeState` checks.
  const json = z.custom<JsonValue>((value) => value !== undefined, "is missing");
  const text = z.exactOptional(z.string());
  const count = z.exactOptional(z.int().check(z.nonnegative()));
  return schema ??= z.strictObject({
    kind: z.enum(["checkpoint", "tensors"]),
    state: json,
    metrics: json,
    provenance: z.strictObject({
      runId: text,
      tag: text,
      step: count,
      epoch: count,
      createdAt: z.exactOptional(z.iso.datetime({ offset: true })),
      writer: text,
      adapter: text,
      runtime: text,
      variants: z.exactOptional(z.record(z.string(), z.string())),
      order: z.exactOptional(z.int().check(z.positive())),
      parent: z.exactOptional(z.string().check(z.regex(FILE_ID, "is no file id"))),
      savedBy: z.exactOptional(z.enum(["auto", "user"])),
    }),
    user: json,
    parts: z.exactOptional(partListSchema()),
    part: z.exactOptional(partRoleSchema()),
  });
}

/**
 * The manifest as canonical JSON in UTF-8, in slices. Equal manifests give equal bytes, whatever the order of the
 * provenance's fields. What a reader will make of it is made of it here as well; `onTensor` sees the name of each
 * tensor it refers to. Throws a `TypeError` that names the place for what cannot be kept; see `encodeState`.
 */
export function* encodeManifest(
  manifest: Manifest,
  onTensor: (name: string) => void = () => {},
): Sliced<Uint8Array> {
  const json = definedFields<{ [key: string]: JsonValue }>({
    kind: manifest.kind,
    state: yield* encodeStateSliced(manifest.state),
    metrics: encodeMetrics(manifest.metrics),
    provenance: orderedProvenance(manifest.provenance),
    user: yield* encodeStateSliced(manifest.user),
    parts: manifest.parts && partsAsJson(manifest.parts),
    part: manifest.part && roleAsJson(manifest.part),
  });
  const checked = safeParse(manifestSchema(), json);
  if (!checked.success) {
    throw new TypeError(`The manifest cannot be saved: ${z.prettifyError(checked.error)}`);
  }
  yield* decodeManifest(checked.data, onTensor);
  const pieces: Uint8Array[] = [];
  const encoder = new TextEncoder();
  for (const text of canonicalJsonPieces(json)) {
    pieces.push(encoder.encode(text));
    yield;
  }
  return concatenated(pieces);
}

/**
 * Reads a manifest, in slices; `onTensor` sees the name of each tensor it refers to. Throws
 * `CairnError("invalid_container")`.
 */
export function* parseManifest(
  bytes: Uint8Array,
  onTensor: (name: string) => void = () => {},
): Sliced<Manifest> {
  const json = yield* parseCanonicalJsonSliced(yield* decodeUtf8(bytes), "The manifest");
  const parsed = safeParse(manifestSchema(), json);
  if (!parsed.success) throw invalid(z.prettifyError(parsed.error));
  return yield* decodeManifest(parsed.data, onTensor);
}

function* decodeManifest(json: ManifestJson, onTensor: (name: string) => void): Sliced<Manifest> {
  const { kind, state, metrics, provenance, user, parts, part } = json;
  return {
    kind,
    state: yield* decodeStateSliced(state, (tensor) => onTensor(tensor.name)),
    metrics: decodeMetrics(metrics),
    provenance,
    user: yield* decodeStateSliced(user, (tensor) => onTensor(tensor.name)),
    ...definedFields<Pick<Manifest, "parts" | "part">>({ parts, part }),
  };
}

/** With the keys in one order, whatever the order of the caller's. */
function partsAsJson({ worldSize, files }: PartList): JsonValue {
  return definedFields<{ [key: string]: JsonValue }>({
    worldSize,
    files: files.map(({ name, fileId, byteLength, checksum, rank }) =>
      definedFields<{ [key: string]: JsonValue }>({ name, fileId, byteLength, checksum, rank })
    ),
  });
}

function roleAsJson({ replicated, sharded }: PartRole): JsonValue {
  const shards = Object.entries(sharded).map(([name, { start, end, rows }]) => [name, { start, end, rows }]);
  return { replicated: [...replicated], sharded: Object.fromEntries(shards) };
}

function encodeMetrics(metrics: Record<string, number>): JsonValue {
  for (const [name, value] of Object.entries(metrics)) {
    if (typeof value !== "number") {
      throw new TypeError(`Metric "${name}" is a ${typeof value}; expected a number`);
    }
  }
  return encodeState(metrics);
}

function decodeMetrics(json: JsonValue): Record<string, number> {
  const metrics = decodeState(json);
  const isPlain = typeof json === "object" && json !== null && !Array.isArray(json) &&
    !Object.hasOwn(json, "$");
  if (!isPlain || !isRecordOfNumbers(metrics)) throw invalid("its metrics are no numbers by name");
  return metrics;
}

function isRecordOfNumbers(state: unknown): state is Record<string, number> {
  return typeof state === "object" && state !== null &&
    Object.values(state).every((value) => typeof value === "number");
}

function orderedProvenance(provenance: Provenance): JsonValue {
  const known: readonly string[] = PROVENANCE_FIELDS;
  const stranger = Object.keys(provenance).find((key) => !known.includes(key));
  if (stranger !== undefined) {
    throw new TypeError(`The provenance has the field "${stranger}"; expected ${known.join(", ")}`);
  }
  const json: { [key: string]: JsonValue } = {};
  for (const key of PROVENANCE_FIELDS) {
    const value = provenance[key];
    if (value !== undefined) json[key] = value;
  }
  return json;
}

function* decodeUtf8(bytes: Uint8Array): Sliced<string> {
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  let text = "";
  try {
    for (let start = 0; start < bytes.byteLength; start += DECODED_BYTES) {
      if (start > 0) yield;
      text += decoder.decode(bytes.subarray(start, start + DECODED_BYTES), { stream: true });
    }
    return text + decoder.decode();
  } catch (cause) {
    throw invalid("it is no UTF-8", cause);
  }
}

function invalid(problem: string, cause?: unknown): CairnError {
  return new CairnError("invalid_container", `The manifest is not valid: ${problem}`, { cause });
}
