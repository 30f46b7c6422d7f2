import { request as httpRequest } from "node:http";
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "bun:test";
import { type PageServer, servePage } from "../../../src/page/server/serve_page.ts";
import { HttpSource } from "../../../src/storage/http_source.ts";

const folder = mkdtempSync(join(tmpdir(), "cairn-serve-"));
const bytes = Uint8Array.from({ length: 2_000_000 }, (_, i) => i % 253);
let server: PageServer;

beforeAll(async () => {
  writeFileSync(join(folder, "a.cairn"), bytes);
  writeFileSync(join(folder, "b.cairn"), "b");
  server = await servePage(folder);
});
afterAll(async () => {
  await server.close();
  rmSync(folder, { recursive: true });
});

/** As `fetch` cannot: with a host and a path of one's own. */
function rawStatus(path: string, host: string, method = "GET"): Promise<number> {
  const { port } = new URL(server.url);
  return new Promise((resolve, reject) => {
    const request = httpRequest({ host: "127.0.0.1", port, path, method, headers: { host } }, (response) => {
      response.resume();
      response.on("end", () => resolve(response.statusCode ?? 0));
    });
    request.on("error", reject);
    request.end();
  });
}

test("the address is of this machine and begins with a token of 128 bits, another one each time", async () => {
  expect(server.url).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/[0-9a-f]{32}\/$/);
  const other = await servePage(folder);
  expect(new URL(other.url).pathname).not.toBe(new URL(server.url).pathname);
  await other.close();
});

test("a file is read over it by ranges, byte for byte", async () => {
  const source = await HttpSource.open(`${server.url}files/a.cairn`);
  expect(source.byteLength).toBe(bytes.byteLength);
  const part = new Uint8Array(1_500_000);
  await source.read(400_000, part);
  expect(Buffer.compare(part, bytes.subarray(400_000, 1_900_000))).toBe(0);
  await source.close();
});

test("another host, another path and another method are refused over the wire too", async () => {
  const { host, pathname } = new URL(server.url);
  expect(await rawStatus(`${pathname}list`, host)).toBe(200);
  expect(await rawStatus(`${pathname}list`, "evil.example")).toBe(403);
  expect(await rawStatus(`http://evil.example${pathname}list`, host)).toBe(403);
  expect(await rawStatus(`${pathname}files/../../a.cairn`, host)).toBe(404);
  expect(await rawStatus(`${pathname}files/..%2f..%2fetc/passwd`, host)).toBe(404);
  expect(await rawStatus(`${pathname}list`, host, "DELETE")).toBe(405);
});

test("one file is served without the others beside it", async () => {
  const alone = await servePage(join(folder, "a.cairn"));
  const { file, files } = await (await fetch(`${alone.url}list`)).json();
  expect([file, files.length]).toEqual(["a.cairn", 1]);
  expect((await fetch(`${alone.url}files/b.cairn`)).status).toBe(404);
  await alone.close();
});

test("a link to a file or a directory is followed, and the end of a checkpoint's name may be left out", async () => {
  symlinkSync(join(folder, "a.cairn"), join(folder, "link"));
  for (const location of [join(folder, "link"), join(folder, "a")]) {
    const linked = await servePage(location);
    expect((await (await fetch(`${linked.url}list`)).json()).file).toBe("a.cairn");
    await linked.close();
  }
  symlinkSync(folder, join(folder, "again"));
  const directory = await servePage(join(folder, "again"));
  expect((await (await fetch(`${directory.url}list`)).json()).files).toHaveLength(2);
  await directory.close();
});

test("closing ends what is being sent, and frees the port", async () => {
  const first = await servePage(folder);
  const { port } = new URL(first.url);
  const response = await fetch(`${first.url}files/a.cairn`);
  await response.body?.getReader().read();
  await first.close();
  const second = await servePage(folder, { port: Number(port) });
  expect(new URL(second.url).port).toBe(port);
  await second.close();
});

test("what cannot be served is refused by name: no such file, no port, a port that is taken", async () => {
  await expect(servePage(join(folder, "missing"))).rejects.toMatchObject({ code: "not_found" });
  writeFileSync(join(folder, "notes.txt"), "notes");
  await expect(servePage(join(folder, "notes.txt"))).rejects.toThrow(
    "the page shows files that end in .cairn, .safetensors, .jsonl",
  );
  await expect(servePage(folder, { port: 70_000 })).rejects.toThrow("The port is 70000; expected 0 to 65535");
  const { port } = new URL(server.url);
  await expect(servePage(folder, { port: Number(port) })).rejects.toThrow(`Cannot serve on port ${port}`);
});
