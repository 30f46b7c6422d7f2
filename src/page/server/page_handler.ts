import { CairnError } from "../../base/errors.ts";
import { bytesAsHex } from "../../base/hex.ts";
import type { StorageEntry, StorageReader } from "../../storage/storage.ts";
import { checkFilePath } from "../../storage/storage_path.ts";
import { askedRange } from "./byte_range.ts";
import { pageText } from "./page_text.ts";
import { findServed, listServed, type Served } from "./served_files.ts";

/** What a {@link pageHandler} gives out, and to whom. */
export interface PageHandlerOptions extends Served {
  /** What the page calls that which it shows. */
  readonly title: string;
  /** The secret that each address begins with. */
  readonly token: string;
  /** The only hosts that requests may name, with ports, such as `127.0.0.1:8080`. */
  readonly hosts: readonly string[];
}

/** The path of an address behind the token. */
const LIST = "list";
const FILES = "files/";

/** In one read of a file. */
const PIECE_BYTES = 256 * 1024;

/**
 * What all answers say: nothing is kept, nobody else's page may have it, and no address that has the token in it is
 * told to others. There are no CORS headers.
 */
const HEADERS: Readonly<Record<string, string>> = {
  "cache-control": "no-store",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
};

/**
 * A server of the page and of files, as a function: `/TOKEN/` is the page, `/TOKEN/list` says which files there are,
 * and `/TOKEN/files/PATH` is one of them, by ranges. It only reads. A request for any other host is refused, so that
 * no page of another site gets at it under a name that it made up.
 */
export function pageHandler(options: PageHandlerOptions): (request: Request) => Promise<Response> {
  return async (request) => {
    try {
      return await respond(request, options);
    } catch (error) {
      if (error instanceof CairnError && error.code === "not_found") {
        return refuse(404, "There is no such file");
      }
      return refuse(500, error instanceof Error ? error.message : String(error));
    }
  };
}

async function respond(request: Request, options: PageHandlerOptions): Promise<Response> {
  const url = new URL(request.url);
  if (!options.hosts.includes(url.host)) return refuse(403, "This server is for its own machine only");
  const origin = request.headers.get("origin");
  if (origin !== null && origin !== url.origin) return refuse(403, "This server is for its own page only");
  const path = behindToken(url.pathname, options.token);
  if (path === undefined) {
    return refuse(404, "The address has no token, or an old one; take it from the terminal");
  }
  if (request.method !== "GET" && request.method !== "HEAD") {
    return refuse(405, "This server only reads", { allow: "GET, HEAD" });
  }
  const isHead = request.method === "HEAD";
  if (path === "") return whole(pageText(), "text/html; charset=utf-8", isHead);
  if (path === LIST) {
    const listing = { title: options.title, file: options.file ?? null, ...await listServed(options) };
    return whole(JSON.stringify(listing), "application/json", isHead);
  }
  const file = path.startsWith(FILES) ? decodedPath(path.slice(FILES.length)) : undefined;
  return file === undefined ? refuse(404, "There is no such file") : await sendFile(request, options, file);
}

/** What follows the token; `undefined` where there is another one. All of it is compared, whatever differs first. */
function behindToken(pathname: string, token: string): string | undefined {
  const [, given = "", ...rest] = pathname.split("/");
  let difference = given.length ^ token.length;
  for (let i = 0; i < token.length; i++) difference |= token.charCodeAt(i) ^ given.charCodeAt(i);
  return difference === 0 && rest.length > 0 ? rest.join("/") : undefined;
}

/** A path of a storage; `undefined` for one that no file has, such as one with an encoded slash. */
function decodedPath(encoded: string): string | undefined {
  try {
    const segments = encoded.split("/").map(decodeURIComponent);
    if (segments.some((segment) => segment.includes("/"))) return undefined;
    const path = segments.join("/");
    checkFilePath(path);
    return path;
  } catch {
    return undefined;
  }
}

async function sendFile(request: Request, served: Served, path: string): Promise<Response> {
  const entry = await findServed(served, path);
  if (entry === undefined) return refuse(404, "There is no such file");
  const reader = await served.storage.openRead(path);
  const { byteLength } = reader;
  const headers = {
    ...HEADERS,
    "accept-ranges": "bytes",
    "content-type": "application/octet-stream",
    etag: await etagOf(entry),
  };
  const condition = request.headers.get("if-range");
  const isWhole = condition !== null && condition !== headers.etag;
  const range = isWhole ? "whole" : askedRange(request.headers.get("range"), byteLength);
  if (range === "unsatisfiable") {
    await reader.close();
    return new Response(null, {
      status: 416,
      headers: { ...headers, "content-range": `bytes */${byteLength}` },
    });
  }
  const { start, end } = range === "whole" ? { start: 0, end: byteLength } : range;
  const sent: Record<string, string> = { ...headers, "content-length": String(end - start) };
  if (range !== "whole") sent["content-range"] = `bytes ${start}-${end - 1}/${byteLength}`;
  const init = { status: range === "whole" ? 200 : 206, headers: sent };
  if (request.method === "HEAD" || start === end) {
    await reader.close();
    return new Response(null, init);
  }
  return new Response(streamOf(reader, start, end), init);
}

/** Another one whenever the file is another one or has other bytes. */
async function etagOf({ identity, byteLength, modifiedMs }: StorageEntry): Promise<string> {
  // The system's numbers of a file are nobody's business.
  const text = new TextEncoder().encode(identity ?? `${byteLength}:${modifiedMs}`);
  return `"${bytesAsHex(new Uint8Array(await crypto.subtle.digest("SHA-256", text)).subarray(0, 16))}"`;
}

/** The bytes of an open file, which is closed when all are read or nobody wants them. */
function streamOf(
  reader: StorageReader,
  start: number,
  end: number,
): ReadableStream<Uint8Array<ArrayBuffer>> {
  let at = start;
  return new ReadableStream({
    async pull(controller) {
      try {
        const piece = new Uint8Array(Math.min(PIECE_BYTES, end - at));
        const count = await reader.read(at, piece);
        if (count === 0) throw new CairnError("truncated", `The file ended at byte ${at}, expected ${end}`);
        controller.enqueue(piece.subarray(0, count));
        at += count;
        if (at < end) return;
        controller.close();
      } catch (error) {
        controller.error(error);
      }
      await reader.close();
    },
    cancel: () => reader.close(),
  });
}

function whole(text: string, type: string, isHead: boolean): Response {
  const bytes = new TextEncoder().encode(text);
  const headers = { ...HEADERS, "content-type": type, "content-length": String(bytes.byteLength) };
  return new Response(isHead ? null : bytes, { headers });
}

function refuse(status: number, why: string, headers: Readonly<Record<string, string>> = {}): Response {
  return new Response(`${why}.\n`, {
    status,
    headers: { ...HEADERS, "content-type": "text/plain; charset=utf-8", ...headers },
  });
}
