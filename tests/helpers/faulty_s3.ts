import type { S3Options } from "../../src/storage/s3/s3_options.ts";

/** One request, as a fault is chosen by. */
export interface FakeRequest {
  readonly index: number;
  readonly method: string;
  readonly key: string;
  readonly query: URLSearchParams;
  readonly headers: Headers;
  readonly body: Uint8Array;
  /** Such as `PUT log/0000000000000001`, `POST data/… ?uploads`, for messages. */
  readonly name: string;
  /** As it came. */
  readonly url: URL;
}

/** What may happen to a request besides being answered. */
export interface S3Faults {
  /** On its way there: another body. */
  sent?(request: FakeRequest): Uint8Array | undefined;
  /** Before it has an effect: an answer in its place, or an error. */
  before?(request: FakeRequest): Response | undefined | Promise<Response | undefined>;
  /** After it had its effect: an answer in the place of the true one, or an error. */
  after?(request: FakeRequest, response: Response): Response | undefined | Promise<Response | undefined>;
}

/**
 * A store between which and its user anything may go wrong. Requests have to be signed, and their bodies have to have
 * the hashes that came with them, as Amazon's own store wants it.
 */
export abstract class FaultyS3 {
  readonly requests: FakeRequest[] = [];
  readonly faults: S3Faults = {};
  /** Its own time. */
  abstract nowMs: number;
  /** Where the tests save. */
  abstract readonly location: string;
  readonly #sleepers = new Set<() => void>();

  /** How a storage reaches it. */
  abstract get connection(): S3Options;

  /** Another one that holds the same. */
  abstract copy(): Promise<FaultyS3>;

  protected abstract answer(request: FakeRequest): Promise<Response>;

  async handle(incoming: Request): Promise<Response> {
    const url = new URL(incoming.url);
    const [, , ...segments] = url.pathname.split("/").map(decodeURIComponent);
    const key = segments.join("/");
    // Numbered when it is whole: two may come at once.
    const body = new Uint8Array(await incoming.arrayBuffer());
    const named = {
      index: this.requests.length,
      method: incoming.method,
      key,
      query: url.searchParams,
      headers: incoming.headers,
      body,
      name: `${incoming.method} ${key.replace(/^.*?(log|data|files|probe)\//, "$1/")}${
        url.search.slice(0, 40)
      }`,
      url,
    };
    const request = { ...named, body: this.faults.sent?.(named) ?? named.body };
    this.requests.push(request);
    const early = await this.faults.before?.(request);
    if (early !== undefined) return early;
    const answer = await this.#refusal(request) ?? await this.answer(request);
    return await this.faults.after?.(request, answer) ?? answer;
  }

  /** Waits as a time limit does: until {@link passTime}, or the signal. */
  waitLong(signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve) => {
      if (signal?.aborted) return resolve();
      const end = (): void => {
        this.#sleepers.delete(end);
        resolve();
      };
      this.#sleepers.add(end);
      signal?.addEventListener("abort", end, { once: true });
    });
  }

  /** Every time limit is over. */
  passTime(): void {
    for (const end of [...this.#sleepers]) end();
  }

  error(status: number, code: string): Response {
    return this.response(
      status,
      `<Error><Code>${code}</Code><Message>as the test wants it</Message></Error>`,
    );
  }

  protected response(
    status: number,
    body: Uint8Array | string | null,
    headers: Record<string, string> = {},
  ): Response {
    const bytes = typeof body === "string" ? new TextEncoder().encode(body) : body;
    const length = bytes === null ? {} : { "content-length": String(bytes.byteLength) };
    const date = new Date(this.nowMs).toUTCString();
    return new Response(bytes === null ? null : new Uint8Array(bytes), {
      status,
      headers: { date, ...length, ...headers },
    });
  }

  async #refusal({ headers, body }: FakeRequest): Promise<Response | undefined> {
    if (!(headers.get("authorization") ?? "").startsWith("AWS4-HMAC-SHA256 Credential=")) {
      return this.error(403, "AccessDenied");
    }
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", new Uint8Array(body)));
    const hex = [...digest].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    if (headers.get("x-amz-content-sha256") !== hex) return this.error(400, "XAmzContentSHA256Mismatch");
    const checksum = headers.get("x-amz-checksum-sha256");
    if (checksum !== null && checksum !== btoa(String.fromCharCode(...digest))) {
      return this.error(400, "BadDigest");
    }
    return undefined;
  }
}
