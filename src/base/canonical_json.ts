import { CairnError } from "./errors.ts";
import { atOnce, type Sliced } from "./slices.ts";

/** What JSON can say. */
export type JsonValue = null | boolean | number | string | JsonValue[] | { [key: string]: JsonValue };

/**
 * How deep arrays and objects may nest. Far above what anyone writes by hand, far below every runtime's
 * stack, so that each of them accepts and refuses the same texts.
 */
export const MAX_JSON_DEPTH = 1000;

/** Characters in a piece of text: what is written, read or compared in one slice. */
const PIECE_CHARS = 16 * 1024;
/** Looking at a character takes less time than writing it. */
const SCANNED_CHARS = 16 * PIECE_CHARS;

/**
 * JSON text without spaces, keys in the object's own order: equal values give equal bytes.
 * Throws a `TypeError` that names the place for whatever JSON would silently drop or change: NaN,
 * infinities, -0, `undefined`, lone surrogates, holes, accessors, symbol keys, class instances, and the
 * key `__proto__`. Each property is read once.
 */
export function toCanonicalJson(value: JsonValue): string {
  return [...canonicalJsonPieces(value)].join("");
}

/** The text of {@link toCanonicalJson} in pieces of some 16 KiB, each made when it is asked for. */
export function* canonicalJsonPieces(value: JsonValue): Generator<string, void, void> {
  const written: Written = { text: "" };
  yield* write(value, "$", 0, written);
  if (written.text !== "") yield written.text;
}

/** As {@link parseCanonicalJsonSliced}, in one go. */
export function parseCanonicalJson(text: string, what: string): JsonValue {
  return atOnce(parseCanonicalJsonSliced(text, what));
}

/**
 * The value of a canonical JSON text; `what` names the text in messages. Text counts as canonical when
 * writing its value again gives the same text, which rules out duplicate keys, spaces, odd numbers and
 * needless escapes. Throws `CairnError("invalid_container")` for anything else, on every runtime alike.
 * `JSON.parse` is one slice, whatever the length.
 */
export function* parseCanonicalJsonSliced(text: string, what: string): Sliced<JsonValue> {
  if ((yield* nestingDepth(text)) > MAX_JSON_DEPTH) {
    throw invalid(`${what} nests deeper than ${MAX_JSON_DEPTH} levels`);
  }
  let at = 0;
  try {
    const value: JsonValue = JSON.parse(text);
    yield;
    for (const piece of canonicalJsonPieces(value)) {
      if (!text.startsWith(piece, at)) {
        const place = at + firstDifference(piece, text.slice(at, at + piece.length));
        throw new SyntaxError(`written again it differs from character ${place} on`);
      }
      at += piece.length;
      yield;
    }
    if (at === text.length) return value;
  } catch (cause) {
    throw invalid(`${what} is not canonical JSON: ${cause instanceof Error ? cause.message : cause}`, cause);
  }
  throw invalid(`${what} is not canonical JSON: written again it differs from character ${at} on`);
}

/** Options of {@link parseStrictJson}. */
export interface StrictJsonOptions {
  /** Refuse every number that is not a safe integer from 0 on, in plain digits: a format's sizes and offsets. */
  readonly naturalNumbersOnly?: boolean | undefined;
}

/**
 * The value of a foreign JSON text, with any spacing; `what` names the text in messages. Duplicate keys, text that is
 * no valid Unicode, and nesting beyond {@link MAX_JSON_DEPTH} are refused. A key `__proto__` is an own property like
 * any other: go through the result with `Object.entries` and `Object.hasOwn`. Throws `CairnError("invalid_file")`.
 */
export function parseStrictJson(text: string, what: string, options: StrictJsonOptions = {}): JsonValue {
  if (atOnce(nestingDepth(text)) > MAX_JSON_DEPTH) {
    throw new CairnError("invalid_file", `${what} nests deeper than ${MAX_JSON_DEPTH} levels`);
  }
  let value: JsonValue;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new CairnError("invalid_file", `${what} is not JSON: ${reason}`, { cause });
  }
  const problem = problemOfTokens(text, options.naturalNumbersOnly ?? false);
  if (problem !== undefined) throw new CairnError("invalid_file", `${what} ${problem}`);
  return value;
}

/** Text that no piece has taken yet. */
interface Written {
  text: string;
}

function* write(
  value: unknown,
  path: string,
  depth: number,
  written: Written,
): Generator<string, void, void> {
  if (typeof value === "object" && value !== null) {
    if (depth >= MAX_JSON_DEPTH) throw new TypeError(`${path} nests deeper than ${MAX_JSON_DEPTH} levels`);
    yield* Array.isArray(value)
      ? writeArray(value, path, depth, written)
      : writeObject(value, path, depth, written);
  } else if (typeof value === "string" && value.length > PIECE_CHARS) {
    yield* writeLongString(value, path, written);
  } else written.text += writeLeaf(value, path);
}

/** Most values: those that need neither a place nor a slice of their own. `undefined` for any other. */
function plainLeaf(value: unknown): string | undefined {
  if (typeof value === "string") {
    return value.length <= PIECE_CHARS && value.isWellFormed() ? JSON.stringify(value) : undefined;
  }
  if (typeof value === "number") {
    return Number.isFinite(value) && !Object.is(value, -0) ? String(value) : undefined;
  }
  return value === null || typeof value === "boolean" ? String(value) : undefined;
}

function writeLeaf(value: unknown, path: string): string {
  switch (typeof value) {
    case "string":
      return writeString(value, path);
    case "number":
      if (Number.isFinite(value) && !Object.is(value, -0)) return String(value);
      throw new TypeError(`${path} is ${Object.is(value, -0) ? "-0" : value}, which JSON cannot express`);
    case "boolean":
      return String(value);
    default:
      if (value === null) return "null";
      throw new TypeError(`${path} is ${typeof value}, which JSON cannot express`);
  }
}

function writeString(value: string, path: string): string {
  if (!value.isWellFormed()) throw new TypeError(`${path} holds a lone surrogate, which is no valid text`);
  return JSON.stringify(value);
}

function* writeLongString(value: string, path: string, written: Written): Generator<string, void, void> {
  written.text += '"';
  for (let start = 0; start < value.length;) {
    let end = Math.min(value.length, start + PIECE_CHARS);
    // Two halves of a character have to stay together.
    if ((value.charCodeAt(end - 1) & 0xfc00) === 0xd800) end++;
    written.text += writeString(value.slice(start, end), path).slice(1, -1);
    start = end;
    if (isFull(written)) yield take(written);
  }
  written.text += '"';
}

function* writeArray(
  value: readonly unknown[],
  path: string,
  depth: number,
  written: Written,
): Generator<string, void, void> {
  written.text += "[";
  for (let i = 0; i < value.length; i++) {
    if (i > 0) written.text += ",";
    const item = value[i];
    const text = plainLeaf(item);
    if (text === undefined) yield* write(item, `${path}[${i}]`, depth + 1, written);
    else written.text += text;
    if (isFull(written)) yield take(written);
  }
  written.text += "]";
}

function* writeObject(
  value: object,
  path: string,
  depth: number,
  written: Written,
): Generator<string, void, void> {
  written.text += "{";
  let isFirst = true;
  for (const [key, field] of plainEntries(value, path)) {
    written.text += `${isFirst ? "" : ","}${writeString(key, `a key of ${path}`)}:`;
    isFirst = false;
    const text = plainLeaf(field);
    if (text === undefined) yield* write(field, `${path}.${key}`, depth + 1, written);
    else written.text += text;
    if (isFull(written)) yield take(written);
  }
  written.text += "}";
}

function isFull({ text }: Written): boolean {
  return text.length >= PIECE_CHARS;
}

function take(written: Written): string {
  const { text } = written;
  written.text = "";
  return text;
}

/**
 * The entries of a plain object, each read once, when it is asked for. Throws a `TypeError` that names `path` when
 * the object is of a class, or has a symbol key, an accessor, a hidden property or the key `__proto__`.
 */
export function* plainEntries(value: object, path: string): Generator<[string, unknown], void, void> {
  const prototype = Object.getPrototypeOf(value);
  if (prototype !== null && Object.getPrototypeOf(prototype) !== null) {
    throw new TypeError(
      `${path} is a ${prototype.constructor?.name ?? "class"} instance; only plain objects fit`,
    );
  }
  for (const key of Reflect.ownKeys(value)) {
    const property = Object.getOwnPropertyDescriptor(value, key);
    if (typeof key === "symbol" || key === "__proto__") {
      throw new TypeError(`${path} has the key ${String(key)}, which cannot be kept`);
    }
    if (!property?.enumerable || !("value" in property)) {
      throw new TypeError(`${path}.${key} is an accessor or hidden property; only plain fields fit`);
    }
    yield [key, property.value];
  }
}

/**
 * The deepest nesting in a JSON text, found without parsing, which takes seconds for a hostile one (brackets inside
 * strings do not count).
 */
function* nestingDepth(text: string): Sliced<number> {
  let depth = 0;
  let deepest = 0;
  let inString = false;
  for (let i = 0, pause = SCANNED_CHARS; i < text.length; i++) {
    if (i >= pause) {
      pause = i + SCANNED_CHARS;
      yield;
    }
    const code = text.charCodeAt(i);
    if (inString) {
      if (code === 0x5c) i++;
      else if (code === 0x22) inString = false;
    } else if (code === 0x22) inString = true;
    else if (code === 0x5b || code === 0x7b) deepest = Math.max(deepest, ++depth);
    else if (code === 0x5d || code === 0x7d) depth--;
  }
  return deepest;
}

/** What strictness has to say about a text that is known to be JSON, which lets this look at tokens only. */
function problemOfTokens(text: string, naturalNumbersOnly: boolean): string | undefined {
  // The keys of each object that is open; an array has none.
  const open: (Set<string> | undefined)[] = [];
  const number = /-?[0-9][0-9.eE+-]*/y;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code === 0x7b) open.push(new Set());
    else if (code === 0x5b) open.push(undefined);
    else if (code === 0x7d || code === 0x5d) open.pop();
    else if (code === 0x22) {
      const end = endOfString(text, i);
      const problem = problemOfString(text, i, end, open.at(-1));
      if (problem !== undefined) return problem;
      i = end - 1;
    } else if (code === 0x2d || (code >= 0x30 && code <= 0x39)) {
      number.lastIndex = i;
      const literal = number.exec(text)?.[0] ?? "";
      if (naturalNumbersOnly && !isNatural(literal)) {
        return `has the number ${literal} where only integers from 0 fit`;
      }
      i += literal.length - 1;
    }
  }
  return undefined;
}

function problemOfString(
  text: string,
  start: number,
  end: number,
  keys: Set<string> | undefined,
): string | undefined {
  const literal = text.slice(start, end);
  const value: string = literal.includes("\\") ? JSON.parse(literal) : literal.slice(1, -1);
  if (!value.isWellFormed()) return "holds a lone surrogate, which is no valid text";
  let next = end;
  while (" \t\n\r".includes(text[next] ?? "x")) next++;
  // Only a key has a colon behind it.
  if (text[next] !== ":" || keys === undefined) return undefined;
  if (keys.has(value)) return `has the key ${JSON.stringify(value).slice(0, 200)} twice in one object`;
  keys.add(value);
  return undefined;
}

/** Where the string literal ends that begins at `start`, behind its closing quote. */
function endOfString(text: string, start: number): number {
  let i = start + 1;
  while (i < text.length && text.charCodeAt(i) !== 0x22) i += text.charCodeAt(i) === 0x5c ? 2 : 1;
  return i + 1;
}

function isNatural(literal: string): boolean {
  return /^[0-9]+$/.test(literal) && Number.isSafeInteger(Number(literal));
}

function firstDifference(a: string, b: string): number {
  let i = 0;
  while (i < a.length && a[i] === b[i]) i++;
  return i;
}

function invalid(message: string, cause?: unknown): CairnError {
  return new CairnError("invalid_container", message, { cause });
}
