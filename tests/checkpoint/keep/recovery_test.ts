import { describe, expect, test } from "bun:test";
import type { FileEngine } from "../../../src/checkpoint/engine/file_engine.ts";
import { LATEST_FILE, readLatestHint, writeLatestHint } from "../../../src/checkpoint/engine/latest_hint.ts";
import { recover } from "../../../src/checkpoint/keep/recovery.ts";
import { MemoryStorage } from "../../../src/storage/memory_storage.ts";
import type { Storage } from "../../../src/storage/storage.ts";
import { HookedStorage } from "../../helpers/hooked_storage.ts";
import { bytes, writeFile } from "../../storage/storage_contract.ts";
import { FaultStorage, memoryEngine, saveState } from "../fixtures.ts";

async function readAll(storage: Storage, path: string): Promise<Uint8Array> {
  const reader = await storage.openRead(path);
  const content = new Uint8Array(reader.byteLength);
  await reader.read(0, content);
  await reader.close();
  return content;
}

/** Puts other bytes in the place of a file's. */
async function rewrite(
  storage: Storage,
  path: string,
  change: (content: Uint8Array) => Uint8Array,
): Promise<void> {
  const content = await readAll(storage, path);
  await storage.remove(path);
  await writeFile(storage, path, change(content));
}

function flip(at: number): (content: Uint8Array) => Uint8Array {
  return (content) => content.map((byte, index) => (index === at ? byte ^ 1 : byte));
}

/** Tag of what is found, and tags with codes of what was skipped. */
async function summaryOf(engine: FileEngine): Promise<[string | undefined, string[]]> {
  const { checkpoint, skipped } = await recover(engine);
  await checkpoint?.close();
  return [checkpoint?.tag, skipped.map(({ tag, error }) => `${tag} ${error.code}`)];
}

/** Three checkpoints with data of their own. */
async function threeCheckpoints(storage: Storage = new MemoryStorage()): Promise<FileEngine> {
  const engine = await memoryEngine(storage, { codec: "raw" });
  for (const step of [9, 10, 11]) {
    await engine.create(step);
    await engine.save({ state: { step, data: new Float32Array(64).fill(step) } });
    await engine.commit(step);
  }
  return engine;
}

describe("recover", () => {
  test("takes the last one, by when it was committed and not by name", async () => {
    expect(await summaryOf(await threeCheckpoints())).toEqual(["11", []]);
  });

  test("finds nothing in a directory that is not there", async () => {
    expect(await summaryOf(await memoryEngine(undefined, { directory: "nowhere" }))).toEqual([undefined, []]);
  });

  test("falls back to the newest sound one, and says what it skipped and why", async () => {
    const engine = await threeCheckpoints();
    // In the data, which opening does not read.
    await rewrite(engine.storage, "11.cairn", flip(4096));
    await rewrite(engine.storage, "10.cairn", (content) => content.subarray(0, content.byteLength - 1));
    const { checkpoint, skipped } = await recover(engine);
    expect(checkpoint?.tag).toBe("9");
    expect(checkpoint?.isVerified).toBe(true);
    expect(await checkpoint?.state()).toEqual({ step: 9, data: new Float32Array(64).fill(9) });
    await checkpoint?.close();
    expect(skipped.map(({ tag, path, error }) => [tag, path, error.code])).toEqual([
      ["10", "memory:10.cairn", "truncated"],
      ["11", "memory:11.cairn", "checksum_mismatch"],
    ]);
    expect(skipped[1]?.reason).toContain(
      'Cannot load checkpoint "11" (memory:11.cairn): Cannot read chunk 0 of "state:data"',
    );
    expect(skipped[0]?.reason).toContain('Cannot load checkpoint "10" (memory:10.cairn)');
  });

  test("a flip of any byte of the newest falls back to the one before", async () => {
    const engine = await threeCheckpoints();
    const original = await readAll(engine.storage, "11.cairn");
    for (let at = 0; at < original.byteLength; at += 7) {
      await engine.storage.remove("11.cairn");
      await writeFile(engine.storage, "11.cairn", flip(at)(original));
      expect([at, ...await summaryOf(engine)][1]).toBe("10");
    }
  });

  test("is not misled by the hint, by unfinished saves, or by files of others", async () => {
    const engine = await threeCheckpoints();
    await writeLatestHint(engine.storage, "", "9", "0123");
    await writeFile(engine.storage, ".tmp-123", await readAll(engine.storage, "11.cairn"));
    await writeFile(engine.storage, "12.cairn.bak", bytes("x"));
    await writeFile(engine.storage, "99.cairn", bytes(""));
    await engine.storage.makeDirectory("98.cairn");
    expect(await summaryOf(engine)).toEqual(["11", ["98 storage_failed", "99 truncated"]]);
  });

  test("takes the one that was committed last, whatever its step is, or if it has none", async () => {
    const engine = await memoryEngine();
    await saveState(engine, "b", { n: 1 }, { step: 5 });
    await saveState(engine, "a", { n: 2 }, { step: 3 });
    expect((await summaryOf(engine))[0]).toBe("a");
    await saveState(engine, "c", { n: 3 });
    expect((await summaryOf(engine))[0]).toBe("c");
    await saveState(engine, "0", { n: 4 }, { step: 5 });
    expect((await summaryOf(engine))[0]).toBe("0");
  });

  test("says so when nothing is sound", async () => {
    const engine = await memoryEngine();
    await writeFile(engine.storage, "1.cairn", bytes("PK\u0003\u0004 a zip"));
    expect(await summaryOf(engine)).toEqual([undefined, ["1 not_a_container"]]);
  });

  test("looks again when a writer saves a newer one and removes what was listed meanwhile", async () => {
    // After the listing, after the catalog has opened all of them, and for each reader of it.
    for (const moment of ["list", "openRead"]) {
      for (const kept of [[], ["9"]]) {
        const inner = new MemoryStorage();
        const writer = await threeCheckpoints(inner);
        let calls = 0;
        const reader = await memoryEngine(
          new HookedStorage(inner, {
            after: async ({ op }) => {
              if (op !== moment || ++calls !== (op === "list" ? 1 : 3)) return;
              await saveState(writer, 12, { step: 12 });
              for (const tag of ["9", "10", "11"]) {
                if (!kept.includes(tag)) await inner.remove(`${tag}.cairn`);
              }
            },
          }),
        );
        expect([moment, kept, ...await summaryOf(reader)]).toEqual([moment, kept, "12", []]);
      }
    }
  });

  test("leaves no file open and changes none, whichever read fails", async () => {
    for (let at = 0;; at++) {
      const inner = new MemoryStorage();
      await threeCheckpoints(inner);
      const before = await Promise.all(["9", "10", "11"].map((tag) => readAll(inner, `${tag}.cairn`)));
      const storage = new FaultStorage(inner);
      storage.failAt(at, "EIO");
      const engine = await memoryEngine(storage);
      const found = await summaryOf(engine).catch((error: unknown) => error);
      expect(storage.openHandles).toBe(0);
      expect(await Promise.all(["9", "10", "11"].map((tag) => readAll(inner, `${tag}.cairn`)))).toEqual(
        before,
      );
      if (!storage.hasFired) break;
      // Only listing cannot be done without.
      if (at === 0) expect(found).toMatchObject({ code: "storage_failed" });
      else expect(["9", "10", "11"]).toContain((found as string[])[0] ?? "none");
    }
  });
});

describe("the hint", () => {
  test("names the last checkpoint, and is replaced as a whole", async () => {
    const engine = await threeCheckpoints();
    expect(await readLatestHint(engine.storage, "")).toBe("11");
    expect(new TextDecoder().decode(await readAll(engine.storage, LATEST_FILE))).toBe("11\n");
  });

  test("is nothing when it is missing, empty, or no tag", async () => {
    const storage = new MemoryStorage();
    expect(await readLatestHint(storage, "")).toBeUndefined();
    for (const content of ["", "../../etc/passwd", "a b", "x".repeat(10_000), "\u0000"]) {
      await writeFile(storage, LATEST_FILE, bytes(content));
      expect(await readLatestHint(storage, "")).toBeUndefined();
      await storage.remove(LATEST_FILE);
    }
  });
});
