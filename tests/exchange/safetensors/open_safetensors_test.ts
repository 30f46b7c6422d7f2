import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { openSafetensors } from "../../../src/exchange/safetensors/open_safetensors.ts";
import { saveSafetensors } from "../../../src/exchange/safetensors/save_safetensors.ts";
import { FileStorage } from "../../../src/storage/file_storage.ts";
import { HostTensor } from "../../../src/tensor/host_tensor.ts";
import { thrownBy } from "../../helpers/thrown.ts";

const tensors = { a: HostTensor.from([1, 2, 3]), "b c": HostTensor.from([[4, 5], [6, 7]]) };
const INDEX = "many files.safetensors.index.json";
let folder = "";
let server: Server;
let origin = "";
const asked: string[] = [];

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "cairn-safetensors-"));
  const storage = await FileStorage.open(folder);
  await saveSafetensors(storage, "one.safetensors", tensors);
  await saveSafetensors(storage, "many files.safetensors", tensors, { maxFileBytes: 12 });
  server = createServer((request, response) => {
    const { pathname } = new URL(request.url ?? "", "http://localhost");
    const [, start = 0, last = 0] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "")?.map(Number) ??
      [];
    const file = readFileSync(join(folder, decodeURIComponent(pathname)));
    const end = Math.min(last + 1, file.byteLength);
    asked.push(request.url ?? "");
    response.writeHead(206, { "content-range": `bytes ${start}-${end - 1}/${file.byteLength}`, etag: '"1"' });
    response.end(file.subarray(start, end));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});

afterAll(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  rmSync(folder, { recursive: true });
});

describe("a safetensors file", () => {
  const places: [string, (file: string) => string | URL][] = [
    ["a path", (file) => join(folder, file)],
    ["a file: URL", (file) => pathToFileURL(join(folder, file))],
    ["the text of a file: URL", (file) => pathToFileURL(join(folder, file)).href],
    ["an address of the web", (file) => `${origin}/${encodeURIComponent(file)}?token=5`],
  ];
  for (const [name, locationOf] of places) {
    for (const file of ["one.safetensors", INDEX]) {
      test(`${file} is opened by ${name}`, async () => {
        const opened = await openSafetensors(locationOf(file));
        expect([...opened.names()].sort()).toEqual(["a", "b c"]);
        for (const [tensor, { shape, bytes }] of Object.entries(tensors)) {
          const read = await opened.read(tensor);
          expect([read.shape, read.bytes]).toEqual([shape, bytes]);
        }
        await opened.close();
      });
    }
  }

  test("on a web server is asked for by its address, and the files of its index beside it", () => {
    const paths = new Set(asked.map((url) => decodeURIComponent(url)));
    expect([...paths].sort()).toEqual([
      "/many files-00001-of-00002.safetensors",
      "/many files-00002-of-00002.safetensors",
      `/${INDEX}?token=5`,
      "/one.safetensors?token=5",
    ]);
  });

  test("that is not there, or nowhere, is refused under the name that was given", async () => {
    const missing = await thrownBy(() => openSafetensors(join(folder, "none.safetensors")));
    expect([missing.code, missing.message.includes("none.safetensors")]).toEqual(["not_found", true]);
    const remote = await thrownBy(() => openSafetensors("gs://bucket/m.safetensors"));
    expect([remote.code, remote.message.includes("gs:")]).toEqual(["unsupported", true]);
  });

  test("is asked for by one location, or by a storage and a path in it", async () => {
    const two: readonly [string, string] = [folder, "one.safetensors"];
    const call = openSafetensors as unknown as (...args: readonly unknown[]) => Promise<unknown>;
    expect((await thrownBy(() => call(...two))).message).toContain("found two texts");
    const storage = await FileStorage.open(folder);
    expect((await thrownBy(() => call(storage))).message).toContain("needs the path");
  });
});
