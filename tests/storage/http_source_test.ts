import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { ContainerReader } from "../../src/container/read/container_reader.ts";
import { writeContainer } from "../../src/container/write/write_container.ts";
import { HttpSource } from "../../src/storage/http_source.ts";
import { bytesOf, FILE_ID, manifestOf, tensorOf } from "../container/samples.ts";
import { thrownBy } from "../helpers/thrown.ts";

/** What the server does next, for the requests after the first `good` ones. */
type Behaviour = (request: IncomingMessage, response: ServerResponse, range: [number, number]) => void;

const body = bytesOf(20_000, 1);
let server: Server;
let url = "";
let content: Uint8Array = body;
let good = Infinity;
let misbehave: Behaviour = () => {};
const seen: (string | undefined)[] = [];

function serve(request: IncomingMessage, response: ServerResponse): void {
  seen.push(request.headers.range);
  const [, first = NaN, last = NaN] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "")?.map(Number) ??
    [];
  if (seen.length > good) return misbehave(request, response, [first, last]);
  sendRange(response, [first, last]);
}

function sendRange(
  response: ServerResponse,
  [first, last]: [number, number],
  changes: { status?: number; headers?: Record<string, string>; bytes?: Uint8Array } = {},
): void {
  const end = Math.min(last + 1, content.byteLength);
  const bytes = changes.bytes ?? content.subarray(first, end);
  response.writeHead(changes.status ?? 206, {
    "content-range": `bytes ${first}-${end - 1}/${content.byteLength}`,
    "content-length": String(bytes.byteLength),
    etag: '"one"',
    ...changes.headers,
  });
  response.end(bytes);
}

beforeAll(async () => {
  server = createServer(serve);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/model.cairn`;
});

afterAll(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

beforeEach(() => {
  content = body;
  good = Infinity;
  seen.length = 0;
});

/** A source whose first request went well, and what it throws when the next one is answered by `behaviour`. */
async function refusal(behaviour: Behaviour): Promise<Error & { code?: unknown }> {
  good = 1;
  misbehave = behaviour;
  seen.length = 0;
  const source = await HttpSource.open(url);
  const error = await thrownBy(() => source.read(5000, new Uint8Array(100)));
  expect(seen.length).toBe(2);
  await source.close();
  return error;
}

describe("HttpSource", () => {
  test("reads any range, each by one request", async () => {
    const source = await HttpSource.open(url);
    expect(source.byteLength).toBe(20_000);
    for (const [offset, length] of [[5000, 1], [0, 20_000], [19_999, 1], [4000, 200]] as const) {
      const into = new Uint8Array(length);
      await source.read(offset, into);
      expect(into).toEqual(body.slice(offset, offset + length));
    }
    expect(seen).toEqual([
      "bytes=0-4095",
      "bytes=5000-5000",
      "bytes=0-19999",
      "bytes=19999-19999",
      "bytes=4000-4199",
    ]);
  });

  test("opens a container of 10 000 tensors in two requests, and reads a tensor in a third", async () => {
    const tensors = Array.from({ length: 10_000 }, (_, i) => tensorOf(`layers.${i}.weight`, "u8", [64], i));
    content = await writeContainer({ tensors, manifest: manifestOf(null), fileId: FILE_ID, codec: "raw" });
    const reader = await ContainerReader.open(await HttpSource.open(url));
    expect(reader.tensors.length).toBe(10_000);
    expect(seen.length).toBe(2);
    expect(await reader.read("layers.7000.weight")).toEqual(tensors[7000]?.bytes as Uint8Array);
    expect(seen.length).toBe(3);
    await reader.close();
  });

  test("knows small and empty files", async () => {
    content = body.subarray(0, 10);
    const source = await HttpSource.open(url);
    expect(source.byteLength).toBe(10);
    const into = new Uint8Array(10);
    await source.read(0, into);
    expect<Uint8Array>(into).toEqual(content);
    expect(seen.length).toBe(1);
    good = 0;
    misbehave = (_, response) => void response.writeHead(416, { "content-range": "bytes */0" }).end();
    const empty = await HttpSource.open(url);
    expect(empty.byteLength).toBe(0);
    expect(await thrownBy(() => ContainerReader.open(empty))).toMatchObject({ code: "truncated" });
  });

  test("refuses what is past the end without asking", async () => {
    const source = await HttpSource.open(url);
    expect(await thrownBy(() => source.read(19_999, new Uint8Array(2)))).toMatchObject({ code: "truncated" });
    expect(seen.length).toBe(1);
  });

  test("sends the headers that it is given", async () => {
    good = 0;
    const sent: (string | undefined)[] = [];
    misbehave = (request, response, range) => {
      sent.push(request.headers.authorization, request.headers["accept-encoding"]);
      sendRange(response, range);
    };
    await HttpSource.open(url, { headers: { authorization: "Bearer x" } });
    expect(sent).toEqual(["Bearer x", "identity"]);
  });

  const refused: [string, string, RegExp, Behaviour][] = [
    ["200 with the whole file", "unsupported", /whole file/, (_, response) => {
      response.writeHead(200, { etag: '"one"' }).end(content);
    }],
    ["404", "not_found", /404/, (_, response) => void response.writeHead(404).end("gone")],
    ["500", "storage_failed", /500/, (_, response) => void response.writeHead(500).end("sorry")],
    ["a body that is cut short", "storage_failed", /./, (_, response, [first, last]) => {
      response.writeHead(206, {
        "content-range": `bytes ${first}-${last}/20000`,
        "content-length": "100",
        etag: '"one"',
      });
      response.write(content.subarray(first, first + 50));
      setTimeout(() => response.destroy(), 20);
    }],
    [
      "a body shorter than its range says",
      "storage_failed",
      /ended after 50 of 100/,
      (_, response, range) => {
        sendRange(response, range, { bytes: content.subarray(0, 50) });
      },
    ],
    ["a body longer than its range says", "storage_failed", /goes on/, (_, response, range) => {
      sendRange(response, range, { bytes: content.subarray(0, 101) });
    }],
    ["another ETag", "storage_failed", /has changed/, (_, response, range) => {
      sendRange(response, range, { headers: { etag: '"two"' } });
    }],
    ["another length", "storage_failed", /has changed/, (_, response, range) => {
      sendRange(response, range, { headers: { "content-range": `bytes ${range[0]}-${range[1]}/20001` } });
    }],
    ["another range", "storage_failed", /bytes 4999-5098/, (_, response, range) => {
      sendRange(response, range, { headers: { "content-range": "bytes 4999-5098/20000" } });
    }],
    ["a length that is not known", "storage_failed", /\/\*/, (_, response, range) => {
      sendRange(response, range, { headers: { "content-range": `bytes ${range[0]}-${range[1]}/*` } });
    }],
    ["no range at all", "storage_failed", /Content-Range/, (_, response) => {
      response.writeHead(206, { etag: '"one"' }).end(content.subarray(5000, 5100));
    }],
    ["compressed bytes", "unsupported", /x-packed/, (_, response, range) => {
      sendRange(response, range, { headers: { "content-encoding": "x-packed" } });
    }],
  ];
  for (const [name, code, message, behaviour] of refused) {
    test(`refuses ${name}, and asks only once`, async () => {
      const error = await refusal(behaviour);
      expect(error).toMatchObject({ name: "CairnError", code });
      expect(error.message).toMatch(message);
      expect(error.message).toContain(url);
    });
  }

  test("refuses a connection that breaks", async () => {
    good = 1;
    misbehave = (request) => void request.socket.destroy();
    const source = await HttpSource.open(url);
    const error = await thrownBy(() => source.read(5000, new Uint8Array(100)));
    expect(error).toMatchObject({ name: "CairnError", code: "storage_failed" });
    // The runtime itself may ask again on a fresh connection, when it had kept the broken one from the request before.
    expect(seen.length).toBeLessThanOrEqual(3);
  });

  test("goes by the date of the file where there is no ETag", async () => {
    const dates = [
      "Sat, 21 Nov 2026 00:00:00 GMT",
      "Sat, 21 Nov 2026 00:00:00 GMT",
      "Sun, 22 Nov 2026 00:00:00 GMT",
    ];
    good = 0;
    misbehave = (_, response, [first, last]) => {
      response.writeHead(206, {
        "content-range": `bytes ${first}-${last}/20000`,
        "last-modified": dates[seen.length - 1] as string,
      });
      response.end(content.subarray(first, last + 1));
    };
    const source = await HttpSource.open(url);
    await source.read(5000, new Uint8Array(10));
    const error = await thrownBy(() => source.read(5000, new Uint8Array(10)));
    expect(error.message).toContain("has changed");
  });

  test("an abort rejects with the signal's reason, while a request hangs too", async () => {
    const reason = new Error("stop");
    expect(await thrownBy(() => HttpSource.open(url, { signal: AbortSignal.abort(reason) }))).toBe(reason);
    expect(seen.length).toBe(0);
    good = 1;
    misbehave = (_, response) => {
      response.writeHead(206, { "content-range": "bytes 5000-5099/20000", etag: '"one"' });
      response.write(content.subarray(5000, 5010));
    };
    const source = await HttpSource.open(url);
    const controller = new AbortController();
    setTimeout(() => controller.abort(reason), 30);
    expect(await thrownBy(() => source.read(5000, new Uint8Array(100), controller.signal))).toBe(reason);
  });

  test("closing ends what hangs, and refuses what comes after", async () => {
    good = 1;
    let arrived = (): void => {};
    misbehave = () => arrived();
    const source = await HttpSource.open(url);
    arrived = () => void source.close();
    expect(await thrownBy(() => source.read(5000, new Uint8Array(100)))).toMatchObject({ code: "closed" });
    expect(await thrownBy(() => source.read(5000, new Uint8Array(100)))).toMatchObject({ code: "closed" });
    expect(seen.length).toBe(2);
  });

  test("says so when there is no server", async () => {
    const error = await thrownBy(() => HttpSource.open("http://127.0.0.1:1/x.cairn"));
    expect(error).toMatchObject({ name: "CairnError", code: "storage_failed" });
    expect(error.cause).toBeInstanceOf(Error);
  });
});
