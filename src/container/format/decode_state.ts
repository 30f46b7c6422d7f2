import type { JsonValue } from "../../base/canonical_json.ts";
import { CairnError } from "../../base/errors.ts";
import { atOnce, Slice, type Sliced } from "../../base/slices.ts";
import { MAX_BIGINT_DIGITS, MAX_STATE_DEPTH, type StateValue } from "./state_tree.ts";
import { isViewName, TensorRef } from "./tensor_ref.ts";

const MAX_DATE_MS = 8.64e15;
const SPECIAL_NUMBERS: ReadonlyMap<JsonValue, number> = new Map<JsonValue, number>([
  ["NaN", NaN],
  ["Infinity", Infinity],
  ["-Infinity", -Infinity],
  ["-0", -0],
]);

const PRIMITIVE_KINDS: ReadonlySet<JsonValue | undefined> = new Set(["undefined", "number", "bigint"]);

/**
 * The state tree that `encodeState` made this JSON of. Accepts nothing that `encodeState` does not write, and
 * throws `CairnError("invalid_container")` that names the place. Objects come out plain; `onTensor` sees each
 * reference.
 */
export function decodeState(json: JsonValue, onTensor: (tensor: TensorRef) => void = () => {}): StateValue {
  return atOnce(decodeStateSliced(json, onTensor));
}

/** As {@link decodeState}, in slices. */
export function* decodeStateSliced(
  json: JsonValue,
  onTensor: (tensor: TensorRef) => void,
): Sliced<StateValue> {
  return yield* decode(json, "state", { depth: 0, onTensor, slice: new Slice() });
}

type JsonObject = { [key: string]: JsonValue };

interface Decoding {
  /** How many objects and arrays are around the value that is being decoded. */
  depth: number;
  readonly onTensor: (tensor: TensorRef) => void;
  readonly slice: Slice;
}

/** Whether a value of JSON stands for itself. */
function isLeaf(json: JsonValue): json is null | boolean | number | string {
  return json === null || typeof json !== "object";
}

function* decode(json: JsonValue, path: string, decoding: Decoding): Sliced<StateValue> {
  if (isLeaf(json)) return json;
  // These stand for a primitive, so they are no level of their own.
  const isPrimitive = !Array.isArray(json) && PRIMITIVE_KINDS.has(json.$);
  if (decoding.depth >= MAX_STATE_DEPTH && !isPrimitive) {
    throw invalid(path, `is deeper than ${MAX_STATE_DEPTH} levels`);
  }
  decoding.depth++;
  const state = Array.isArray(json)
    ? yield* decodeList(json, path, decoding)
    : Object.hasOwn(json, "$")
    ? yield* decodeTagged(json, path, decoding)
    : yield* decodePlain(json, path, decoding);
  decoding.depth--;
  return state;
}

function* decodeList(json: readonly JsonValue[], path: string, decoding: Decoding): Sliced<StateValue> {
  const state: StateValue[] = [];
  for (const item of json) {
    state.push(isLeaf(item) ? item : yield* decode(item, `${path}[${state.length}]`, decoding));
    if (decoding.slice.isOver()) yield;
  }
  return state;
}

function* decodePlain(json: JsonObject, path: string, decoding: Decoding): Sliced<StateValue> {
  const state: { [key: string]: StateValue } = {};
  for (const key of Object.keys(json)) {
    if (key.startsWith("$") && !key.startsWith("$$")) {
      throw invalid(path, `has the key "${key}", which is reserved`);
    }
    // Assigning `__proto__` would change the object's class; no writer makes such a key.
    if (key === "__proto__") throw invalid(path, "has the key __proto__");
    const item = json[key] as JsonValue;
    state[key.startsWith("$$") ? key.slice(1) : key] = isLeaf(item)
      ? item
      : yield* decode(item, `${path}.${key}`, decoding);
    if (decoding.slice.isOver()) yield;
  }
  return state;
}

function* decodeTagged(json: JsonObject, path: string, decoding: Decoding): Sliced<StateValue> {
  switch (json.$) {
    case "undefined":
      checkKeys(json, path, ["$"]);
      return undefined;
    case "tensor":
      return decodeTensorRef(json, path, decoding);
    case "number":
    case "bigint":
    case "date":
    case "map":
    case "set":
      checkKeys(json, path, ["$", "value"]);
      return yield* decodeValue(json.$, json.value as JsonValue, path, decoding);
    default:
      throw invalid(path, `is of the kind ${JSON.stringify(json.$).slice(0, 80)}, which does not exist`);
  }
}

function* decodeValue(
  kind: "number" | "bigint" | "date" | "map" | "set",
  value: JsonValue,
  path: string,
  decoding: Decoding,
): Sliced<StateValue> {
  switch (kind) {
    case "number": {
      const number = SPECIAL_NUMBERS.get(value);
      if (number === undefined) {
        throw invalid(path, `is no special number: ${JSON.stringify(value).slice(0, 80)}`);
      }
      return number;
    }
    case "bigint":
      return decodeBigint(value, path);
    case "date":
      if (value === null) return new Date(NaN);
      if (typeof value !== "number" || !Number.isInteger(value) || Math.abs(value) > MAX_DATE_MS) {
        throw invalid(path, "is no date");
      }
      return new Date(value);
    case "map":
      return yield* decodeMap(value, path, decoding);
    case "set":
      return yield* decodeSet(value, path, decoding);
  }
}

function decodeBigint(value: JsonValue, path: string): bigint {
  const isDigits = typeof value === "string" && value.length <= MAX_BIGINT_DIGITS &&
    /^(?:0|-?[1-9][0-9]*)$/.test(value);
  if (!isDigits) throw invalid(path, `is no bigint of ${MAX_BIGINT_DIGITS} digits at most`);
  return BigInt(value);
}

function* decodeMap(value: JsonValue, path: string, decoding: Decoding): Sliced<Map<StateValue, StateValue>> {
  if (!Array.isArray(value)) throw invalid(path, "is a map without entries");
  const map = new Map<StateValue, StateValue>();
  for (const [index, pair] of value.entries()) {
    if (!Array.isArray(pair) || pair.length !== 2) {
      throw invalid(path, `has an entry ${index} that is no pair`);
    }
    const [key, item] = pair as [JsonValue, JsonValue];
    map.set(
      yield* decodeKey(key, `${path}: key ${index}`, decoding),
      isLeaf(item) ? item : yield* decode(item, `${path}: value ${index}`, decoding),
    );
    if (map.size !== index + 1) throw invalid(path, `has the key of entry ${index} twice`);
    if (decoding.slice.isOver(2)) yield;
  }
  return map;
}

function* decodeSet(value: JsonValue, path: string, decoding: Decoding): Sliced<Set<StateValue>> {
  if (!Array.isArray(value)) throw invalid(path, "is a set without items");
  const set = new Set<StateValue>();
  for (const [index, item] of value.entries()) {
    set.add(yield* decodeKey(item, `${path}: item ${index}`, decoding));
    if (set.size !== index + 1) throw invalid(path, `has item ${index} twice`);
    if (decoding.slice.isOver()) yield;
  }
  return set;
}

/** A map's key or a set's item, where -0 cannot be: both classes turn it into 0. */
function* decodeKey(json: JsonValue, path: string, decoding: Decoding): Sliced<StateValue> {
  const key = yield* decode(json, path, decoding);
  if (Object.is(key, -0)) throw invalid(path, "is -0, which no map or set holds");
  return key;
}

function decodeTensorRef(json: JsonObject, path: string, decoding: Decoding): TensorRef {
  checkKeys(json, path, Object.hasOwn(json, "view") ? ["$", "name", "view"] : ["$", "name"]);
  const { name, view } = json;
  if (typeof name !== "string") throw invalid(path, "is a tensor without a name");
  if (view !== undefined && !isViewName(view)) {
    throw invalid(path, "is a view of an unknown kind");
  }
  const tensor = new TensorRef(name, view as string | undefined);
  decoding.onTensor(tensor);
  return tensor;
}

function checkKeys(json: JsonObject, path: string, expected: readonly string[]): void {
  const keys = Object.keys(json);
  if (keys.length !== expected.length || !expected.every((key, i) => key === keys[i])) {
    throw invalid(
      path,
      `is a ${json.$} with the keys ${keys.join(", ").slice(0, 80)}; expected ${expected.join(", ")}`,
    );
  }
}

function invalid(path: string, problem: string): CairnError {
  return new CairnError("invalid_container", `The state tree is not valid: ${path} ${problem}`);
}
