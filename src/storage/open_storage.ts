import { CairnError } from "../base/errors.ts";
import { withoutAddressSecrets } from "../base/text/without_secrets.ts";
import { FileStorage } from "./file_storage.ts";
import { MemoryStorage } from "./memory_storage.ts";
import type { Storage } from "./storage.ts";

/**
 * Opens the storage that a location of its scheme names, such as `s3://bucket/runs/a`, which is passed as it was
 * given.
 */
export type StorageOpener = (location: string) => Storage | Promise<Storage>;

/**
 * Storages of others by the scheme of their locations, in lower case and without the colon:
 * `{ s3: (location) => S3Storage.open(location) }`. They are passed along wherever a location is, and there is no
 * list of them for the whole process, so that what a location means does not depend on which module was loaded first.
 */
export type Storages = Readonly<Record<string, StorageOpener>>;

/** Two letters at least: `C:` is a drive. */
const SCHEME = /^([a-z][a-z0-9+.-]+):(\/\/)?/i;
const SCHEME_NAME = /^[a-z][a-z0-9+.-]+$/;
const BUILT_IN = ["file", "memory", "s3"];
/** Those that need no slashes. */
const SHORT = ["file", "memory"];

const METHODS: readonly (keyof Storage)[] = [
  "describe",
  "list",
  "makeDirectory",
  "createExclusive",
  "openRead",
  "move",
  "remove",
  "syncDirectory",
  "freeBytes",
];

/** What was opened as `memory:name`, so that the same name is the same storage for the whole life of the process. */
const namedMemory = new Map<string, MemoryStorage>();

/**
 * The storage that a path or a URL names: a directory of the file system for a path or `file:`; for `memory:name`
 * one in the memory of this process, the same for the same name; an `S3Storage` for `s3://bucket/prefix`, with
 * credentials from the environment.
 *
 * @param storages Those of other schemes; one of a built-in scheme takes its place.
 * @throws CairnError `unsupported` that names the scheme for `gs:`, `hdfs:` and every other that is in
 * neither; TypeError for an empty path, for an opener that gave something else than a storage, and for a scheme that
 * is none.
 */
export async function openStorage(location: string | URL, storages: Storages = {}): Promise<Storage> {
  const text = String(location);
  const scheme = schemeOf(text, storages);
  const opener = openerOf(scheme, storages);
  if (opener !== undefined) return requireStorage(await opener(text), text);
  if (scheme === undefined) return await FileStorage.open(location);
  if (scheme === "file") return await FileStorage.open(fileUrl(text));
  refuseRemote(text, storages);
  if (scheme === "s3") {
    const { S3Storage } = await import("./s3/s3_storage.ts");
    return await S3Storage.open(text);
  }
  const name = text.slice("memory:".length).replace(/^\/+|\/+$/g, "");
  const known = namedMemory.get(name);
  if (known !== undefined) return known;
  const storage = new MemoryStorage();
  namedMemory.set(name, storage);
  return storage;
}

/**
 * Throws what {@link openStorage} throws for a scheme that it does not know, and does nothing for all else.
 *
 * @throws CairnError `unsupported`.
 */
export function refuseRemote(location: string | URL, storages: Storages = {}): void {
  const text = String(location);
  const scheme = schemeOf(text, storages);
  if (scheme === undefined || BUILT_IN.includes(scheme) || isOfOthers(text, storages)) return;
  const known = [...new Set([...BUILT_IN, ...Object.keys(storages)])].map((name) => `${name}:`).join(", ");
  throw new CairnError(
    "unsupported",
    `Cannot open "${
      withoutAddressSecrets(text).slice(0, 200)
    }": there is no storage for ${scheme}: here; there is ${known}, and any path. ` +
      `Pass storages: { ${quotedKey(scheme)}: (location) => … } with a Storage of your own`,
    { details: { path: withoutAddressSecrets(text), value: scheme } },
  );
}

/** Whether one of `storages` opens it. */
export function isOfOthers(location: string | URL, storages: Storages): boolean {
  return openerOf(schemeOf(String(location), storages), storages) !== undefined;
}

/** The path in text that may be a `file:` URL. */
export function localPath(location: string | URL): string | URL {
  return typeof location === "string" && schemeOf(location) === "file" ? fileUrl(location) : location;
}

/** @throws TypeError for a name that no location can have. */
function checkNames(storages: Storages): void {
  const wrong = Object.keys(storages).find((name) => !SCHEME_NAME.test(name));
  if (wrong === undefined) return;
  throw new TypeError(
    `storages has the scheme ${
      JSON.stringify(wrong)
    }; a scheme is two letters or more, in lower case and without the colon`,
  );
}

/** With two slashes any scheme is one; without, only those that are known are, as `run:1` is the name of a file. */
function schemeOf(text: string, storages: Storages = {}): string | undefined {
  checkNames(storages);
  const [, scheme, slashes] = SCHEME.exec(text) ?? [];
  const name = scheme?.toLowerCase();
  if (name === undefined) return undefined;
  const isKnown = SHORT.includes(name) || Object.hasOwn(storages, name);
  return slashes === undefined && !isKnown ? undefined : name;
}

function openerOf(scheme: string | undefined, storages: Storages): StorageOpener | undefined {
  return scheme !== undefined && Object.hasOwn(storages, scheme) ? storages[scheme] : undefined;
}

function requireStorage(storage: Storage, location: string): Storage {
  const missing = METHODS.filter((method) => typeof Reflect.get(Object(storage), method) !== "function");
  if (missing.length === 0) return storage;
  throw new TypeError(
    `What was opened for "${withoutAddressSecrets(location).slice(0, 200)}" is no Storage: it has no ${
      missing.join(", ")
    }`,
  );
}

function quotedKey(scheme: string): string {
  return /^[a-z][a-z0-9]*$/.test(scheme) ? scheme : JSON.stringify(scheme);
}

function fileUrl(text: string): URL {
  try {
    return new URL(text);
  } catch (cause) {
    throw new TypeError(`${JSON.stringify(text)} is no file: URL; expected one such as "file:///runs/a"`, {
      cause,
    });
  }
}
