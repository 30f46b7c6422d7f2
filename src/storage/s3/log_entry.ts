import { type JsonValue, parseCanonicalJson, toCanonicalJson } from "../../base/canonical_json.ts";
import { crc32 } from "../../base/crc32/crc32.ts";
import { CairnError } from "../../base/errors.ts";
import { hexOf } from "../../base/hex.ts";

/** Where the bytes of a file are. */
export interface LoggedFile {
  /** The object, below the prefix. Nothing else ever has its name. */
  readonly key: string;
  readonly byteLength: number;
  /** When it got its name, by the store's clock. */
  readonly modifiedMs: number;
}

/** One entry of the log: all files that exist from it on, until the next one. */
export interface LogEntry {
  /** 0 before the first one. */
  readonly number: number;
  /** Random: tells the entry from one that another writer wrote under this number. */
  readonly nonce: string;
  /** The nonces of the entries before it, the last one first. */
  readonly before: readonly string[];
  readonly files: ReadonlyMap<string, LoggedFile>;
  /** Who alone may change what is in a directory, by its path: the token of the writer that took it over last. */
  readonly owners: ReadonlyMap<string, string>;
}

/** What an entry says that its writer chose. */
export type LogContent = Pick<LogEntry, "files" | "owners">;

/** What a log is before its first entry. */
export const EMPTY_LOG: LogEntry = { number: 0, nonce: "", before: [], files: new Map(), owners: new Map() };

/** Where the entries are, below the prefix. */
export const LOG_PREFIX = "log/";

const FORMAT = "cairn-log-1";
/** How many entries back a writer can find out that its own is among them. */
const MOST_BEFORE = 256;
const NAME = /^log\/(\d{16})$/;

/** The object of an entry. In order of number, as lists are in order of name. */
export function keyOfEntry(number: number): string {
  return LOG_PREFIX + String(number).padStart(16, "0");
}

/** The number of an entry's object; `undefined` for another object. */
export function numberOfEntry(key: string): number | undefined {
  const digits = NAME.exec(key)?.[1];
  return digits === undefined ? undefined : Number(digits);
}

/** The entry after `base`, with another content. */
export function entryAfter(base: LogEntry, nonce: string, content: LogContent): LogEntry {
  const before = base.number === 0 ? [] : [base.nonce, ...base.before].slice(0, MOST_BEFORE);
  return { number: base.number + 1, nonce, before, ...content };
}

/**
 * Whether `ours` is `newest`, or one of those that it follows from; `undefined` where there are too many between them
 * to say.
 */
export function includes(newest: LogEntry, ours: LogEntry): boolean | undefined {
  const distance = newest.number - ours.number;
  if (distance > MOST_BEFORE) return undefined;
  return (distance === 0 ? newest.nonce : newest.before[distance - 1]) === ours.nonce;
}

/** An entry as it is stored: a line of canonical JSON, and its CRC-32. */
export function encodeEntry({ number, nonce, before, files, owners }: LogEntry): Uint8Array<ArrayBuffer> {
  const fileObject: Record<string, JsonValue> = Object.create(null);
  for (const [path, { key, byteLength, modifiedMs }] of files) {
    fileObject[path] = { key, byteLength, modifiedMs };
  }
  const ownerObject: Record<string, JsonValue> = Object.assign(
    Object.create(null),
    Object.fromEntries(owners),
  );
  const json = toCanonicalJson({
    format: FORMAT,
    number,
    nonce,
    before: [...before],
    files: fileObject,
    owners: ownerObject,
  });
  const line = new TextEncoder().encode(`${json}\n`);
  const checksum = new TextEncoder().encode(`${hexOf(crc32(line))}\n`);
  const bytes = new Uint8Array(line.byteLength + checksum.byteLength);
  bytes.set(line);
  bytes.set(checksum, line.byteLength);
  return bytes;
}

/**
 * The entry that was stored.
 *
 * @param name Its full name, for messages.
 * @throws CairnError `checksum_mismatch` for a damaged one, `unsupported` for one of a newer format,
 * `invalid_container` for what is none.
 */
export function decodeEntry(bytes: Uint8Array, number: number, name: string): LogEntry {
  const line = bytes.subarray(0, Math.max(0, bytes.byteLength - 9));
  const said = new TextDecoder().decode(bytes.subarray(line.byteLength));
  if (said !== `${hexOf(crc32(line))}\n`) {
    throw new CairnError(
      "checksum_mismatch",
      `The log entry "${name}" is damaged: it has checksum ${hexOf(crc32(line))}, expected ${
        said.trim().slice(0, 8)
      }`,
      { details: { path: name, op: "read" } },
    );
  }
  const value = parseCanonicalJson(new TextDecoder().decode(line).trimEnd(), name);
  const { format, nonce, before, files, owners } = asObject(value, name);
  if (format !== FORMAT) {
    throw new CairnError(
      "unsupported",
      `The log entry "${name}" has the format ${
        JSON.stringify(format)
      }, expected "${FORMAT}"; use a newer version`,
      { details: { path: name, value: format } },
    );
  }
  const nonces = Array.isArray(before) ? before.map(String) : [];
  if (typeof nonce !== "string" || asObject(value, name).number !== number) throw invalid(name);
  const entries = Object.entries(asObject(files, name)).map(([path, file]) =>
    [path, fileOf(file, name)] as const
  );
  const tokens = Object.entries(asObject(owners, name)).map(([path, token]) =>
    [path, String(token)] as const
  );
  return { number, nonce, before: nonces, files: new Map(entries), owners: new Map(tokens) };
}

function fileOf(value: JsonValue | undefined, name: string): LoggedFile {
  const { key, byteLength, modifiedMs } = asObject(value, name);
  if (typeof key !== "string" || typeof byteLength !== "number" || typeof modifiedMs !== "number") {
    throw invalid(name);
  }
  return { key, byteLength, modifiedMs };
}

function asObject(value: JsonValue | undefined, name: string): { [key: string]: JsonValue } {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw invalid(name);
  return value;
}

function invalid(name: string): CairnError {
  return new CairnError("invalid_container", `"${name}" is no entry of a log; something else wrote it`, {
    details: { path: name },
  });
}
