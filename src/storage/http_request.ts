import { throwIfAborted, unlessAborted } from "../base/abort.ts";
import { type Clock, systemClock } from "../base/clock.ts";
import { CairnError, type CairnErrorCode } from "../base/errors.ts";
import { withoutAddressSecrets } from "../base/text/without_secrets.ts";
import { IdleTimeout } from "./idle_timeout.ts";

const REDIRECTS = [301, 302, 303, 307, 308];
const MAX_REDIRECTS = 10;
const DEFAULT_TIMEOUT_MS = 30_000;

/** How requests are made. */
export interface HttpRequestOptions {
  /**
   * Sent with each request, such as `authorization`, and to the address's own origin only, wherever it redirects to.
   */
  readonly headers?: HeadersInit | undefined;
  /** Ends whatever is under way, with its own reason. */
  readonly signal?: AbortSignal | undefined;
  /** How long to wait for a first byte, and for each one after it. Default 30 000; `Infinity` waits for ever. */
  readonly timeoutMs?: number | undefined;
  /** What makes the requests: default the global `fetch`. */
  readonly fetch?: ((url: string, init: RequestInit) => Promise<Response>) | undefined;
  /** What {@link timeoutMs} is measured by: default the clock of the machine. */
  readonly clock?: Clock | undefined;
}

/** A request that is under way, for the reader of its response. */
export interface UnderWay {
  /** Aborted when the request is given up. */
  readonly signal: AbortSignal;
  /** To be called when bytes arrive. */
  heard(): void;
}

/** The bytes from `start` up to but not including `end`. */
interface Range {
  readonly start: number;
  readonly end: number;
}

/** @throws RangeError for a `timeoutMs` that is no time. */
export function checkTimeout({ timeoutMs = DEFAULT_TIMEOUT_MS }: HttpRequestOptions): void {
  if (typeof timeoutMs === "number" && timeoutMs > 0) return;
  throw new RangeError(`timeoutMs is ${String(timeoutMs)}, expected milliseconds above 0, or Infinity`);
}

/**
 * Asks for a range of a file and lets `use` read the response. Redirects are followed here, one by one, so that what
 * the caller sends goes only to origins that the caller has named. Each request begins at `url` itself: where it
 * redirects to may hold for a short while only.
 *
 * @throws CairnError `storage_failed` when the network fails, when nothing arrives for `timeoutMs`, and for redirects
 * without end or to what is no web address; `unsupported` where redirects cannot be followed with headers; what `use`
 * throws; an aborted signal's reason.
 */
export async function requestRange<T>(
  url: string,
  { start, end }: Range,
  options: HttpRequestOptions,
  signals: readonly (AbortSignal | undefined)[],
  use: (response: Response, underWay: UnderWay) => Promise<T>,
): Promise<T> {
  const given = AbortSignal.any(signals.filter((signal) => signal !== undefined));
  throwIfAborted(given);
  const timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
  const idle = new IdleTimeout(timeoutMs, options.clock ?? systemClock, () => {
    const why = `nothing arrived for ${timeoutMs} ms; check the network, try again, or raise timeoutMs`;
    return requestFailure("storage_failed", url, why);
  });
  const underWay = { signal: AbortSignal.any([given, idle.signal]), heard: () => idle.heard() };
  const range = `bytes=${start}-${end - 1}`;
  let response: Response | undefined;
  try {
    response = await follow(url, range, options, underWay);
    return await use(response, underWay);
  } catch (cause) {
    // What is left of the body is not wanted, and would hold the connection.
    discard(response);
    throwIfAborted(given);
    throwIfAborted(idle.signal);
    if (cause instanceof CairnError) throw cause;
    const why = cause instanceof Error ? cause.message : String(cause);
    throw requestFailure(
      "storage_failed",
      url,
      `the request failed (${why}); check the network and try again`,
      cause,
    );
  } finally {
    idle.end();
  }
}

/** The first response that is no redirect. */
async function follow(
  url: string,
  range: string,
  options: HttpRequestOptions,
  underWay: UnderWay,
): Promise<Response> {
  let address = url;
  let own = new Headers(options.headers);
  const send = async (redirect: "manual" | "follow"): Promise<Response> => {
    const headers = new Headers(own);
    headers.set("range", range);
    // Ranges of compressed bytes would be of no use.
    headers.set("accept-encoding", "identity");
    const init: RequestInit = { headers, redirect, signal: underWay.signal };
    const response = await unlessAborted((options.fetch ?? fetch)(address, init), underWay.signal);
    underWay.heard();
    return response;
  };
  for (let redirects = 0; redirects <= MAX_REDIRECTS; redirects++) {
    const response = await send("manual");
    if (response.type === "opaqueredirect") {
      // A browser does not say where to. Without headers of the caller it may as well go there by itself.
      if ([...own.keys()].length === 0) return await send("follow");
      throw requestFailure("unsupported", url, BROWSER_REDIRECT);
    }
    const location = REDIRECTS.includes(response.status) ? response.headers.get("location") : null;
    if (location === null) return response;
    discard(response);
    const from = new URL(response.url === "" ? address : response.url);
    const next = nextAddress(location, from, url);
    // Headers that have left their origin do not come back to it: it is another who asks then.
    if (next.origin !== from.origin) own = new Headers();
    address = next.href;
  }
  throw requestFailure("storage_failed", url, `it redirects more than ${MAX_REDIRECTS} times`);
}

const BROWSER_REDIRECT =
  "it redirects, and a browser does not say where to, so that the headers would go there too; " +
  "open the address that it redirects to, or leave the headers out";

function nextAddress(location: string, from: URL, url: string): URL {
  const next = URL.canParse(location, from) ? new URL(location, from) : undefined;
  // Some runtimes fetch files of this machine as well.
  if (next?.protocol === "http:" || next?.protocol === "https:") return next;
  throw requestFailure(
    "storage_failed",
    url,
    `it redirects to ${JSON.stringify(location.slice(0, 200))}, \
which is no web address`,
  );
}

function discard(response: Response | undefined): void {
  response?.body?.cancel().catch(() => {});
}

/** An error that says which file was asked for, and not by which signature; nor does what caused it. */
export function requestFailure(code: CairnErrorCode, url: string, why: string, cause?: unknown): CairnError {
  // Some runtimes put the address into a field of the error.
  const shown = cause instanceof Error ? `${cause.stack} ${Object.values(cause).join(" ")}` : String(cause);
  return new CairnError(code, withoutAddressSecrets(`Cannot read ${url}: ${why}`), {
    details: { path: withoutAddressSecrets(url), op: "read" },
    cause: withoutAddressSecrets(shown) === shown ? cause : undefined,
  });
}
