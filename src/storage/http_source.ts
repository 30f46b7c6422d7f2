import { throwIfAborted } from "../base/abort.ts";
import { CairnError, type CairnErrorCode } from "../base/errors.ts";
import { checkRangeResponse, fillFromBody, type Validator, validatorOf } from "./http_range.ts";

/** The first request asks for these: a container's header, so that opening one takes two requests. */
const FIRST_BYTES = 4096;

/** Options of {@link HttpSource.open}. */
export interface HttpSourceOptions {
  /** Sent with each request, such as `authorization`. */
  readonly headers?: HeadersInit;
  /** Ends whatever is under way, with its own reason. */
  readonly signal?: AbortSignal;
  /** What makes the requests: default the global `fetch`. */
  readonly fetch?: (url: string, init: RequestInit) => Promise<Response>;
}

/**
 * A file on a web server, read by range requests: a source for a `ContainerReader`. It takes nothing on trust: each response has
 * to be the range that was asked for, of a file of the same length and ETag as at first. It never tries again; that is for the
 * caller to decide.
 */
export class HttpSource {
  readonly url: string;
  /** The length that the server said at first. */
  readonly byteLength: number;
  /** A request takes about as long as some megabytes do. */
  readonly preferredReadBytes: number = 8 * 1024 * 1024;
  readonly #options: HttpSourceOptions;
  readonly #first: Uint8Array;
  readonly #validator: Validator;
  readonly #closing = new AbortController();

  private constructor(
    url: string,
    options: HttpSourceOptions,
    found: { byteLength: number; first: Uint8Array; validator: Validator },
  ) {
    this.url = url;
    this.byteLength = found.byteLength;
    this.#options = options;
    this.#first = found.first;
    this.#validator = found.validator;
  }

  /**
   * Asks for the first 4096 bytes, which also tells how long the file is.
   *
   * @throws CairnError `not_found`; `unsupported` where the server knows no ranges; `storage_failed` for all else that goes wrong
   * on the way. An abort rejects with the signal's reason.
   */
  static async open(url: string | URL, options: HttpSourceOptions = {}): Promise<HttpSource> {
    const address = String(url);
    return await request(
      address,
      { start: 0, end: FIRST_BYTES },
      options,
      options.signal,
      async (response) => {
        // The one thing that a server can say of a file without bytes.
        if (response.status === 416 && response.headers.get("content-range") === "bytes */0") {
          return new HttpSource(address, options, {
            byteLength: 0,
            first: new Uint8Array(0),
            validator: validatorOf(response),
          });
        }
        const { end, byteLength } = checkRangeResponse(response, address, { start: 0, end: FIRST_BYTES });
        const first = new Uint8Array(end);
        await fillFromBody(response, first, address);
        return new HttpSource(address, options, { byteLength, first, validator: validatorOf(response) });
      },
    );
  }

  /**
   * Fills all of `into` by one request, or none where it was read when opening.
   *
   * @throws CairnError `truncated` past the end; `closed`; and as {@link open}.
   */
  async read(offset: number, into: Uint8Array, signal?: AbortSignal): Promise<void> {
    throwIfAborted(signal);
    if (this.#closing.signal.aborted) throw closed(this.url);
    const end = offset + into.byteLength;
    if (end > this.byteLength) {
      throw failure("truncated", this.url, `bytes ${offset} to ${end} were asked for, of ${this.byteLength}`);
    }
    if (end <= this.#first.byteLength) return into.set(this.#first.subarray(offset, end));
    const signals = [this.#closing.signal, this.#options.signal, signal].filter((one) => one !== undefined);
    await request(
      this.url,
      { start: offset, end },
      this.#options,
      AbortSignal.any(signals),
      async (response) => {
        const known = { byteLength: this.byteLength, validator: this.#validator };
        checkRangeResponse(response, this.url, { start: offset, end }, known);
        await fillFromBody(response, into, this.url);
      },
    );
  }

  /** Ends the requests that are under way. */
  close(): Promise<void> {
    this.#closing.abort(closed(this.url));
    return Promise.resolve();
  }
}

async function request<T>(
  url: string,
  { start, end }: { readonly start: number; readonly end: number },
  options: HttpSourceOptions,
  signal: AbortSignal | undefined,
  use: (response: Response) => Promise<T>,
): Promise<T> {
  throwIfAborted(signal);
  const headers = new Headers(options.headers);
  headers.set("range", `bytes=${start}-${end - 1}`);
  // Ranges of compressed bytes would be of no use.
  headers.set("accept-encoding", "identity");
  const init: RequestInit = signal === undefined ? { headers } : { headers, signal };
  let response: Response | undefined;
  try {
    response = await (options.fetch ?? fetch)(url, init);
    return await use(response);
  } catch (cause) {
    // What is left of the body is not wanted, and would hold the connection.
    await response?.body?.cancel().catch(() => {});
    throwIfAborted(signal);
    if (cause instanceof CairnError) throw cause;
    const why = cause instanceof Error ? cause.message : String(cause);
    throw failure(
      "storage_failed",
      url,
      `the request failed (${why}); check the network and try again`,
      cause,
    );
  }
}

function closed(url: string): CairnError {
  return failure("closed", url, "this HttpSource is closed");
}

function failure(code: CairnErrorCode, url: string, why: string, cause?: unknown): CairnError {
  return new CairnError(code, `Cannot read ${url}: ${why}`, { details: { path: url, op: "read" }, cause });
}
