/**
 * A store of S3 behind a line that adds 50 ms to each request and takes 50 MB/s, both ways together: a process of its
 * own, so that it holds nobody's event loop. It prints its port, and ends when its input does.
 */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import process from "node:process";
import { FakeS3 } from "../../tests/helpers/fake_s3.ts";
import { DELAY_MS, LINE_BYTES_PER_SECOND } from "./line.ts";

/** Timers are not finer than this. */
const LEAST_WAIT_MS = 4;
const PIECE_BYTES = 64 * 1024;

const store = new FakeS3();
let lineIsFreeMs = 0;

/** Resolves when so many bytes have passed, behind all those before. */
async function passLine(byteLength: number): Promise<void> {
  const now = performance.now();
  lineIsFreeMs = Math.max(now, lineIsFreeMs) + 1000 * byteLength / LINE_BYTES_PER_SECOND;
  const waitMs = lineIsFreeMs - now;
  if (waitMs >= LEAST_WAIT_MS) await new Promise((resolve) => setTimeout(resolve, waitMs));
}

async function answer(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
  const pieces: BlobPart[] = [];
  for await (const piece of incoming) {
    pieces.push(piece);
    await passLine((piece as Uint8Array).byteLength);
  }
  await new Promise((resolve) => setTimeout(resolve, DELAY_MS));
  const { method = "GET", url = "/", headers } = incoming;
  store.nowMs = Date.now();
  const response = await store.handle(
    new Request(new URL(url, "http://store"), {
      method,
      headers: Object.entries(headers).map(([name, value]) => [name, String(value)] as [string, string]),
      ...method === "GET" ? {} : { body: new Blob(pieces) },
    }),
  );
  // What was asked for is not looked at.
  store.requests.length = 0;
  const bytes = new Uint8Array(await response.arrayBuffer());
  outgoing.writeHead(response.status, Object.fromEntries(response.headers));
  for (let at = 0; at < bytes.byteLength; at += PIECE_BYTES) {
    const piece = bytes.subarray(at, at + PIECE_BYTES);
    await passLine(piece.byteLength);
    if (!outgoing.write(piece)) await new Promise((resolve) => outgoing.once("drain", resolve));
  }
  outgoing.end();
}

const server = createServer((incoming, outgoing) =>
  void answer(incoming, outgoing).catch(() => incoming.socket.destroy())
);
server.listen(0, "127.0.0.1", () => console.log((server.address() as AddressInfo).port));
process.stdin.on("end", () => process.exit(0)).resume();
