import { AwsV4Signer } from "aws4fetch";
import { throwIfAborted, unlessAborted } from "../../base/abort.ts";
import { type Clock, systemClock } from "../../base/clock.ts";
import { CairnError, type CairnErrorCode } from "../../base/errors.ts";
import { withoutAddressSecrets } from "../../base/text/without_secrets.ts";
import { bytesAsHex } from "../../base/hex.ts";
import { IdleTimeout } from "../idle_timeout.ts";
import type { S3Location } from "./s3_location.ts";
import { addressOf, credentialsOf, type S3Credentials, type S3Options } from "./s3_options.ts";
import { xmlText } from "./s3_xml.ts";

/** One request. */
export interface S3Request {
  readonly method: "GET" | "HEAD" | "PUT" | "POST" | "DELETE";
  /** The object below the prefix; none for one that is about the bucket. */
  readonly key?: string;
  readonly query?: Readonly<Record<string, string>>;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array<ArrayBuffer>;
  /** Filled with the body of a 206, which has to be exactly as long. */
  readonly into?: Uint8Array;
  readonly signal?: AbortSignal | undefined;
}

/** What the store said. */
export interface S3Answer {
  readonly status: number;
  readonly headers: Headers;
  /** Empty where it was read `into` something. */
  readonly body: Uint8Array;
}

const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 5000;
const DEFAULT_ATTEMPTS = 8;
const DEFAULT_TIMEOUT_MS = 60_000;
/** All bodies but those of ranges are small: a list of 1000 names, an error. */
const MAX_BODY_BYTES = 64 * 1024 * 1024;
/** SHA-256 of nothing. */
const EMPTY_HASH = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
/** Three of each credentials, and twice where they are written otherwise in an address. */
const MOST_SECRETS = 60;
/** A header of authorization, what signs an address, and a signature by itself. */
const SIGNED =
  /AWS4-HMAC-SHA256 Credential=[^<>"]*|X-Amz-(?:Signature|Credential|Security-Token)=[^&\s<>"]*|\b[0-9a-f]{64}\b/gi;
/** Refusals of what came there damaged or late, which had no effect. The answer to one has the store's time. */
const PASSING_CODES = [
  "RequestTimeout",
  "RequestTimeTooSkewed",
  "BadDigest",
  "InvalidDigest",
  "IncompleteBody",
  "XAmzContentSHA256Mismatch",
  "SlowDown",
];

/** Signed requests to one bucket, each tried by itself or until it succeeds. No secret is in what it throws. */
export class S3Client {
  readonly clock: Clock;
  readonly attempts: number;
  readonly hasChecksums: boolean;
  readonly #location: S3Location;
  readonly #options: S3Options;
  readonly #base: string;
  readonly #region: string;
  readonly #signingKeys = new Map<string, ArrayBuffer>();
  #serverAheadMs = 0;
  /** Of the last credentials; older ones may be in what a store still says. */
  readonly #secrets = new Set<string>();

  constructor(location: S3Location, options: S3Options) {
    this.#location = location;
    this.#options = options;
    this.clock = options.clock ?? systemClock;
    this.attempts = options.attempts ?? DEFAULT_ATTEMPTS;
    this.hasChecksums = options.hasChecksums ?? true;
    const { endpoint, region, isPathStyle } = addressOf(options);
    const host = new URL(endpoint ?? `https://s3.${region}.amazonaws.com`);
    const { bucket } = location;
    if (!isPathStyle) host.hostname = `${bucket}.${host.hostname}`;
    this.#base = host.href.replace(/\/+$/, "") + (isPathStyle ? `/${bucket}` : "");
    this.#region = region;
  }

  /** Milliseconds since 1970, by the clock of the store. */
  get serverMs(): number {
    return this.clock.now() + this.#serverAheadMs;
  }

  /** The store, for messages. */
  get store(): string {
    return new URL(this.#base).origin;
  }

  /** Full name of an object. */
  describe(key: string): string {
    return `s3://${this.#location.bucket}/${this.#location.prefix}${key}`;
  }

  /** A key as the store knows it. */
  fullKey(key: string): string {
    return this.#location.prefix + key;
  }

  /** Tries until there is an answer that says something about the request; for what may be done twice. */
  async repeat(request: S3Request): Promise<S3Answer> {
    for (let attempt = 1;; attempt++) {
      const answer = await this.once(request).catch((error: unknown) => {
        throwIfAborted(request.signal);
        if (!(error instanceof CairnError) || error.code !== "storage_failed") throw error;
        return error;
      });
      if (!(answer instanceof CairnError) && !isPassing(answer)) return answer;
      if (attempt >= this.attempts) {
        throw answer instanceof CairnError ? answer : this.failure(request, answer);
      }
      await this.pause(attempt, request.signal);
    }
  }

  /** Tries once. @throws CairnError `storage_failed` where there is no whole answer; the signal's reason. */
  async once(request: S3Request): Promise<S3Answer> {
    throwIfAborted(request.signal);
    const timeoutMs = this.#options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
    const expired = (): Error => this.#noAnswer(request, `nothing was heard for ${timeoutMs} ms`);
    const idle = new IdleTimeout(timeoutMs, this.clock, expired);
    const signal = AbortSignal.any([idle.signal, ...request.signal === undefined ? [] : [request.signal]]);
    try {
      const { url, ...init } = await this.#signed(request);
      const send = this.#options.fetch ?? fetch;
      const response = await unlessAborted(send(url, { ...init, redirect: "manual", signal }), signal);
      idle.heard();
      this.#compareClocks(response);
      const body = await readBody(response, request.into, signal, () => idle.heard());
      return { status: response.status, headers: response.headers, body };
    } catch (cause) {
      throwIfAborted(request.signal);
      throwIfAborted(idle.signal);
      if (cause instanceof CairnError) throw cause;
      throw this.#noAnswer(request, cause instanceof Error ? cause.message : String(cause));
    } finally {
      idle.end();
    }
  }

  /** Waits before the attempt after this one. */
  async pause(attempt: number, signal?: AbortSignal): Promise<void> {
    const most = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (attempt - 1));
    await this.clock.sleep(most * (0.5 + Math.random() / 2), signal);
    throwIfAborted(signal);
  }

  /** The error for an answer that is a refusal. */
  failure(request: S3Request, { status, body }: S3Answer): CairnError {
    const xml = new TextDecoder().decode(body.subarray(0, 65_536));
    const said = [xmlText(xml, "Code"), xmlText(xml, "Message")].filter((text) => text !== undefined).join(
      ": ",
    );
    const code: CairnErrorCode = status === 404
      ? "not_found"
      : status === 507
      ? "disk_full"
      : "storage_failed";
    const advice = status === 403 || status === 401
      ? "check the credentials, the region and what they permit"
      : status === 404
      ? "check the name and the bucket"
      : status >= 300 && status < 400
      ? "check the region and the endpoint"
      : "try again later";
    return this.error(code, request, `${status}${said === "" ? "" : ` ${said}`}; ${advice}`, status);
  }

  /** An error that names the request. */
  error(code: CairnErrorCode, { method, key }: S3Request, why: string, value?: number): CairnError {
    const path = this.describe(key ?? "");
    const message = this.#withoutSecrets(`Cannot ${method} "${path}" (${this.store}): ${why}`);
    return new CairnError(code, message, {
      details: { op: method, path, ...value === undefined ? {} : { value } },
    });
  }

  async #signed(request: S3Request): Promise<RequestInit & { readonly url: string }> {
    const credentials = await credentialsOf(this.#options);
    this.#remember(credentials);
    const { method, key, query = {}, headers, body } = request;
    const path = key === undefined
      ? ""
      : `/${this.fullKey(key).split("/").map(encodeURIComponent).join("/")}`;
    const search = new URLSearchParams(query).toString().replaceAll("+", "%20");
    const hash = body === undefined ? EMPTY_HASH : bytesAsHex(await sha256(body));
    const { accessKeyId, secretAccessKey, sessionToken } = credentials;
    const signer = new AwsV4Signer({
      method,
      url: `${this.#base}${path === "" ? "/" : path}${search === "" ? "" : `?${search}`}`,
      headers: { "x-amz-content-sha256": hash, ...headers },
      accessKeyId,
      secretAccessKey,
      ...sessionToken === undefined ? {} : { sessionToken },
      service: "s3",
      region: this.#region,
      cache: this.#signingKeys,
      datetime: new Date(this.serverMs).toISOString().replace(/[:-]|\.\d{3}/g, ""),
    });
    const signed = await signer.sign();
    return { method, url: signed.url.href, headers: signed.headers, ...body === undefined ? {} : { body } };
  }

  #compareClocks(response: Response): void {
    const there = Date.parse(response.headers.get("date") ?? "");
    // In whole seconds: a smaller difference says nothing.
    const ahead = there - this.clock.now();
    if (Number.isFinite(ahead)) this.#serverAheadMs = Math.abs(ahead) < 2000 ? 0 : ahead;
  }

  #noAnswer(request: S3Request, why: string): CairnError {
    return this.error(
      "storage_failed",
      request,
      `there was no whole answer (${why}); check the network, try again`,
    );
  }

  #remember({ accessKeyId, secretAccessKey, sessionToken = "" }: S3Credentials): void {
    for (const secret of [secretAccessKey, sessionToken, accessKeyId]) {
      if (secret === "") continue;
      for (const form of [secret, encodeURIComponent(secret)]) this.#secrets.add(form);
    }
    for (const oldest of this.#secrets) {
      if (this.#secrets.size <= MOST_SECRETS) break;
      this.#secrets.delete(oldest);
    }
  }

  /** A store or a runtime may repeat what it was sent. */
  #withoutSecrets(text: string): string {
    const known = [...this.#secrets].sort((a, b) => b.length - a.length);
    const clean = known.reduce((rest, secret) => rest.replaceAll(secret, "…"), withoutAddressSecrets(text));
    return clean.replace(SIGNED, "…");
  }
}

/** SHA-256, computed beside the JavaScript thread. */
export async function sha256(bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
}

function isPassing(answer: S3Answer): boolean {
  const { status } = answer;
  // What is not implemented now is not in a moment.
  if (status === 501) return false;
  return status >= 500 || status === 429 || status === 408 || status === 409 || isPassingRefusal(answer);
}

/** Whether the request had no effect only because it came damaged, or at another time than it said. */
export function isPassingRefusal({ status, body }: S3Answer): boolean {
  if (status !== 400 && status !== 403) return false;
  return PASSING_CODES.includes(xmlText(new TextDecoder().decode(body), "Code") ?? "");
}

/** @throws Error for a body that is cut, or longer than what it is read into. */
async function readBody(
  response: Response,
  wanted: Uint8Array | undefined,
  signal: AbortSignal,
  heard: () => void,
): Promise<Uint8Array> {
  const into = response.status === 206 ? wanted : undefined;
  const reader = response.body?.getReader();
  const pieces: Uint8Array[] = [];
  let byteLength = 0;
  try {
    while (reader !== undefined) {
      const { done, value } = await unlessAborted(reader.read(), signal);
      if (done) break;
      heard();
      const end = byteLength + value.byteLength;
      if (end > (into?.byteLength ?? MAX_BODY_BYTES)) {
        throw new Error(`the body is longer than ${byteLength} bytes`);
      }
      if (into === undefined) pieces.push(value);
      else into.set(value, byteLength);
      byteLength = end;
    }
  } catch (error) {
    reader?.cancel().catch(() => {});
    throw error;
  }
  const said = response.headers.get("content-length");
  const expected = into?.byteLength ?? (said === null || !response.ok ? byteLength : Number(said));
  if (byteLength !== expected && (into !== undefined || response.body !== null)) {
    throw new Error(`the body ended after ${byteLength} of ${expected} bytes`);
  }
  return into === undefined ? joined(pieces, byteLength) : new Uint8Array(0);
}

function joined(pieces: readonly Uint8Array[], byteLength: number): Uint8Array {
  const whole = new Uint8Array(byteLength);
  let offset = 0;
  for (const piece of pieces) {
    whole.set(piece, offset);
    offset += piece.byteLength;
  }
  return whole;
}
