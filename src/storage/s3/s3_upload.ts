import { CairnError } from "../../base/errors.ts";
import type { S3Client, S3Request } from "./s3_client.ts";
import { checksumOf, headOf, putObject } from "./s3_objects.ts";
import { xmlElements, xmlEncoded, xmlText } from "./s3_xml.ts";

const MOST_PARTS = 10_000;
/** Most files are smaller than a piece. */
const FIRST_BYTES = 64 * 1024;
/** A list of uploads has so many pages at most, of which the rest waits for the next collection. */
const MOST_PAGES = 100;

interface Part {
  readonly etag: string;
  readonly checksum: string | undefined;
}

/**
 * One object that is written from its start to its end, in pieces of which some are on their way at once. It is there
 * after {@link finish}, whole, or never.
 */
export class S3Upload {
  readonly key: string;
  readonly #client: S3Client;
  readonly #partBytes: number;
  readonly #partsInFlight: number;
  readonly #stop = new AbortController();
  readonly #parts: Part[] = [];
  readonly #underWay = new Set<Promise<void>>();
  #piece: Uint8Array<ArrayBuffer>;
  #filled = 0;
  #sent = 0;
  #uploadId: string | undefined;
  #failure: unknown;

  constructor(client: S3Client, key: string, partBytes: number, partsInFlight: number) {
    this.key = key;
    this.#client = client;
    this.#partBytes = partBytes;
    this.#partsInFlight = partsInFlight;
    this.#piece = new Uint8Array(Math.min(FIRST_BYTES, partBytes));
  }

  /** How many bytes were taken so far. */
  get byteLength(): number {
    return this.#sent + this.#filled;
  }

  /** Whether nothing of it has left this process. */
  get isUnsent(): boolean {
    return this.#uploadId === undefined;
  }

  /** What was written, of one that is unsent. */
  get bytes(): Uint8Array<ArrayBuffer> {
    return this.#piece.subarray(0, this.#filled);
  }

  /** Takes a part of `bytes`, which may change again when it resolves, and says how many. */
  async write(bytes: Uint8Array): Promise<number> {
    if (this.#filled === this.#partBytes) await this.#sendPiece();
    else if (this.#filled === this.#piece.byteLength) this.#growPiece();
    const taken = Math.min(bytes.byteLength, this.#piece.byteLength - this.#filled);
    this.#piece.set(bytes.subarray(0, taken), this.#filled);
    this.#filled += taken;
    return taken;
  }

  /** Makes the object exist, durably. */
  async finish(): Promise<void> {
    if (this.isUnsent) return await putObject(this.#client, this.key, this.bytes);
    if (this.#filled > 0) await this.#sendPiece();
    await Promise.all(this.#underWay);
    this.#requireWell();
    await this.#complete();
  }

  /** Gives up what was sent. Never throws: what stays is collected. */
  async abort(): Promise<void> {
    this.#stop.abort(
      new CairnError("closed", `The upload of "${this.#client.describe(this.key)}" was given up`),
    );
    await Promise.all(this.#underWay);
    if (this.#uploadId !== undefined) {
      await abortUpload(this.#client, this.key, this.#uploadId).catch(() => {});
    }
  }

  #growPiece(): void {
    const larger = new Uint8Array(Math.min(this.#partBytes, 4 * this.#filled));
    larger.set(this.#piece);
    this.#piece = larger;
  }

  async #sendPiece(): Promise<void> {
    this.#uploadId ??= await this.#begin();
    while (this.#underWay.size >= this.#partsInFlight) await Promise.race(this.#underWay);
    this.#requireWell();
    const number = this.#parts.length + 1;
    if (number > MOST_PARTS) throw this.#tooLong();
    const body = this.#piece.subarray(0, this.#filled);
    // Its place is taken now; the parts may come back in any order.
    this.#parts.push({ etag: "", checksum: undefined });
    this.#sent += this.#filled;
    this.#filled = 0;
    this.#piece = new Uint8Array(this.#partBytes);
    const sending = this.#send(number, body).catch((error: unknown) => {
      this.#failure ??= error;
    }).finally(() => this.#underWay.delete(sending));
    this.#underWay.add(sending);
  }

  async #begin(): Promise<string> {
    const headers: Record<string, string> = this.#client.hasChecksums
      ? { "x-amz-checksum-algorithm": "SHA256" }
      : {};
    const request: S3Request = { method: "POST", key: this.key, query: { uploads: "" }, headers };
    const answer = await this.#client.repeat(request);
    const id = xmlText(new TextDecoder().decode(answer.body), "UploadId");
    if (answer.status !== 200 || id === undefined) throw this.#client.failure(request, answer);
    return id;
  }

  async #send(number: number, body: Uint8Array<ArrayBuffer>): Promise<void> {
    const headers = await checksumOf(this.#client, body);
    const query = { partNumber: String(number), uploadId: this.#uploadId ?? "" };
    const request: S3Request = {
      method: "PUT",
      key: this.key,
      query,
      headers,
      body,
      signal: this.#stop.signal,
    };
    const checksum = headers["x-amz-checksum-sha256"];
    for (let attempt = 1;; attempt++) {
      const answer = await this.#client.repeat(request);
      if (answer.status !== 200) throw this.#client.failure(request, answer);
      const found = answer.headers.get("x-amz-checksum-sha256");
      if (found === null || checksum === undefined || found === checksum) {
        this.#parts[number - 1] = { etag: answer.headers.get("etag") ?? "", checksum };
        return;
      }
      if (attempt >= this.#client.attempts) {
        const why = `the store has a piece with the checksum ${found}, expected ${checksum}; save again`;
        throw this.#client.error("storage_failed", request, why);
      }
      // The same number again takes the place of the wrong piece.
      await this.#client.pause(attempt, this.#stop.signal);
    }
  }

  async #complete(): Promise<void> {
    const parts = this.#parts.map(({ etag, checksum }, index) =>
      `<Part><PartNumber>${index + 1}</PartNumber><ETag>${xmlEncoded(etag)}</ETag>${
        checksum === undefined ? "" : `<ChecksumSHA256>${checksum}</ChecksumSHA256>`
      }</Part>`
    );
    const xml = `<CompleteMultipartUpload>${parts.join("")}</CompleteMultipartUpload>`;
    const body = new TextEncoder().encode(xml);
    const query = { uploadId: this.#uploadId ?? "" };
    const request: S3Request = { method: "POST", key: this.key, query, body };
    for (let attempt = 1;; attempt++) {
      const answer = await this.#client.repeat(request);
      const said = new TextDecoder().decode(answer.body);
      // It may say 200 and go on to an error.
      const isDone = answer.status === 200 && xmlText(said, "Code") === undefined;
      // Or it was done by an attempt whose answer was lost. Nobody else has this name.
      if (isDone || await this.#isThere()) return;
      if (answer.status !== 200 || attempt >= this.#client.attempts) {
        throw this.#client.failure(request, answer);
      }
      await this.#client.pause(attempt);
    }
  }

  async #isThere(): Promise<boolean> {
    return (await headOf(this.#client, this.key, 1))?.byteLength === this.byteLength;
  }

  #requireWell(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }

  #tooLong(): CairnError {
    const path = this.#client.describe(this.key);
    const limit = MOST_PARTS * this.#partBytes;
    return new CairnError(
      "limit_exceeded",
      `Cannot write "${path}": it has more than ${limit} bytes; open the storage with larger partBytes`,
      { details: { path, limit } },
    );
  }
}

/** An upload that was begun and not finished. */
export interface UnfinishedUpload {
  readonly key: string;
  readonly uploadId: string;
  readonly initiatedMs: number;
}

/** All uploads below `prefix` that were begun and not finished. */
export async function unfinishedUploads(client: S3Client, prefix: string): Promise<UnfinishedUpload[]> {
  const found: UnfinishedUpload[] = [];
  let markers: Record<string, string> = {};
  for (let page = 0; page < MOST_PAGES; page++) {
    const query = { uploads: "", prefix: client.fullKey(prefix), ...markers };
    const request: S3Request = { method: "GET", query };
    const answer = await client.repeat(request);
    if (answer.status !== 200) throw client.failure(request, answer);
    const xml = new TextDecoder().decode(answer.body);
    for (const each of xmlElements(xml, "Upload")) {
      const key = (xmlText(each, "Key") ?? "").slice(client.fullKey("").length);
      const initiatedMs = Date.parse(xmlText(each, "Initiated") ?? "");
      found.push({ key, uploadId: xmlText(each, "UploadId") ?? "", initiatedMs });
    }
    const keyMarker = xmlText(xml, "NextKeyMarker");
    if (xmlText(xml, "IsTruncated") !== "true" || keyMarker === undefined) break;
    markers = { "key-marker": keyMarker, "upload-id-marker": xmlText(xml, "NextUploadIdMarker") ?? "" };
  }
  return found;
}

/** Gives an upload up. */
export async function abortUpload(client: S3Client, key: string, uploadId: string): Promise<void> {
  const request: S3Request = { method: "DELETE", key, query: { uploadId } };
  const answer = await client.repeat(request);
  if (answer.status >= 300 && answer.status !== 404) throw client.failure(request, answer);
}
