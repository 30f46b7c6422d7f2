import { type JsonValue, MAX_JSON_DEPTH, parseStrictJson, type StrictJsonOptions } from "./canonical_json.ts";
import { CairnError } from "./errors.ts";

const QUOTE = 0x22;
const COMMA = 0x2c;
const COLON = 0x3a;
const BACKSLASH = 0x5c;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;

/**
 * The entries of a JSON object in the order of the text, one at a time and held to what {@link parseStrictJson} holds a
 * text to. An object of a million entries is never there as a whole, which runtimes need far more than a million times
 * the time of one entry for. Throws `CairnError("invalid_file")`, possibly after some entries.
 */
export function* strictJsonEntries(
  text: string,
  what: string,
  options: StrictJsonOptions = {},
): Generator<[key: string, value: JsonValue]> {
  const keys = new Set<string>();
  let at = skipSpace(text, 0);
  if (text.charCodeAt(at) !== OPEN_BRACE) throw notJson(what, "it is no object");
  at = skipSpace(text, at + 1);
  const isEmpty = text.charCodeAt(at) === CLOSE_BRACE;
  while (!isEmpty) {
    if (text.charCodeAt(at) !== QUOTE) throw notJson(what, `there is no key at character ${at}`);
    const keyEnd = endOfString(text, at);
    const key = parseStrictJson(text.slice(at, keyEnd), what, options) as string;
    if (keys.has(key)) throw invalid(`${what} has the key ${shortened(key)} twice in one object`);
    keys.add(key);
    at = skipSpace(text, keyEnd);
    if (text.charCodeAt(at) !== COLON) throw notJson(what, `there is no colon at character ${at}`);
    const valueEnd = endOfValue(text, at + 1, what);
    yield [key, parseStrictJson(text.slice(at + 1, valueEnd), what, options)];
    at = valueEnd;
    if (text.charCodeAt(at) !== COMMA) break;
    at = skipSpace(text, at + 1);
  }
  if (text.charCodeAt(at) !== CLOSE_BRACE) throw notJson(what, "it ends too early");
  at = skipSpace(text, at + 1);
  if (at !== text.length) throw notJson(what, `something follows it at character ${at}`);
}

function skipSpace(text: string, start: number): number {
  let at = start;
  while (isSpace(text.charCodeAt(at))) at++;
  return at;
}

function isSpace(code: number): boolean {
  return code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09;
}

function endOfString(text: string, start: number): number {
  let at = start + 1;
  while (at < text.length && text.charCodeAt(at) !== QUOTE) at += text.charCodeAt(at) === BACKSLASH ? 2 : 1;
  return Math.min(at + 1, text.length);
}

/** Where the comma or brace stands that ends a value of an object. What is in between is not looked at yet. */
function endOfValue(text: string, start: number, what: string): number {
  let depth = 0;
  for (let at = start; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) at = endOfString(text, at) - 1;
    else if (code === OPEN_BRACE || code === OPEN_BRACKET) {
      if (++depth >= MAX_JSON_DEPTH) throw invalid(`${what} nests deeper than ${MAX_JSON_DEPTH} levels`);
    } else if (depth === 0 && (code === COMMA || code === CLOSE_BRACE)) return at;
    else if (code === CLOSE_BRACE || code === CLOSE_BRACKET) depth--;
  }
  return text.length;
}

function shortened(key: string): string {
  return JSON.stringify(key).slice(0, 200);
}

function notJson(what: string, reason: string): CairnError {
  return invalid(`${what} is not JSON: ${reason}`);
}

function invalid(message: string): CairnError {
  return new CairnError("invalid_file", message);
}
