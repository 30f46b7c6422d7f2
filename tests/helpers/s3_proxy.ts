import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { S3Client } from "../../src/storage/s3/s3_client.ts";
import { parseS3Location } from "../../src/storage/s3/s3_location.ts";
import { getObject, listObjects, putObject } from "../../src/storage/s3/s3_objects.ts";
import { unfinishedUploads } from "../../src/storage/s3/s3_upload.ts";
import type { S3Options } from "../../src/storage/s3/s3_options.ts";
import { type FakeRequest, FaultyS3 } from "./faulty_s3.ts";
import type { RealS3 } from "./real_s3.ts";

/** Not of the message but of the connection that it came by. */
const OF_THE_CONNECTION = ["host", "connection", "content-length", "transfer-encoding", "keep-alive"];

/**
 * Stands before a real server, on a port of its own, and does to requests and answers what a network does. Every
 * store on it is a prefix of its own in the server's bucket.
 */
export class S3Proxy {
  readonly target: RealS3;
  readonly #server: Server;
  /** Whose faults happen. */
  current: ProxiedS3 | undefined;
  #stores = 0;

  private constructor(target: RealS3, server: Server) {
    this.target = target;
    this.#server = server;
  }

  static async open(target: RealS3): Promise<S3Proxy> {
    const server = createServer((request, response) => void proxy.#pass(request, response));
    const proxy = new S3Proxy(target, server);
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return proxy;
  }

  get endpoint(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** An empty store, which is the current one. */
  newStore(aheadMs = 0): ProxiedS3 {
    return this.current = new ProxiedS3(this, `s3://${this.target.bucket}/store-${++this.#stores}`, aheadMs);
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #pass(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    try {
      const pieces: Uint8Array[] = [];
      for await (const piece of incoming) pieces.push(piece);
      const { method = "GET", url = "/", headers } = incoming;
      const body = new Uint8Array(await new Blob(pieces as BlobPart[]).arrayBuffer());
      const request = new Request(new URL(url, this.endpoint), {
        method,
        headers: Object.entries(headers).map(([name, value]) => [name, String(value)] as [string, string]),
        ...method === "GET" ? {} : { body },
      });
      const answer = await this.current?.handle(request);
      if (answer === undefined) throw new Error("there is no store");
      await give(answer, outgoing);
    } catch {
      incoming.socket.destroy();
    }
  }
}

/** Sends an answer on. What is shorter than its length ends with the connection. */
async function give(answer: Response, outgoing: ServerResponse): Promise<void> {
  outgoing.writeHead(answer.status, Object.fromEntries(answer.headers));
  let sent = 0;
  for await (const piece of answer.body ?? []) {
    sent += piece.byteLength;
    await new Promise((resolve) => outgoing.write(piece, resolve));
  }
  const length = answer.headers.get("content-length");
  if (length !== null && Number(length) !== sent) outgoing.destroy();
  else outgoing.end();
}

/** A prefix of a bucket of a real server, behind a {@link S3Proxy}. */
export class ProxiedS3 extends FaultyS3 {
  readonly location: string;
  readonly #proxy: S3Proxy;
  #aheadMs: number;

  constructor(proxy: S3Proxy, location: string, aheadMs: number) {
    super();
    this.#proxy = proxy;
    this.location = location;
    this.#aheadMs = aheadMs;
  }

  /** That of the machine, and what the test adds. */
  get nowMs(): number {
    return Date.now() + this.#aheadMs;
  }

  set nowMs(value: number) {
    this.#aheadMs = Math.round((value - Date.now()) / 1000) * 1000;
  }

  override get connection(): S3Options {
    return { endpoint: this.#proxy.endpoint };
  }

  /** Objects and unfinished uploads; they are as old as the copy is. */
  override async copy(): Promise<ProxiedS3> {
    const copy = this.#proxy.newStore(this.#aheadMs);
    const { options } = this.#proxy.target;
    const [from, to] = [this, copy].map(({ location }) => new S3Client(parseS3Location(location), options));
    if (from === undefined || to === undefined) throw new Error("two clients");
    const { objects } = await listObjects(from, "");
    await Promise.all(
      objects.map(async ({ key }) =>
        await putObject(to, key, new Uint8Array(await getObject(from, key) ?? []))
      ),
    );
    for (const { key } of await unfinishedUploads(from, "")) {
      await to.once({ method: "POST", key, query: { uploads: "" } });
    }
    return copy;
  }

  protected override async answer({ method, url, headers, body }: FakeRequest): Promise<Response> {
    const sent = new Headers(headers);
    for (const name of OF_THE_CONNECTION) sent.delete(name);
    const to = this.#proxy.target.endpoint + url.pathname + url.search;
    const answer = await fetch(to, {
      method,
      headers: sent,
      ...method === "GET" ? {} : { body: new Uint8Array(body) },
    });
    const bytes = new Uint8Array(await answer.arrayBuffer());
    const given: Record<string, string> = Object.fromEntries(answer.headers);
    for (const name of [...OF_THE_CONNECTION, "date", "content-encoding"]) delete given[name];
    return this.response(answer.status, bytes.byteLength === 0 ? null : bytes, given);
  }
}
