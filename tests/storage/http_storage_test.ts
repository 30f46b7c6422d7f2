import { describe, expect, test } from "bun:test";
import { HttpStorage } from "../../src/storage/http_storage.ts";
import { serveFiles } from "../cli/file_server.ts";
import { thrownBy } from "../helpers/thrown.ts";

describe("HttpStorage", () => {
  test("reads the file that its address names and those beside it, each asked for its length once", async () => {
    const bytes = Uint8Array.from({ length: 10_000 }, (_, at) => at % 251);
    const server = await serveFiles({
      "runs/a b.cairn": bytes,
      "runs/parts/c.cairn": bytes.subarray(0, 100),
    });
    try {
      const storage = new HttpStorage(`${server.address}/runs/a%20b.cairn`);
      expect([storage.name, storage.describe("parts/c.cairn")]).toEqual([
        "a b.cairn",
        `${server.address}/runs/parts/c.cairn`,
      ]);
      for (let time = 0; time < 2; time++) {
        const reader = await storage.openRead("a b.cairn");
        const into = new Uint8Array(20_000);
        expect([reader.byteLength, await reader.read(5000, into), await reader.read(10_000, into)]).toEqual([
          10_000,
          5000,
          0,
        ]);
        expect(into.subarray(0, 5000)).toEqual(bytes.subarray(5000));
        await reader.close();
      }
      expect((await storage.openRead("parts/c.cairn")).byteLength).toBe(100);
      expect(server.requests).toEqual([
        "runs/a b.cairn 0-4096",
        "runs/a b.cairn 5000-10000",
        "runs/a b.cairn 5000-10000",
        "runs/parts/c.cairn 0-100",
      ]);
    } finally {
      await server.close();
    }
  });

  test("refuses to list and to write", async () => {
    const storage = new HttpStorage("http://127.0.0.1:1/runs/a.cairn");
    for (const call of [() => storage.list(), () => storage.remove(), () => storage.createExclusive()]) {
      const { message } = await thrownBy(call);
      expect(message).toContain("http://127.0.0.1:1/runs/ cannot be ");
    }
    expect(await storage.freeBytes()).toBe(undefined);
  });
});
