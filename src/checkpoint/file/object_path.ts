import { definedFields } from "../../base/defined_fields.ts";
import type { DType } from "../../base/dtype.ts";
import type { ContainerReader } from "../../container/read/container_reader.ts";
import type { Provenance } from "../../container/format/manifest.ts";
import type { StateValue } from "../../container/format/state_tree.ts";
import { TensorRef } from "../../container/format/tensor_ref.ts";
import { isHostTensorName } from "../capture/host_state.ts";
import { isPlain } from "../restore/restore_state.ts";

/**
 * What stands at a path of a checkpoint. Small values are in the entry; the bytes of tensors are read when asked for.
 */
export type ManifestEntry =
  | {
    readonly kind: "tensor";
    readonly dtype: DType;
    readonly shape: readonly number[];
    readonly byteLength: number;
    /** Path of the tensor that holds the bytes, where this one is tied to it. */
    readonly aliasOf?: string;
    /** What a typed array comes back as, such as `Float32Array`. */
    readonly view?: string;
  }
  | { readonly kind: "value"; readonly value: undefined | null | boolean | number | bigint | string | Date }
  | { readonly kind: "list"; readonly length: number }
  | { readonly kind: "dict"; readonly keys: readonly string[] }
  /** Its integer keys come back as such. */
  | { readonly kind: "map"; readonly keys: readonly (string | number)[] }
  /** A set, or a map whose keys are no paths. It is read as a whole. */
  | { readonly kind: "object" };

/** What is in a checkpoint, without the data. A copy: changing it changes nothing else. */
export interface CheckpointManifest {
  /** Its tag. */
  readonly tag: string;
  /** Optimiser updates at which it was saved, as far as that is known. */
  readonly step: number | undefined;
  /** Figures that were measured when it was saved, by name. */
  readonly metrics: Record<string, number>;
  /** Who wrote it, when, and in the course of what. */
  readonly provenance: Provenance;
  /**
   * By path: `tensors/<name>` for those of the store, `state/<key>/<key>…` and `clientState/…` for the rest. In a
   * key, "%" is written as "%25" and "/" as "%2F".
   */
  readonly entries: Record<string, ManifestEntry>;
}

/** The two trees of a checkpoint. */
export interface StateTrees {
  readonly state: StateValue;
  readonly clientState: StateValue;
}

/** A path from its keys. */
export function objectPath(...keys: readonly (string | number)[]): string {
  return keys.map((key) => String(key).replaceAll("%", "%25").replaceAll("/", "%2F")).join("/");
}

/** The keys of a path, as text. */
export function keysOfPath(path: string): string[] {
  return path.split("/").map((key) => key.replaceAll("%2F", "/").replaceAll("%25", "%"));
}

/** Every path of a checkpoint with what stands there: the store's tensors, then the trees from the root down. */
export function listEntries(reader: ContainerReader, trees: StateTrees): Record<string, ManifestEntry> {
  const entries: Record<string, ManifestEntry> = {};
  for (const { name } of reader.tensors) {
    if (!isHostTensorName(name)) entries[objectPath("tensors", name)] = tensorEntry(reader, name);
  }
  for (const [root, tree] of Object.entries(trees)) {
    if (tree === undefined) continue;
    walk(tree, objectPath(root), (path, value) => entries[path] = entryOf(reader, value));
  }
  return entries;
}

/** The part of a tree below these keys; `undefined` where there is nothing, and else in an array of one. */
export function valueAt(tree: StateValue, keys: readonly string[]): readonly [StateValue] | undefined {
  let value = tree;
  for (const key of keys) {
    const child = childrenOf(value)?.find(([name]) => String(name) === key);
    if (child === undefined) return undefined;
    value = child[1];
  }
  return [value];
}

function walk(value: StateValue, path: string, visit: (path: string, value: StateValue) => void): void {
  visit(path, value);
  for (const [key, child] of childrenOf(value) ?? []) walk(child, `${path}/${objectPath(key)}`, visit);
}

/** What has a path of its own below a value; `undefined` for what is read as a whole. */
function childrenOf(value: StateValue): [key: string | number, child: StateValue][] | undefined {
  if (Array.isArray(value)) return (value as readonly StateValue[]).map((child, index) => [index, child]);
  if (value instanceof Map) return hasPathKeys(value) ? [...value] : undefined;
  return isTree(value) ? Object.entries(value) : undefined;
}

/** Whether every key is text or an integer, and no two are the same as text. */
function hasPathKeys(map: Map<StateValue, StateValue>): map is Map<string | number, StateValue> {
  const keys = [...map.keys()];
  return keys.every((key) => typeof key === "string" || Number.isSafeInteger(key)) &&
    new Set(keys.map(String)).size === keys.length;
}

function isTree(value: StateValue): value is { readonly [key: string]: StateValue } {
  return isPlain(value);
}

function entryOf(reader: ContainerReader, value: StateValue): ManifestEntry {
  if (value instanceof TensorRef) return tensorEntry(reader, value.name, value.view);
  if (value instanceof Date) return { kind: "value", value: new Date(value.getTime()) };
  if (typeof value !== "object" || value === null) return { kind: "value", value };
  const children = childrenOf(value);
  if (children === undefined) return { kind: "object" };
  if (Array.isArray(value)) return { kind: "list", length: children.length };
  const keys = children.map(([key]) => key);
  return value instanceof Map ? { kind: "map", keys } : { kind: "dict", keys: keys.map(String) };
}

function tensorEntry(reader: ContainerReader, name: string, view?: string): ManifestEntry {
  const { dtype, shape, byteLength, aliasOf } = reader.tensor(name);
  return definedFields<ManifestEntry>({
    kind: "tensor",
    dtype,
    shape: [...shape],
    byteLength,
    aliasOf: aliasOf === undefined ? undefined : objectPath("tensors", aliasOf),
    view,
  });
}
