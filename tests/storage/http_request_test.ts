import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import type { Clock } from "../../src/base/clock.ts";
import { HttpSource, type HttpSourceOptions } from "../../src/storage/http_source.ts";
import { bytesOf } from "../container/samples.ts";
import { thrownBy } from "../helpers/thrown.ts";

const SECRETS = { authorization: "Bearer secret", "x-api-key": "secret", cookie: "session=secret" };
const content = bytesOf(20_000, 1);

/** Who was asked for what, and with which of the caller's headers. */
let seen: string[] = [];
/** What an address answers: a status and a place to go to. Every other address has the file. */
let redirects: Record<string, readonly [status: number, location?: string]> = {};

/** Two servers, which are two origins. */
const servers: Server[] = [];
const origins: string[] = [];

function serve(name: string, request: IncomingMessage, response: ServerResponse): void {
  const { url = "", headers } = request;
  const own = Object.keys(SECRETS).filter((header) =>
    JSON.stringify(headers[header] ?? "").includes("secret")
  );
  seen.push(`${name}${url} ${own.join("+")}`.trim());
  const [status, location] = redirects[`${name}${url}`] ?? [];
  if (status !== undefined) {
    response.writeHead(status, location === undefined ? {} : { location }).end("moved");
    return;
  }
  const [, first = NaN, last = NaN] = /^bytes=(\d+)-(\d+)$/.exec(headers.range ?? "")?.map(Number) ?? [];
  const bytes = content.subarray(first, last + 1);
  response.writeHead(206, {
    "content-range": `bytes ${first}-${first + bytes.byteLength - 1}/20000`,
    etag: '"one"',
  });
  response.end(bytes);
}

beforeAll(async () => {
  for (const name of ["a", "b"]) {
    const server = createServer((request, response) => serve(name, request, response));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    servers.push(server);
    origins.push(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  }
});

afterAll(async () => {
  for (const server of servers) {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
});

beforeEach(() => {
  seen = [];
  redirects = {};
});

/** Opens an address of the first server and reads a range behind what opening reads. */
async function openAndRead(path: string, options: HttpSourceOptions = { headers: SECRETS }): Promise<void> {
  const source = await HttpSource.open(origins[0] + path, options);
  const into = new Uint8Array(100);
  await source.read(5000, into);
  expect(into).toEqual(content.slice(5000, 5100));
  await source.close();
}

const ALL = Object.keys(SECRETS).join("+");

describe("redirects", () => {
  for (const status of [301, 302, 303, 307, 308]) {
    test(`${status} to another origin: the caller's headers stay, in each request`, async () => {
      redirects = { "a/m": [status, `${origins[1]}/cdn`] };
      await openAndRead("/m");
      expect(seen).toEqual([`a/m ${ALL}`, "b/cdn", `a/m ${ALL}`, "b/cdn"]);
    });
  }

  test("another name of the same machine is another origin", async () => {
    redirects = { "a/m": [302, `${origins[0]?.replace("127.0.0.1", "localhost")}/cdn`] };
    await openAndRead("/m");
    expect(seen).toEqual([`a/m ${ALL}`, "a/cdn", `a/m ${ALL}`, "a/cdn"]);
  });

  test("within the origin the headers go along, whatever way the place is written", async () => {
    redirects = { "a/x/m": [302, "../y"], "a/y": [307, "?v=2"], "a/y?v=2": [308, `${origins[0]}/z`] };
    await openAndRead("/x/m");
    expect(seen.slice(0, 4)).toEqual([`a/x/m ${ALL}`, `a/y ${ALL}`, `a/y?v=2 ${ALL}`, `a/z ${ALL}`]);
    expect(seen.slice(4)).toEqual(seen.slice(0, 4));
  });

  test("headers that have left do not come back, since another one sends them then", async () => {
    redirects = { "a/m": [302, `${origins[1]}/there`], "b/there": [302, `${origins[0]}/delete-all`] };
    await openAndRead("/m");
    expect(seen.slice(0, 3)).toEqual([`a/m ${ALL}`, "b/there", "a/delete-all"]);
  });

  test("a redirect to itself ends after ten", async () => {
    redirects = { "a/m": [302, "/m"] };
    const error = await thrownBy(() => openAndRead("/m"));
    expect(error).toMatchObject({ name: "CairnError", code: "storage_failed" });
    expect(error.message).toContain("redirects more than 10 times");
    expect(seen.length).toBe(11);
  });

  for (
    const location of ["file:///etc/passwd", "data:text/plain,x", "http://", "blob:x", "ftp://127.0.0.1/m"]
  ) {
    test(`a redirect to ${location} is refused`, async () => {
      redirects = { "a/m": [302, location] };
      const error = await thrownBy(() => openAndRead("/m"));
      expect(error).toMatchObject({ name: "CairnError", code: "storage_failed" });
      expect(error.message).toContain(`"${location}", which is no web address`);
      expect(seen.length).toBe(1);
    });
  }

  test("a redirect to nowhere is an answer like any other", async () => {
    redirects = { "a/m": [302], "a/n": [304, "/m"] };
    expect((await thrownBy(() => openAndRead("/m"))).message).toContain("answered 302");
    expect((await thrownBy(() => openAndRead("/n"))).message).toContain("answered 304");
  });

  /** What a browser gives for a redirect that it was told not to follow, and the file when it may. */
  function browser(): { fetch: NonNullable<HttpSourceOptions["fetch"]>; asked: unknown[] } {
    const asked: unknown[] = [];
    const fetchThere = (address: string, init: RequestInit): Promise<Response> => {
      asked.push(init.redirect);
      const opaque = Object.defineProperty(new Response(null), "type", { value: "opaqueredirect" });
      return init.redirect === "manual" ? Promise.resolve(opaque) : fetch(address, init);
    };
    return { fetch: fetchThere, asked };
  }

  test("in a browser, which says nothing of a redirect, it is followed without headers and refused with", async () => {
    const plain = browser();
    await openAndRead("/m", { fetch: plain.fetch });
    expect(plain.asked).toEqual(["manual", "follow", "manual", "follow"]);
    const secret = browser();
    const error = await thrownBy(() => openAndRead("/m", { fetch: secret.fetch, headers: SECRETS }));
    expect(error).toMatchObject({ name: "CairnError", code: "unsupported" });
    expect(error.message).toContain("leave the headers out");
    expect(secret.asked).toEqual(["manual"]);
  });
});

/** A clock whose sleeps end when a test says so. */
class HandClock implements Clock {
  readonly sleeps: {
    readonly ms: number;
    readonly signal: AbortSignal | undefined;
    readonly wake: () => void;
  }[] = [];
  #begun: () => void = () => {};

  now(): number {
    return 0;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      this.sleeps.push({ ms, signal, wake: resolve });
      this.#begun();
    });
  }

  /** Resolves when so many sleeps have begun. */
  async begun(count: number): Promise<void> {
    while (this.sleeps.length < count) await new Promise<void>((resolve) => this.#begun = resolve);
  }

  /** Sleeps that nobody gave up. */
  get pending(): number {
    return this.sleeps.filter(({ signal }) => !signal?.aborted).length;
  }

  /** Ends them all, those that were given up too. */
  ring(): void {
    for (const { wake } of this.sleeps) wake();
  }
}

/** A server that answers when it is told to, and takes no notice of an abort. */
function slowServer(range = "bytes 0-4095/20000") {
  let body: ReadableStreamDefaultController<Uint8Array> | undefined;
  let answer: (response: Response) => void = () => {};
  return {
    fetch: (): Promise<Response> => new Promise((resolve) => answer = resolve),
    answer: () => {
      const stream = new ReadableStream<Uint8Array>({ start: (controller) => void (body = controller) });
      answer(new Response(stream, { status: 206, headers: { "content-range": range, etag: '"one"' } }));
    },
    send: (bytes: number) => body?.enqueue(content.slice(0, bytes)),
    end: () => body?.close(),
  };
}

describe("waiting", () => {
  test("30 s without an answer end the request, and the error says so", async () => {
    const [clock, server] = [new HandClock(), slowServer()];
    const opening = HttpSource.open("http://127.0.0.1/m", { clock, fetch: server.fetch });
    await clock.begun(1);
    expect(clock.sleeps[0]?.ms).toBe(30_000);
    clock.ring();
    const error = await thrownBy(() => opening);
    expect(error).toMatchObject({ name: "CairnError", code: "storage_failed" });
    expect(error.message).toContain("http://127.0.0.1/m: nothing arrived for 30000 ms");
  });

  test("a body that stops is not waited for longer than that, and each of its bytes starts the wait anew", async () => {
    const [clock, server] = [new HandClock(), slowServer()];
    const opening = HttpSource.open("http://127.0.0.1/m", { clock, fetch: server.fetch, timeoutMs: 500 });
    await clock.begun(1);
    server.answer();
    await clock.begun(2);
    for (let chunk = 1; chunk <= 3; chunk++) {
      server.send(100);
      await clock.begun(2 + chunk);
      expect(clock.pending).toBe(1);
    }
    expect(clock.sleeps.map(({ ms }) => ms)).toEqual([500, 500, 500, 500, 500]);
    clock.ring();
    expect((await thrownBy(() => opening)).message).toContain("nothing arrived for 500 ms");
  });

  test("chunks without a byte are nothing", async () => {
    const [clock, server] = [new HandClock(), slowServer()];
    const opening = HttpSource.open("http://127.0.0.1/m", { clock, fetch: server.fetch });
    await clock.begun(1);
    server.answer();
    await clock.begun(2);
    for (let i = 0; i < 3; i++) server.send(0);
    server.send(4096);
    await clock.begun(3);
    server.end();
    await opening;
    expect(clock.sleeps.length).toBe(3);
    // Nothing keeps the process alive afterwards.
    expect(clock.pending).toBe(0);
  });

  test("a server that is silent is given up, while opening and while reading", async () => {
    let onSilence = (): void => {};
    const silent = createServer((request, response) => {
      if (request.headers.range !== "bytes=0-4095" || request.url === "/silent") return onSilence();
      response.writeHead(206, { "content-range": "bytes 0-4095/20000" }).end(content.subarray(0, 4096));
    });
    await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
    const url = `http://127.0.0.1:${(silent.address() as AddressInfo).port}`;
    const timeoutMs = 200;
    try {
      expect((await thrownBy(() => HttpSource.open(`${url}/silent`, { timeoutMs }))).message).toContain(
        "200 ms",
      );
      // This one's time is up when the server has the request, so that a slow machine may take its time to send it.
      const clock = new HandClock();
      const source = await HttpSource.open(url, { timeoutMs, clock });
      onSilence = () => clock.ring();
      const error = await thrownBy(() => source.read(5000, new Uint8Array(1)));
      expect(error).toMatchObject({ name: "CairnError", code: "storage_failed", details: { op: "read" } });
      expect(error.message).toContain("nothing arrived for 200 ms");
    } finally {
      silent.closeAllConnections();
      await new Promise((resolve) => silent.close(resolve));
    }
  });

  test("the caller's abort and closing come first, also with a fetch that takes no notice of them", async () => {
    const [clock, server] = [new HandClock(), slowServer()];
    const controller = new AbortController();
    const reason = new Error("stop");
    const options = { clock, fetch: server.fetch, signal: controller.signal };
    const opening = HttpSource.open("http://127.0.0.1/m", options);
    await clock.begun(1);
    controller.abort(reason);
    expect(await thrownBy(() => opening)).toBe(reason);
    expect(clock.pending).toBe(0);
  });

  test("Infinity waits as long as the longest timer, and an invalid time is refused", async () => {
    const clock = new HandClock();
    redirects = {};
    await HttpSource.open(`${origins[0]}/m`, { clock, timeoutMs: Infinity });
    expect(clock.sleeps[0]?.ms).toBe(2 ** 31 - 1);
    for (const timeoutMs of [0, -1, NaN, "30" as unknown as number]) {
      const error = await thrownBy(() => HttpSource.open(`${origins[0]}/m`, { timeoutMs }));
      expect(error).toBeInstanceOf(RangeError);
      expect(error.message).toContain(`timeoutMs is ${timeoutMs}`);
    }
  });
});
