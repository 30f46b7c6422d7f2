import { unlessAborted } from "../base/abort.ts";
import { requestFailure, type UnderWay } from "./http_request.ts";

/** What a server says of the state of a file: it changes when the file does. */
export interface Validator {
  readonly etag: string | null;
  readonly lastModified: string | null;
}

/** The validator in a response. */
export function validatorOf({ headers }: Response): Validator {
  return { etag: headers.get("etag"), lastModified: headers.get("last-modified") };
}

/** The bytes that were asked for, up to but not including `end`. */
interface Range {
  readonly start: number;
  readonly end: number;
}

/**
 * Checks that a response is what a range request asked for, before its body is read. Where nothing is `known` of the
 * file yet, it may end before the range does. Gives the end of what is in the body, and the length of the file.
 *
 * @throws CairnError `not_found`, `unsupported` or `storage_failed`.
 */
export function checkRangeResponse(
  response: Response,
  url: string,
  { start, end }: Range,
  known?: { readonly byteLength: number; readonly validator: Validator },
): { readonly end: number; readonly byteLength: number } {
  checkStatus(response, url);
  const encoding = response.headers.get("content-encoding") ?? "identity";
  if (encoding !== "identity") {
    throw requestFailure("unsupported", url, `the server sent it as ${encoding}; have it sent as it is`);
  }
  const header = response.headers.get("content-range");
  const match = /^bytes (\d{1,16})-(\d{1,16})\/(\d{1,16})$/.exec(header ?? "");
  const [first = NaN, last = NaN, byteLength = NaN] = match?.slice(1).map(Number) ?? [];
  const expectedEnd = known === undefined ? Math.min(end, byteLength) : end;
  if (
    first !== start || last !== expectedEnd - 1 || !Number.isSafeInteger(byteLength) ||
    byteLength < expectedEnd
  ) {
    const hint = header === null ? " (in a browser, CORS has to expose Content-Range)" : "";
    throw requestFailure(
      "storage_failed",
      url,
      `the server sent the range "${header}", expected "bytes ${start}-${end - 1}/"${hint}`,
    );
  }
  if (known !== undefined) checkUnchanged(response, url, known, byteLength);
  return { end: expectedEnd, byteLength };
}

function checkStatus({ status, statusText }: Response, url: string): void {
  if (status === 206) return;
  if (status === 200) {
    throw requestFailure(
      "unsupported",
      url,
      "the server sent the whole file instead of a range; use one that knows ranges",
    );
  }
  if (status === 404 || status === 410) {
    throw requestFailure("not_found", url, `there is no such file (${status})`);
  }
  throw requestFailure("storage_failed", url, `the server answered ${status} ${statusText}`.trimEnd());
}

function checkUnchanged(
  response: Response,
  url: string,
  known: { readonly byteLength: number; readonly validator: Validator },
  byteLength: number,
): void {
  const { etag, lastModified } = validatorOf(response);
  const before = known.validator;
  const isSame = byteLength === known.byteLength && etag === before.etag &&
    // A server that has ETags may well have several clocks.
    (etag !== null || lastModified === before.lastModified);
  if (isSame) return;
  throw requestFailure(
    "storage_failed",
    url,
    `it has changed since it was opened (ETag ${etag}, ${byteLength} bytes; it was ${before.etag}, ${known.byteLength}); open it again`,
  );
}

/**
 * Fills all of `into` from a response's body, which may be no longer.
 * @throws CairnError `storage_failed` for a body of another length.
 */
export async function fillFromBody(
  response: Response,
  into: Uint8Array,
  url: string,
  { signal, heard }: UnderWay,
): Promise<void> {
  const reader = response.body?.getReader();
  let filled = 0;
  try {
    for (;;) {
      if (reader === undefined) break;
      const { done, value } = await unlessAborted(reader.read(), signal);
      if (done) break;
      if (value.byteLength > 0) heard();
      if (value.byteLength > into.byteLength - filled) {
        throw requestFailure(
          "storage_failed",
          url,
          `the body goes on after the ${into.byteLength} bytes that it should have`,
        );
      }
      into.set(value, filled);
      filled += value.byteLength;
    }
  } finally {
    // A stream can only be cancelled by who holds it.
    reader?.releaseLock();
  }
  if (filled === into.byteLength) return;
  throw requestFailure(
    "storage_failed",
    url,
    `the body ended after ${filled} of ${into.byteLength} bytes; try again`,
  );
}
