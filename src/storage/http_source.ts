import { throwIfAborted } from "../base/abort.ts";
import type { CairnError } from "../base/errors.ts";
import { checkOptions, type OptionNames } from "../base/options/options.ts";
import { checkRangeResponse, fillFromBody, type Validator, validatorOf } from "./http_range.ts";
import { checkTimeout, type HttpRequestOptions, requestFailure, requestRange } from "./http_request.ts";

/** The first request asks for these: a container's header, so that opening one takes two requests. */
const FIRST_BYTES = 4096;

/** Options of {@link HttpSource.open}. */
export interface HttpSourceOptions extends HttpRequestOptions {}

/** Every option of {@link HttpSourceOptions}. */
export const HTTP_SOURCE_OPTIONS: OptionNames<HttpSourceOptions> = {
  headers: true,
  signal: true,
  timeoutMs: true,
  fetch: true,
  clock: true,
};

/**
 * A file on a web server, read by range requests: a source for a `ContainerReader`. It takes nothing on trust: each
 * response has to be the range that was asked for, of a file of the same length and ETag as at first. Redirects are
 * followed, but the caller's headers stay with the origin of the address that was opened. It never tries again; that
 * is for the caller to decide.
 */
export class HttpSource {
  /** The address that was opened, before any redirect. */
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
   * @throws CairnError `not_found`; `unsupported` where the server knows no ranges; `storage_failed` for all else
   * that goes wrong on the way, such as nothing that arrives for `timeoutMs`. An abort rejects with the signal's
   * reason.
   */
  static async open(url: string | URL, options: HttpSourceOptions = {}): Promise<HttpSource> {
    checkOptions("HttpSource.open()", options, HTTP_SOURCE_OPTIONS, "{ headers, timeoutMs: 30_000 }");
    checkTimeout(options);
    const address = String(url);
    return await requestRange(
      address,
      { start: 0, end: FIRST_BYTES },
      options,
      [options.signal],
      async (response, underWay) => {
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
        await fillFromBody(response, first, address, underWay);
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
      throw requestFailure(
        "truncated",
        this.url,
        `bytes ${offset} to ${end} were asked for, of ${this.byteLength}`,
      );
    }
    if (end <= this.#first.byteLength) return into.set(this.#first.subarray(offset, end));
    await requestRange(
      this.url,
      { start: offset, end },
      this.#options,
      [this.#closing.signal, this.#options.signal, signal],
      async (response, underWay) => {
        const known = { byteLength: this.byteLength, validator: this.#validator };
        checkRangeResponse(response, this.url, { start: offset, end }, known);
        await fillFromBody(response, into, this.url, underWay);
      },
    );
  }

  /** Ends the requests that are under way. */
  close(): Promise<void> {
    this.#closing.abort(closed(this.url));
    return Promise.resolve();
  }
}

function closed(url: string): CairnError {
  return requestFailure("closed", url, "this HttpSource is closed");
}
