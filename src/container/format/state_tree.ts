import { type JsonValue, plainEntries } from "../../base/canonical_json.ts";
import { CairnError } from "../../base/errors.ts";
import { TensorRef, VIEW_NAMES } from "./tensor_ref.ts";

export { TensorRef };

/** What a state tree may hold: plain data of JavaScript, and references to tensors. */
export type StateValue =
  | undefined
  | null
  | boolean
  | number
  | bigint
  | string
  | Date
  | Map<StateValue, StateValue>
  | Set<StateValue>
  | TensorRef
  | readonly StateValue[]
  | { readonly [key: string]: StateValue };

/** How deep a state tree may nest. */
export const MAX_STATE_DEPTH = 200;
/** The longest bigint, in decimal digits: reading one takes time that grows with the square of its length. */
export const MAX_BIGINT_DIGITS = 4096;

const MAX_DATE_MS = 8.64e15;
const SPECIAL_NUMBERS: ReadonlyMap<JsonValue, number> = new Map<JsonValue, number>([
  ["NaN", NaN],
  ["Infinity", Infinity],
  ["-Infinity", -Infinity],
  ["-0", -0],
]);

const PRIMITIVE_KINDS: ReadonlySet<JsonValue | undefined> = new Set(["undefined", "number", "bigint"]);

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
  return encode(value, "state", new Set());
}

function encode(value: unknown, path: string, above: Set<object>): JsonValue {
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
    case "object":
      return value === null ? null : encodeObject(value, path, above);
    default:
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

function encodeObject(value: object, path: string, above: Set<object>): JsonValue {
  if (above.has(value)) throw new TypeError(`${path} contains itself; a state tree has no cycles`);
  if (above.size >= MAX_STATE_DEPTH) throw new TypeError(`${path} is deeper than ${MAX_STATE_DEPTH} levels`);
  above.add(value);
  const json = encodeContainer(value, path, above);
  above.delete(value);
  return json;
}

function encodeContainer(value: object, path: string, above: Set<object>): JsonValue {
  if (Array.isArray(value)) return encodeArray(value, path, above);
  switch (Object.getPrototypeOf(value)) {
    case Date.prototype:
      checkNoFields(value, path);
      return encodeDate(value as Date);
    case Map.prototype: {
      checkNoFields(value, path);
      const pairs = [...value as Map<unknown, unknown>].map(([key, item], index) => [
        encode(key, `${path}: key ${index}`, above),
        encode(item, `${path}: value ${index}`, above),
      ]);
      return { $: "map", value: pairs };
    }
    case Set.prototype: {
      checkNoFields(value, path);
      const items = [...value as Set<unknown>];
      return { $: "set", value: items.map((item, index) => encode(item, `${path}: item ${index}`, above)) };
    }
    case TensorRef.prototype:
      return encodeTensorRef(value as TensorRef, path);
    default:
      return encodePlain(value, path, above);
  }
}

function encodeArray(value: readonly unknown[], path: string, above: Set<object>): JsonValue {
  if (Object.getPrototypeOf(value) !== Array.prototype || Object.keys(value).length !== value.length) {
    throw new TypeError(
      `${path} is an array of a class, or with holes or fields of its own, which cannot be saved`,
    );
  }
  return value.map((item, index) => encode(item, `${path}[${index}]`, above));
}

function encodeDate(value: Date): JsonValue {
  const ms = value.getTime();
  return { $: "date", value: Number.isNaN(ms) ? null : ms };
}

function encodeTensorRef(value: TensorRef, path: string): JsonValue {
  const name = checkedString(value.name, path);
  return value.view === undefined ? { $: "tensor", name } : { $: "tensor", name, view: value.view };
}

function encodePlain(value: object, path: string, above: Set<object>): JsonValue {
  const json: { [key: string]: JsonValue } = {};
  for (const [key, item] of plainEntries(value, path)) {
    checkedString(key, `a key of ${path}`);
    json[key.startsWith("$") ? `$${key}` : key] = encode(item, `${path}.${key}`, above);
  }
  return json;
}

function checkNoFields(value: object, path: string): void {
  if (Reflect.ownKeys(value).length > 0) {
    throw new TypeError(`${path} has fields of its own, which cannot be saved`);
  }
}

/**
 * The state tree that `encodeState` made this JSON of. Accepts nothing that `encodeState` does not write, and
 * throws `CairnError("invalid_container")` that names the place. Objects come out plain; `onTensor` sees each
 * reference.
 */
export function decodeState(json: JsonValue, onTensor: (tensor: TensorRef) => void = () => {}): StateValue {
  return decode(json, "state", { depth: 0, onTensor });
}

type JsonObject = { [key: string]: JsonValue };

interface Decoding {
  /** How many objects and arrays are around the value that is being decoded. */
  depth: number;
  readonly onTensor: (tensor: TensorRef) => void;
}

function decode(json: JsonValue, path: string, decoding: Decoding): StateValue {
  if (json === null || typeof json !== "object") return json;
  // These stand for a primitive, so they are no level of their own.
  const isPrimitive = !Array.isArray(json) && PRIMITIVE_KINDS.has(json.$);
  if (decoding.depth >= MAX_STATE_DEPTH && !isPrimitive) {
    throw invalid(path, `is deeper than ${MAX_STATE_DEPTH} levels`);
  }
  decoding.depth++;
  const state = Array.isArray(json)
    ? json.map((item, index) => decode(item, `${path}[${index}]`, decoding))
    : Object.hasOwn(json, "$")
    ? decodeTagged(json, path, decoding)
    : decodePlain(json, path, decoding);
  decoding.depth--;
  return state;
}

function decodePlain(json: JsonObject, path: string, decoding: Decoding): StateValue {
  const state: { [key: string]: StateValue } = {};
  for (const [key, item] of Object.entries(json)) {
    if (key.startsWith("$") && !key.startsWith("$$")) {
      throw invalid(path, `has the key "${key}", which is reserved`);
    }
    // Assigning `__proto__` would change the object's class; no writer makes such a key.
    if (key === "__proto__") throw invalid(path, "has the key __proto__");
    state[key.startsWith("$$") ? key.slice(1) : key] = decode(item, `${path}.${key}`, decoding);
  }
  return state;
}

function decodeTagged(json: JsonObject, path: string, decoding: Decoding): StateValue {
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
      return decodeValue(json.$, json.value as JsonValue, path, decoding);
    default:
      throw invalid(path, `is of the kind ${JSON.stringify(json.$).slice(0, 80)}, which does not exist`);
  }
}

function decodeValue(
  kind: "number" | "bigint" | "date" | "map" | "set",
  value: JsonValue,
  path: string,
  decoding: Decoding,
): StateValue {
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
      return decodeMap(value, path, decoding);
    case "set":
      return decodeSet(value, path, decoding);
  }
}

function decodeBigint(value: JsonValue, path: string): bigint {
  const isDigits = typeof value === "string" && value.length <= MAX_BIGINT_DIGITS &&
    /^(?:0|-?[1-9][0-9]*)$/.test(value);
  if (!isDigits) throw invalid(path, `is no bigint of ${MAX_BIGINT_DIGITS} digits at most`);
  return BigInt(value);
}

function decodeMap(value: JsonValue, path: string, decoding: Decoding): Map<StateValue, StateValue> {
  if (!Array.isArray(value)) throw invalid(path, "is a map without entries");
  const map = new Map<StateValue, StateValue>();
  for (const [index, pair] of value.entries()) {
    if (!Array.isArray(pair) || pair.length !== 2) {
      throw invalid(path, `has an entry ${index} that is no pair`);
    }
    const [key, item] = pair as [JsonValue, JsonValue];
    map.set(
      decodeKey(key, `${path}: key ${index}`, decoding),
      decode(item, `${path}: value ${index}`, decoding),
    );
    if (map.size !== index + 1) throw invalid(path, `has the key of entry ${index} twice`);
  }
  return map;
}

function decodeSet(value: JsonValue, path: string, decoding: Decoding): Set<StateValue> {
  if (!Array.isArray(value)) throw invalid(path, "is a set without items");
  const set = new Set<StateValue>();
  for (const [index, item] of value.entries()) {
    set.add(decodeKey(item, `${path}: item ${index}`, decoding));
    if (set.size !== index + 1) throw invalid(path, `has item ${index} twice`);
  }
  return set;
}

/** A map's key or a set's item, where -0 cannot be: both classes turn it into 0. */
function decodeKey(json: JsonValue, path: string, decoding: Decoding): StateValue {
  const key = decode(json, path, decoding);
  if (Object.is(key, -0)) throw invalid(path, "is -0, which no map or set holds");
  return key;
}

function decodeTensorRef(json: JsonObject, path: string, decoding: Decoding): TensorRef {
  checkKeys(json, path, Object.hasOwn(json, "view") ? ["$", "name", "view"] : ["$", "name"]);
  const { name, view } = json;
  if (typeof name !== "string") throw invalid(path, "is a tensor without a name");
  if (view !== undefined && !(VIEW_NAMES as readonly JsonValue[]).includes(view)) {
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
