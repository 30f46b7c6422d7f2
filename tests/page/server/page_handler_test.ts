import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { pageHandler, type PageHandlerOptions } from "../../../src/page/server/page_handler.ts";
import { FileStorage } from "../../../src/storage/file_storage.ts";

const TOKEN = "0123456789abcdef0123456789abcdef";
const HOST = "127.0.0.1:8080";
const folder = mkdtempSync(join(tmpdir(), "cairn-served-"));
const root = join(folder, "runs");
const bytes = Uint8Array.from({ length: 700_000 }, (_, i) => i % 251);
let handler: (request: Request) => Promise<Response>;
let options: PageHandlerOptions;

beforeAll(async () => {
  mkdirSync(join(root, "a", "parts"), { recursive: true });
  mkdirSync(join(root, ".hidden"));
  mkdirSync(join(root, "parts"));
  writeFileSync(join(folder, "outside.cairn"), "outside");
  writeFileSync(join(root, "a", "1.cairn"), bytes);
  writeFileSync(join(root, "a", "log.jsonl"), "");
  writeFileSync(join(root, "a", "umläut & <b>.cairn"), "x");
  writeFileSync(join(root, "secret.env"), "password");
  writeFileSync(join(root, ".hidden", "1.cairn"), "hidden");
  writeFileSync(join(root, "one.cairn"), "one");
  writeFileSync(join(root, "parts", `rank-0-${"ab".repeat(16)}.cairn`), "part");
  symlinkSync(join(folder, "outside.cairn"), join(root, "link.cairn"));
  symlinkSync(folder, join(root, "out"));
  options = {
    storage: await FileStorage.open(root),
    title: "runs",
    token: TOKEN,
    hosts: [HOST, "localhost:8080"],
  };
  handler = pageHandler(options);
});
afterAll(() => rmSync(folder, { recursive: true }));

function ask(path: string, init: RequestInit & { host?: string } = {}): Promise<Response> {
  const { host = HOST, ...rest } = init;
  return handler(new Request(`http://${host}${path}`, rest));
}
const file = (path: string, headers: Record<string, string> = {}): Promise<Response> =>
  ask(`/${TOKEN}/files/${path}`, { headers });

describe("who is answered", () => {
  test("only requests for a host of this machine are", async () => {
    for (const host of [HOST, "localhost:8080"]) expect((await ask(`/${TOKEN}/`, { host })).status).toBe(200);
    for (const host of ["127.0.0.1:8081", "localhost", "evil.example:8080", "127.0.0.1.evil.example:8080"]) {
      expect((await ask(`/${TOKEN}/`, { host })).status).toBe(403);
    }
  });

  test("only requests with the token are", async () => {
    for (
      const path of ["/", "/list", `/${TOKEN.slice(1)}/`, `/${TOKEN}0/`, "/0/", `//${TOKEN}/`, `/${TOKEN}`]
    ) {
      expect((await ask(path)).status).toBe(404);
    }
    expect((await ask(`/${TOKEN.replace("f", "F")}/list`)).status).toBe(404);
  });

  test("requests of another origin are refused, and those of the page are not", async () => {
    for (const origin of ["http://evil.example", "null", "http://127.0.0.1:9"]) {
      expect((await ask(`/${TOKEN}/list`, { headers: { origin } })).status).toBe(403);
    }
    expect((await ask(`/${TOKEN}/list`, { headers: { origin: `http://${HOST}` } })).status).toBe(200);
  });

  test("nothing is written: methods but GET and HEAD are refused by name", async () => {
    for (const method of ["POST", "PUT", "DELETE", "OPTIONS"]) {
      const response = await ask(`/${TOKEN}/files/a/1.cairn`, { method });
      expect([response.status, response.headers.get("allow")]).toEqual([405, "GET, HEAD"]);
    }
  });

  test("no answer has a CORS header, and each says that nobody else may have it", async () => {
    for (const path of ["/", `/${TOKEN}/`, `/${TOKEN}/list`, `/${TOKEN}/files/a/1.cairn`]) {
      const { headers } = await ask(path);
      expect([...headers.keys()].filter((name) => name.startsWith("access-control"))).toEqual([]);
      expect(headers.get("cross-origin-resource-policy")).toBe("same-origin");
      expect(headers.get("referrer-policy")).toBe("no-referrer");
      expect(headers.get("x-content-type-options")).toBe("nosniff");
      expect(headers.get("cache-control")).toBe("no-store");
    }
  });
});

describe("which files there are", () => {
  test("those that the page shows are listed, without hidden ones, links and all others", async () => {
    const listing = await (await ask(`/${TOKEN}/list`)).json();
    expect(listing.files.map(({ path }: { path: string }) => path)).toEqual([
      "a/1.cairn",
      "a/log.jsonl",
      "a/umläut & <b>.cairn",
      "one.cairn",
      `parts/rank-0-${"ab".repeat(16)}.cairn`,
    ]);
    expect({ ...listing, files: [] }).toEqual({ title: "runs", file: null, files: [], isCut: false });
    expect(listing.files[0].byteLength).toBe(bytes.byteLength);
  });

  test("no other file can be had: above, by links, hidden, by encoded slashes, of another kind", async () => {
    const paths = [
      "../outside.cairn",
      "%2e%2e/outside.cairn",
      "a/%2e%2e/%2e%2e/outside.cairn",
      "..%2foutside.cairn",
      "..%5coutside.cairn",
      "a%2f1.cairn",
      "a/..%00/1.cairn",
      "link.cairn",
      "out/outside.cairn",
      "one.cairn/one.cairn",
      ".hidden/1.cairn",
      "secret.env",
      "missing.cairn",
      "a",
      "",
      "/one.cairn",
      "%ff.cairn",
      "%zz.cairn",
      join(folder, "outside.cairn"),
    ];
    for (const path of paths) expect([path, (await file(path)).status]).toEqual([path, 404]);
  });

  test("a file that is served by itself is the only one, with its parts", async () => {
    const alone = pageHandler({ ...options, file: "one.cairn", title: "one.cairn" });
    const get = (path: string): Promise<Response> => alone(new Request(`http://${HOST}/${TOKEN}/${path}`));
    const listing = await (await get("list")).json();
    expect(listing.file).toBe("one.cairn");
    const part = `parts/rank-0-${"ab".repeat(16)}.cairn`;
    expect(listing.files.map(({ path }: { path: string }) => path)).toEqual(["one.cairn", part]);
    expect((await get("files/one.cairn")).status).toBe(200);
    expect((await get(`files/${part}`)).status).toBe(200);
    expect((await get("files/a/1.cairn")).status).toBe(404);
  });
});

describe("how a file is sent", () => {
  test("by the range that is asked for, with its length and a tag of its state", async () => {
    const response = await file("a/1.cairn", { range: "bytes=300000-600000" });
    expect(response.status).toBe(206);
    expect(response.headers.get("content-range")).toBe("bytes 300000-600000/700000");
    expect(response.headers.get("content-length")).toBe("300001");
    expect(response.headers.get("etag")).toMatch(/^"[0-9a-f]{32}"$/);
    const found = new Uint8Array(await response.arrayBuffer());
    expect(Buffer.compare(found, bytes.subarray(300_000, 600_001))).toBe(0);
  });

  test("whole without a range, and a name may have any letters", async () => {
    const response = await file("a/1.cairn");
    expect([response.status, response.headers.get("accept-ranges")]).toEqual([200, "bytes"]);
    expect(Buffer.compare(new Uint8Array(await response.arrayBuffer()), bytes)).toBe(0);
    expect((await file(encodeURIComponent("a").concat("/", encodeURIComponent("umläut & <b>.cairn")))).status)
      .toBe(200);
  });

  test("a range behind the end, and any range of an empty file, is 416 with the length", async () => {
    const behind = await file("a/1.cairn", { range: "bytes=700000-" });
    expect([behind.status, behind.headers.get("content-range")]).toEqual([416, "bytes */700000"]);
    const empty = await file("a/log.jsonl", { range: "bytes=0-4095" });
    expect([empty.status, empty.headers.get("content-range")]).toEqual([416, "bytes */0"]);
    expect((await file("a/log.jsonl")).status).toBe(200);
  });

  test("HEAD has the headers of GET and no body", async () => {
    for (const path of ["a/1.cairn", "a/log.jsonl"]) {
      const url = `/${TOKEN}/files/${path}`;
      const [head, get] = [await ask(url, { method: "HEAD" }), await ask(url)];
      expect(Object.fromEntries(head.headers)).toEqual(Object.fromEntries(get.headers));
      expect((await head.arrayBuffer()).byteLength).toBe(0);
      await get.arrayBuffer();
    }
    const page = await ask(`/${TOKEN}/`, { method: "HEAD" });
    expect((await page.arrayBuffer()).byteLength).toBe(0);
  });

  test("a range of a file that has changed is the whole new one, and its tag is another", async () => {
    const path = join(root, "a", "2.cairn");
    writeFileSync(path, "before");
    const before = (await file("a/2.cairn")).headers.get("etag") ?? "";
    const same = await file("a/2.cairn", { range: "bytes=0-1", "if-range": before });
    expect([same.status, await same.text()]).toEqual([206, "be"]);
    writeFileSync(path, "afterwards");
    const changed = await file("a/2.cairn", { range: "bytes=0-1", "if-range": before });
    expect([changed.status, await changed.text()]).toEqual([200, "afterwards"]);
    expect(changed.headers.get("etag")).not.toBe(before);
    rmSync(path);
  });

  test("what nobody reads on is closed", async () => {
    const storage = await FileStorage.open(root);
    const closed: string[] = [];
    const openRead = storage.openRead.bind(storage);
    storage.openRead = async (path) => {
      const reader = await openRead(path);
      return { ...reader, close: () => reader.close().then(() => void closed.push(path)) };
    };
    const watched = pageHandler({ ...options, storage });
    const response = await watched(new Request(`http://${HOST}/${TOKEN}/files/a/1.cairn`));
    const reader = response.body?.getReader();
    await reader?.read();
    expect(closed).toEqual([]);
    await reader?.cancel();
    expect(new Set(closed)).toEqual(new Set(["a/1.cairn"]));
  });
});
