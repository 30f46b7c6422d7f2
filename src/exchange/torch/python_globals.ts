import { CairnError } from "../../base/errors.ts";
import { ComplexNumber, PickleDict, PickleGlobal, PickleSet, type PickleValue } from "./pickle_values.ts";

type Call = (args: readonly PickleValue[]) => PickleValue;

/** The names of Python's own plain values that have no instruction of their own in a pickle. */
export function pythonGlobal(name: string): PickleGlobal | undefined {
  // Before protocol 3 the module has the name that it had in Python 2.
  const full = name.replace(/^__builtin__\./, "builtins.");
  const call = Object.hasOwn(FUNCTIONS, full) ? FUNCTIONS[full] : undefined;
  return call === undefined ? undefined : new PickleGlobal(name, call);
}

const FUNCTIONS: Readonly<Record<string, Call>> = {
  "builtins.set": (args) => setOf(args, "set"),
  "builtins.frozenset": (args) => setOf(args, "frozenset"),
  "builtins.bytes": (args) => bytesOf(args, "bytes"),
  "builtins.bytearray": (args) => bytesOf(args, "bytearray"),
  "builtins.complex": complex,
  "collections.OrderedDict": (args) => dictOf(args, "collections.OrderedDict"),
  "collections.Counter": (args) => dictOf(args, "collections.Counter"),
  // What it makes for a key that is missing is of no use here, whatever it is.
  "collections.defaultdict": ([, ...args]) => dictOf(args, "collections.defaultdict"),
  "collections.deque": deque,
  // How bytes are said in protocol 2: as a text of the first 256 letters.
  "_codecs.encode": (args) => args.length === 2 ? bytesOf(args, "_codecs.encode") : refuse("_codecs.encode"),
};

function setOf([items = [], ...more]: readonly PickleValue[], name: string): PickleValue {
  const made = new PickleSet();
  const from = items instanceof PickleSet ? [...items.items] : items;
  if (!Array.isArray(from) || more.length > 0) return refuse(`builtins.${name}`);
  for (const item of from) made.items.add(item);
  return made;
}

function bytesOf([from, encoding, ...more]: readonly PickleValue[], name: string): Uint8Array {
  if (more.length > 0) return refuse(name);
  if (from === undefined) return new Uint8Array(0);
  if (from instanceof Uint8Array && encoding === undefined) return from.slice();
  if (Array.isArray(from) && from.every(isByte) && encoding === undefined) return Uint8Array.from(from);
  const isLatin1 = encoding === "latin1" || encoding === "latin-1";
  return typeof from === "string" && isLatin1 ? latin1(from, name) : refuse(name);
}

function latin1(text: string, name: string): Uint8Array {
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code > 255) return refuse(name);
    bytes[i] = code;
  }
  return bytes;
}

function complex([real, imaginary, ...more]: readonly PickleValue[]): PickleValue {
  const isNumber = typeof real === "number" && typeof imaginary === "number" && more.length === 0;
  return isNumber ? new ComplexNumber(real, imaginary) : refuse("builtins.complex");
}

function dictOf([from = [], ...more]: readonly PickleValue[], name: string): PickleValue {
  const dict = new PickleDict();
  if (more.length > 0) return refuse(name);
  if (from instanceof PickleDict) {
    for (const [key, value] of from.items) dict.items.set(key, value);
    return dict;
  }
  if (!Array.isArray(from)) return refuse(name);
  for (const item of from) {
    if (!Array.isArray(item) || item.length !== 2) return refuse(name);
    dict.items.set(item[0] as PickleValue, item[1] as PickleValue);
  }
  return dict;
}

/** The most that it may hold is for those who add to it. */
function deque([items = [], longest = null, ...more]: readonly PickleValue[]): PickleValue {
  const isDeque = Array.isArray(items) && (longest === null || typeof longest === "number") &&
    more.length === 0;
  return isDeque ? [...items] : refuse("collections.deque");
}

function isByte(value: PickleValue): value is number {
  return typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= 255;
}

/** Of a call with arguments that the function does not take. @throws CairnError `invalid_file`. */
export function refuse(name: string): never {
  throw new CairnError("invalid_file", `The pickle calls ${name} with arguments that it does not take`);
}
