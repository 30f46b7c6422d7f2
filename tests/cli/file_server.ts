import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** A web server on loopback that gives files by ranges, and notes what it was asked for. */
export interface FileServer {
  /** Without a slash at its end. */
  readonly address: string;
  /** `name start-end`, in the order of the requests. */
  readonly requests: string[];
  /** Bytes of all answers. */
  sentBytes(): number;
  close(): Promise<void>;
}

/** Serves `files`, by their path without a slash in front. */
export async function serveFiles(files: Readonly<Record<string, Uint8Array>>): Promise<FileServer> {
  const requests: string[] = [];
  let sent = 0;
  const answer = (request: IncomingMessage, response: ServerResponse): void => {
    const name = decodeURIComponent((request.url ?? "/").slice(1));
    const bytes = files[name];
    const [, first = "0", last = "0"] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "") ?? [];
    const start = Number(first);
    if (bytes === undefined || start >= bytes.byteLength) {
      response.writeHead(bytes === undefined ? 404 : 416, {
        "content-range": `bytes */${bytes?.byteLength ?? 0}`,
      });
      response.end();
      return;
    }
    const end = Math.min(Number(last) + 1, bytes.byteLength);
    requests.push(`${name} ${start}-${end}`);
    sent += end - start;
    response.writeHead(206, {
      "content-range": `bytes ${start}-${end - 1}/${bytes.byteLength}`,
      "content-length": end - start,
      etag: '"one"',
    });
    response.end(bytes.subarray(start, end));
  };
  const server = createServer(answer);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    address: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    sentBytes: () => sent,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
