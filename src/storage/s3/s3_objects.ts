import { CairnError } from "../../base/errors.ts";
import { isPassingRefusal, type S3Answer, type S3Client, type S3Request, sha256 } from "./s3_client.ts";
import { xmlElements, xmlText } from "./s3_xml.ts";

/** One object of a list. */
export interface S3Entry {
  /** Below the prefix of the storage. */
  readonly key: string;
  readonly byteLength: number;
  /** By the store's clock, in milliseconds since 1970. */
  readonly modifiedMs: number;
  readonly etag: string;
}

/** What a list says, directories being names up to the next "/". */
export interface S3Listing {
  readonly objects: readonly S3Entry[];
  /** Below the prefix of the storage, without the "/" at the end. */
  readonly directories: readonly string[];
}

/** How creating an object ended whose name only one may have. */
export type Created =
  | { readonly outcome: "created" }
  /** Another one has the name, and this is what it holds. */
  | { readonly outcome: "taken"; readonly bytes: Uint8Array }
  /** Nobody can say whether it was created, now or in a moment. */
  | { readonly outcome: "unknown"; readonly error: CairnError };

/** An object as it begins. */
export interface S3Head {
  /** Of the whole object. */
  readonly byteLength: number;
  readonly bytes: Uint8Array;
  readonly etag: string;
}

/** An object, whole; `undefined` where there is none. */
export async function getObject(client: S3Client, key: string): Promise<Uint8Array | undefined> {
  const request: S3Request = { method: "GET", key };
  const answer = await client.repeat(request);
  if (isMissing(answer)) return undefined;
  if (answer.status !== 200) throw client.failure(request, answer);
  return answer.body;
}

/** The first `most` bytes of an object, and how many it has; `undefined` where there is none. */
export async function headOf(client: S3Client, key: string, most: number): Promise<S3Head | undefined> {
  const request: S3Request = { method: "GET", key, headers: { range: `bytes=0-${most - 1}` } };
  const answer = await client.repeat(request);
  if (isMissing(answer)) return undefined;
  const etag = answer.headers.get("etag") ?? "";
  // No range of an object without bytes can be given.
  if (answer.status === 416) return { byteLength: 0, bytes: new Uint8Array(0), etag };
  if (answer.status === 200) return { byteLength: answer.body.byteLength, bytes: answer.body, etag };
  const byteLength = Number(/^bytes 0-\d+\/(\d{1,16})$/.exec(answer.headers.get("content-range") ?? "")?.[1]);
  const isWhole = answer.body.byteLength === Math.min(most, byteLength);
  if (answer.status !== 206 || !isWhole) throw client.failure(request, answer);
  return { byteLength, bytes: answer.body, etag };
}

/** Fills all of `into` from `offset`. @throws CairnError `not_found` where there is none any more. */
export async function readRange(
  client: S3Client,
  key: string,
  offset: number,
  into: Uint8Array,
): Promise<void> {
  const range = `bytes=${offset}-${offset + into.byteLength - 1}`;
  const request: S3Request = { method: "GET", key, headers: { range }, into };
  const answer = await client.repeat(request);
  const found = answer.headers.get("content-range") ?? "";
  if (answer.status === 206 && found.startsWith(`${range.replace("=", " ")}/`)) return;
  // The whole of it is the range that was asked for.
  if (answer.status === 200 && offset === 0 && answer.body.byteLength === into.byteLength) {
    return into.set(answer.body);
  }
  if (answer.status === 206 || answer.status === 200) {
    throw client.error("storage_failed", request, `the store sent the range "${found}", expected "${range}"`);
  }
  throw client.failure(request, answer);
}

/** Writes an object, in the place of one that is there. */
export async function putObject(client: S3Client, key: string, body: Uint8Array<ArrayBuffer>): Promise<void> {
  const request: S3Request = { method: "PUT", key, body, headers: await checksumOf(client, body) };
  const answer = await client.repeat(request);
  if (answer.status !== 200) throw client.failure(request, answer);
}

/**
 * Creates an object that must not exist yet. Nothing is tried again blindly: where an answer is missing, the object
 * is read, and what is in it says whose it is. So `body` has to hold something that nobody else writes.
 *
 * @throws CairnError where the store has refused it, and nothing was created.
 */
export async function createOnce(
  client: S3Client,
  key: string,
  body: Uint8Array<ArrayBuffer>,
): Promise<Created> {
  const headers = { "if-none-match": "*", ...await checksumOf(client, body) };
  const request: S3Request = { method: "PUT", key, body, headers };
  let isUncertain = false;
  for (let attempt = 1;; attempt++) {
    const answer = await client.once(request).catch(asNoAnswer);
    if (!(answer instanceof CairnError)) {
      if (answer.status === 200) return { outcome: "created" };
      const isConflict = answer.status === 409;
      const isRefused = (answer.status < 500 || answer.status === 501) && answer.status !== 412 &&
        answer.status !== 429 &&
        answer.status !== 408 && !isConflict && !isPassingRefusal(answer);
      if (isRefused && !isUncertain) throw client.failure(request, answer);
      isUncertain ||= (answer.status >= 500 && answer.status !== 501) || answer.status === 408;
    } else isUncertain = true;
    const found = await getObject(client, key).catch((error: unknown) => {
      if (isUncertain && error instanceof CairnError) return error;
      throw error;
    });
    if (found instanceof CairnError) return { outcome: "unknown", error: found };
    if (found !== undefined) {
      return isSame(found, body) ? { outcome: "created" } : { outcome: "taken", bytes: found };
    }
    if (attempt >= client.attempts) {
      const error = answer instanceof CairnError ? answer : client.failure(request, answer);
      if (!isUncertain) throw error;
      return { outcome: "unknown", error };
    }
    await client.pause(attempt);
  }
}

/** Removes an object; nothing happens where there is none. */
export async function deleteObject(client: S3Client, key: string): Promise<void> {
  const request: S3Request = { method: "DELETE", key };
  const answer = await client.repeat(request);
  if (answer.status >= 300 && !isMissing(answer)) throw client.failure(request, answer);
}

/** All objects whose keys begin with `prefix`, in order; after `startAfter`. */
export async function listObjects(
  client: S3Client,
  prefix: string,
  options: { readonly startAfter?: string; readonly delimiter?: string } = {},
): Promise<S3Listing> {
  const objects: S3Entry[] = [];
  const directories: string[] = [];
  const skipped = client.fullKey("").length;
  const relative = (key: string): string => decodeURIComponent(key.replaceAll("+", " ")).slice(skipped);
  let token: string | undefined;
  do {
    const query = {
      "list-type": "2",
      "encoding-type": "url",
      prefix: client.fullKey(prefix),
      ...options.delimiter === undefined ? {} : { delimiter: options.delimiter },
      ...options.startAfter === undefined ? {} : { "start-after": client.fullKey(options.startAfter) },
      ...token === undefined ? {} : { "continuation-token": token },
    };
    const request: S3Request = { method: "GET", query };
    const answer = await client.repeat(request);
    if (answer.status !== 200) throw client.failure(request, answer);
    const xml = new TextDecoder().decode(answer.body);
    for (const each of xmlElements(xml, "Contents")) {
      objects.push({
        key: relative(xmlText(each, "Key") ?? ""),
        byteLength: Number(xmlText(each, "Size")),
        modifiedMs: Date.parse(xmlText(each, "LastModified") ?? ""),
        etag: xmlText(each, "ETag") ?? "",
      });
    }
    for (const each of xmlElements(xml, "CommonPrefixes")) {
      directories.push(relative(xmlText(each, "Prefix") ?? "").replace(/\/$/, ""));
    }
    token = xmlText(xml, "IsTruncated") === "true" ? xmlText(xml, "NextContinuationToken") : undefined;
  } while (token !== undefined);
  return { objects, directories };
}

/** The header by which the store checks an object, or a piece of one. */
export async function checksumOf(
  client: S3Client,
  body: Uint8Array<ArrayBuffer>,
): Promise<{ readonly "x-amz-checksum-sha256"?: string }> {
  if (!client.hasChecksums) return {};
  return { "x-amz-checksum-sha256": btoa(String.fromCharCode(...await sha256(body))) };
}

function asNoAnswer(error: unknown): CairnError {
  if (error instanceof CairnError && error.code === "storage_failed") return error;
  throw error;
}

/** Whether there is no such object; a bucket that is not there is something else. */
function isMissing({ status, body }: S3Answer): boolean {
  return status === 404 && xmlText(new TextDecoder().decode(body), "Code") !== "NoSuchBucket";
}

function isSame(a: Uint8Array, b: Uint8Array): boolean {
  return a.byteLength === b.byteLength && a.every((byte, index) => byte === b[index]);
}
