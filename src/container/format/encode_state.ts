import { type JsonValue, plainEntries } from "../../base/canonical_json.ts";
import { hasFieldsOfItsOwn } from "../../base/own_fields.ts";
import { atOnce, Slice, type Sliced } from "../../base/slices.ts";
import { MAX_BIGINT_DIGITS, MAX_STATE_DEPTH, type StateValue } from "./state_tree.ts";
import { isViewName, TensorRef } from "./tensor_ref.ts";

/**
 * A state tree as JSON. What JSON can say stands for itself. The rest is an object with the key `$` that
 * names its kind: `{"$":"undefined"}`, `{"$":"number","value":"NaN"}` (also `Infinity`, `-Infinity`, `-0`),
 * `bigint`, `date`, `map`, `set` and `tensor`. A key of the caller's that begins with `$` gets another `$` in
 * front, so nothing is ambiguous.
 *
 * Throws a `TypeError` that names the place for functions, symbols, class instances, accessors, holes,
 * cycles, lone surrogates, the key `__proto__`, and trees deeper than 200 levels.
 */
export function encodeState(value: StateValue): JsonValue {
  return atOnce(encodeStateSliced(value));
}

/** As {@link encodeState}, in slices. */
export function* encodeStateSliced(value: StateValue): Sliced<JsonValue> {
  return yield* encode(value, "state", { above: new Set(), slice: new Slice() });
}

interface Encoding {
  /** The objects around the value that is being encoded. */
  readonly above: Set<object>;
  readonly slice: Slice;
}

/** Whether a value stands for itself in JSON, as most do. */
function isPlainLeaf(value: unknown): value is null | boolean | number | string {
  if (typeof value === "number") return Number.isFinite(value) && !Object.is(value, -0);
  if (typeof value === "string") return value.isWellFormed();
  return value === null || typeof value === "boolean";
}

function* encode(value: unknown, path: string, encoding: Encoding): Sliced<JsonValue> {
  return typeof value === "object" && value !== null
    ? yield* encodeObject(value, path, encoding)
    : encodeLeaf(value, path);
}

function encodeLeaf(value: unknown, path: string): JsonValue {
  switch (typeof value) {
    case "boolean":
      return value;
    case "string":
      return checkedString(value, path);
    case "number":
      if (Object.is(value, -0)) return { $: "number", value: "-0" };
      return Number.isFinite(value) ? value : { $: "number", value: String(value) };
    case "bigint":
      return encodeBigint(value, path);
    case "undefined":
      return { $: "undefined" };
    default:
      if (value === null) return null;
      throw new TypeError(`${path} is a ${typeof value}, which cannot be saved`);
  }
}

function checkedString(value: string, path: string): string {
  if (!value.isWellFormed()) throw new TypeError(`${path} holds a lone surrogate, which is no valid text`);
  return value;
}

function encodeBigint(value: bigint, path: string): JsonValue {
  const digits = value.toString();
  if (digits.length > MAX_BIGINT_DIGITS) {
    throw new TypeError(`${path} is a bigint of ${digits.length} digits; ${MAX_BIGINT_DIGITS} is the most`);
  }
  return { $: "bigint", value: digits };
}

function* encodeObject(value: object, path: string, encoding: Encoding): Sliced<JsonValue> {
  const { above } = encoding;
  if (above.has(value)) throw new TypeError(`${path} contains itself; a state tree has no cycles`);
  if (above.size >= MAX_STATE_DEPTH) throw new TypeError(`${path} is deeper than ${MAX_STATE_DEPTH} levels`);
  above.add(value);
  const json = yield* encodeContainer(value, path, encoding);
  above.delete(value);
  return json;
}

function* encodeContainer(value: object, path: string, encoding: Encoding): Sliced<JsonValue> {
  if (Array.isArray(value)) return yield* encodeArray(value, path, encoding);
  switch (Object.getPrototypeOf(value)) {
    case Date.prototype:
      checkNoFields(value, path);
      return encodeDate(value as Date);
    case Map.prototype:
      checkNoFields(value, path);
      return { $: "map", value: yield* encodePairs(value as Map<unknown, unknown>, path, encoding) };
    case Set.prototype:
      checkNoFields(value, path);
      return { $: "set", value: yield* encodeItems(value as Set<unknown>, `${path}: item `, "", encoding) };
    case TensorRef.prototype:
      return encodeTensorRef(value as TensorRef, path);
    default:
      return yield* encodePlain(value, path, encoding);
  }
}

function* encodePairs(map: Map<unknown, unknown>, path: string, encoding: Encoding): Sliced<JsonValue[]> {
  const pairs: JsonValue[] = [];
  for (const [key, item] of map) {
    const index = pairs.length;
    pairs.push([
      isPlainLeaf(key) ? key : yield* encode(key, `${path}: key ${index}`, encoding),
      isPlainLeaf(item) ? item : yield* encode(item, `${path}: value ${index}`, encoding),
    ]);
    if (encoding.slice.isOver(2)) yield;
  }
  return pairs;
}

function hasHoles(list: readonly unknown[]): boolean {
  for (let index = 0; index < list.length; index++) {
    if (list[index] === undefined && !Object.hasOwn(list, index)) return true;
  }
  return false;
}

function* encodeArray(value: readonly unknown[], path: string, encoding: Encoding): Sliced<JsonValue> {
  if (
    Object.getPrototypeOf(value) !== Array.prototype || hasHoles(value) || hasFieldsOfItsOwn(value, value)
  ) {
    throw new TypeError(
      `${path} is an array of a class, or with holes or fields of its own, which cannot be saved`,
    );
  }
  return yield* encodeItems(value, `${path}[`, "]", encoding);
}

/** `before` and `after` stand around the index in the place of an item. */
function* encodeItems(
  items: Iterable<unknown>,
  before: string,
  after: string,
  encoding: Encoding,
): Sliced<JsonValue[]> {
  const json: JsonValue[] = [];
  for (const item of items) {
    json.push(isPlainLeaf(item) ? item : yield* encode(item, `${before}${json.length}${after}`, encoding));
    if (encoding.slice.isOver()) yield;
  }
  return json;
}

function encodeDate(value: Date): JsonValue {
  const ms = value.getTime();
  return { $: "date", value: Number.isNaN(ms) ? null : ms };
}

function encodeTensorRef(value: TensorRef, path: string): JsonValue {
  const name = checkedString(value.name, path);
  if (value.view !== undefined && !isViewName(value.view)) {
    throw new TypeError(`${path} is a view of an unknown kind, which cannot be saved`);
  }
  return value.view === undefined ? { $: "tensor", name } : { $: "tensor", name, view: value.view };
}

function* encodePlain(value: object, path: string, encoding: Encoding): Sliced<JsonValue> {
  const json: { [key: string]: JsonValue } = {};
  for (const [key, item] of plainEntries(value, path)) {
    checkedString(key, `a key of ${path}`);
    json[key.startsWith("$") ? `$${key}` : key] = isPlainLeaf(item)
      ? item
      : yield* encode(item, `${path}.${key}`, encoding);
    if (encoding.slice.isOver()) yield;
  }
  return json;
}

function checkNoFields(value: object, path: string): void {
  if (Reflect.ownKeys(value).length > 0) {
    throw new TypeError(`${path} has fields of its own, which cannot be saved`);
  }
}
